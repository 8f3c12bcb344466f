"""The table ``acp:`` of a backend's file: an agent that speaks the Agent Client Protocol, behind a front of ours in the pane.

Everything else that such a backend needs follows from it: the front's command, its settings, and what its reports mean. They are rows
as they could stand in the file, so nothing else has to know of it. What the file says itself counts before them.
"""

from pathlib import Path
from typing import Any, Protocol

from anvilsrv.activity.schema import KINDS
from anvilsrv.errors import Invalid

SETTINGS = "acp.json"
TOLD = "{DATA}/told.jsonl"  # in which the front tells what happens, as objects of activity
START = 60.0  # s for each step of a start: initialize, then a session; with two of them and the options, `ready` has its time
FRONT = ["{MCP_COMMAND}", "-I", "-m", "anvilsrv.inside.acp", "{SESSION_DIR}/" + SETTINGS]
USAGE = ("input", "output", "cached", "thinking", "context", "window", "cost", "credits")
TELLS = ("text", "thinking", "tool", "output", "edit", "plan", "retry", "compact", "usage", "session", "note")
ROWS: dict[str, Any] = {
    "command": FRONT,
    "resume": [*FRONT, "{CONVERSATION}"],
    "conversation": "hook",
    "evidence": "message",
    "interrupt": ["C-c"],
    "stop": {"grace": 5},
    "payload": {"conversation": "session", "turn": "turn"},
    "hooks": {
        "Ready": {"report": "ready"},
        "Submit": {"report": "submit", "text": "text"},
        "Stop": {"report": "stop", "text": "text", "usage": {name: f"usage.{name}" for name in USAGE}},
        "Fail": {"report": "fail", "reason": "reason", "detail": "detail"},
        "Interrupt": {"report": "interrupt"},
        "Usage": {"report": "usage", "usage": {name: f"usage.{name}" for name in USAGE}},
        "Ask": {
            "report": "ask", "question": "question", "detail": "detail", "diff": "diff", "what": "what", "tool": "tool",
            "offered": "choices", "also": "ids",
            "free": "{TEXT}",
        },
    },
}  # fmt: skip


def tell(kind: str) -> dict[str, Any]:
    """Return the row for objects of a kind: they have its fields already."""
    fields = {name: name for name in ("id", *KINDS[kind].fields) if name not in ("file", "images")}
    return {"kind": kind, "when": {"kind": f"^{kind}$"}, "told_in": "turn", "at": "at", **fields}


class Table(Protocol):
    """A table of the file (``load.py``)."""

    rest: dict[Any, Any]
    file: Path

    def wrong(self, key: Any, why: str) -> Invalid: ...
    def table(self, key: str) -> "Table": ...
    def text(self, key: str, default: Any = ...) -> Any: ...
    def words(self, key: str, default: Any = ...) -> Any: ...
    def texts(self, key: str) -> dict[str, str]: ...
    def flag(self, key: str, default: bool) -> bool: ...
    def seconds(self, key: str, default: float) -> float: ...
    def number(self, key: str, default: float) -> float: ...
    def template(self, key: str, value: Any) -> Any: ...
    def end(self) -> None: ...


def expand(body: Table) -> None:
    """Put the rows that follow from ``acp:`` into the body of the file, if it has that table."""
    if "acp" not in body.rest:
        return
    for key in ("command", "resume"):
        if key in body.rest:
            raise body.wrong(key, "cannot be combined with acp, which has its own command")
    table = body.table("acp")
    command = body.template("acp", table.words("command"))
    if not command:
        raise table.wrong("command", "is empty")
    modes = {word: _choice(table, word, table.text(word, "")) for word in ("bypass", "ask")}
    settings = {
        "command": list(command), "env": body.template("acp", table.texts("env")), "cwd": "{CWD}",
        "modes": modes, "choices": table.texts("options"), "meta": table.table("meta").rest,
        "mcp": ["{MCP}"] if table.flag("mcp", True) else [], "slash": table.flag("slash", False),
        "permissions": "{PERMISSION}", "told": TOLD, "chosen": "{CHOSEN}",
        "execute": table.text("execute", ""), "login": _login(body),
        "attach": "{SESSION_DIR}/attach", "alone": table.flag("images_alone", False),
    }  # fmt: skip
    most = {name: int(table.number(name, 0)) for name in ("most", "bytes")}
    settings["start"] = start = table.seconds("start", START)
    if not start:
        raise table.wrong("start", "must be more than 0 seconds")
    table.end()
    files = dict(body.rest.get("files") or {})
    body.rest["files"] = {SETTINGS: settings, **files}
    body.rest.setdefault("input", most)
    body.rest.setdefault("ready", {"timeout": 3 * start + 20})
    body.rest.setdefault("follow", [{"path": TOLD, "fresh": True, "tell": [tell(kind) for kind in TELLS]}])
    for key, value in ROWS.items():
        body.rest.setdefault(key, value)


def _choice(table: Table, key: str, value: str) -> list[str]:
    """Return ``MODE``, or ``option=value``, as a pair; empty: there is none."""
    if not value:
        return []
    name, mark, chosen = value.partition("=")
    if mark and not (name and chosen):
        raise table.wrong(key, "must be a mode, or option=value")
    return [name, chosen] if mark else ["mode", value]


def _login(body: Table) -> str:
    """Return what to do to log in, in words."""
    found = body.rest.get("login")
    return found if isinstance(found, str) else f"run 'anvilsrv login {body.file.stem}'" if found else ""
