"""The backend ``scripted``: ``install`` puts it where a daemon finds it, ``seen`` tells what its agent did. See ``agent.py``."""

import json
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent

BACKEND: dict[str, Any] = {
    "title": "Scripted",
    "command": ["{PYTHON}", "-I", "-S", str(HERE / "agent.py"), "--conversation", "{CONVERSATION}", "--source", "{ANVILSRV}"],
    "resume": [
        "{PYTHON}", "-I", "-S", str(HERE / "agent.py"), "--resume", "--conversation", "{CONVERSATION}", "--source", "{ANVILSRV}",
    ],
    "conversation": "uuid",
    "env": {"DATA_DIR": "{DATA_DIR}"},
    "ready": {"timeout": 20},
    "dialogs": [{"screen": r"Trust this folder\?", "keys": ["2", "Enter"]}],
    "payload": {"conversation": "session_id", "transcript": "transcript_path"},
    "ignore": {"agent_id": "."},
    "hooks": {
        "Ready": {"report": "ready"},
        "Submit": {"report": "submit", "text": "prompt"},
        "Stop": {"report": "stop", "text": "response", "continued": "stop_hook_active"},
        "Fail": {"report": "fail", "reason": "error"},
        "Ask": {
            "report": "ask",
            "question": "question",
            "diff": "diff",
            "choices": {"yes": {"choice": "yes"}, "no": {"choice": "no"}},
            "free": {"choice": "{TEXT}"},
        },
        "End": {"report": "end"},
    },
    "transcript": [
        {"report": "interrupt", "when": {"type": "^user$", "text": r"^\[Request interrupted by user\]$"}},
        {"report": "usage", "when": {"type": "^assistant$"}, "usage": {"input": "usage.input", "output": "usage.output"}},
    ],
    "tools": {
        "Bash": {"type": "execute", "title": "command"},
        "Edit": {"type": "edit", "title": "file", "places": "file"},
    },
    "follow": [
        {
            "path": "{DATA}/told.jsonl",
            "tell": [
                {"kind": "text", "when": {"type": "^text$"}, "id": "id", "part": "part", "text": "text", "index": "index",
                 "parent": "parent", "at": "at"},
                {"kind": "tool", "when": {"type": "^tool$"}, "id": "id", "name": "name", "input": "input", "parent": "parent",
                 "later": True},
                {"kind": "output", "when": {"type": "^output$"}, "id": "id", "part": "part", "text": "text", "exit": "exit",
                 "end": {"of": "status", "ok": "^0$", "failed": "."}},
                {"kind": "edit", "when": {"type": "^edit$"}, "id": "id", "path": "file", "diff": "diff",
                 "op": {"of": "op", "add": "^add$"}, "created": "content"},
                {"kind": "retry", "when": {"type": "^retry$"}, "attempt": "attempt", "of": "of", "reason": "reason"},
                {"kind": "plan", "when": {"type": "^plan$"}, "items": {"each": "steps", "text": "each.step", "state": "each.state"}},
                {"kind": "usage", "when": {"type": "^usage$"}, "input": "input", "output": "output",
                 "context": "context", "window": "window", "model": "model"},
                {"kind": "thinking", "when": {"type": "^thinking$"}, "id": "id", "on": "on", "text": "text"},
                {"kind": "subagent", "when": {"type": "^subagent$"}, "id": "id", "name": "name", "state": "state"},
            ],
        },
    ],
    "replies": {"stop": {"decision": "block", "reason": "{TEXT}"}},
    "input": {"settle": 0.05, "submit": "Enter", "clear": "C-u", "confirm": 1.0, "empty": "^>$"},
    "slash": ["/clear"],
    "interrupt": "Escape",
    "stop": {"keys": ["C-u", "C-d"], "grace": 2},
    "limits": [{"match": r"resets in (?P<seconds>\d+) s"}],
}  # fmt: skip


def install(config: Path, *, name: str = "scripted", layer: dict[str, Any] | None = None, **changes: Any) -> None:
    """Write ``<config>/backends/<name>.yaml`` (``config`` is ``~/.config/anvillm``); ``changes`` replace keys of ``BACKEND``."""
    directory = config / "backends"
    directory.mkdir(parents=True, exist_ok=True)
    made = {"backend": BACKEND | changes, "filesystem": {"rox": [str(HERE)], "rwx": ["{CWD}"]}, **(layer or {})}
    (directory / f"{name}.yaml").write_text(yaml.safe_dump(made, sort_keys=False))


def script(cwd: Path, **keys: Any) -> None:
    """Give the agents in ``cwd`` their script, from the next turn on."""
    fresh = cwd / "script.json.new"
    fresh.write_text(json.dumps(keys))
    fresh.rename(cwd / "script.json")


def seen(cwd: Path, event: str | None = None) -> list[dict[str, Any]]:
    """Return what the agents in ``cwd`` did, in order; ``event``: start, turn, hook, dialog, interrupted, typed while
    busy, …
    """
    try:
        lines = (cwd / "script.log").read_text().splitlines()
    except FileNotFoundError:
        return []
    found = [json.loads(line) for line in lines]
    return [one for one in found if event in (None, one["event"])]
