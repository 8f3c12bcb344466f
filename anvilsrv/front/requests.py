"""What a person asks of the tree, as functions of a connection: each is one file of anvilsrv(4).

All raise AnvilError: P9Error with the daemon's own sentence, Unavailable when it is gone.
"""

import json
from typing import Any

from anvilsrv import words
from anvilsrv.errors import Conflict
from anvilsrv.front.follow import read_json
from anvilsrv.p9.client import Client

USER = "user"
CONTROLS = ("stop", "restart", "kill", "interrupt")
MAIL_TYPES = (
    "PROMPT_REQUEST", "PROMPT_RESPONSE", "QUERY_REQUEST", "QUERY_RESPONSE", "REVIEW_REQUEST", "REVIEW_RESPONSE",
    "APPROVAL_REQUEST", "APPROVAL_RESPONSE", "LOG_ERROR",
)  # fmt: skip


def backends(client: Client) -> list[dict[str, str]]:
    """Name, title and status (``ok`` or why it cannot run here) of each backend."""
    rows = (line.split("\t") for line in client.read("backends").decode("utf-8", "replace").splitlines())
    return [dict(zip(("name", "title", "status"), row, strict=False)) for row in rows]


def new(client: Client, backend: str, cwd: str, *, role: str = "", tasks: str = "", alias: str = "") -> str:
    """Start a session; its id."""
    options = {"role": role, "tasks": tasks, "alias": alias}
    line = words.join(["new", backend, cwd, *(f"{key}={value}" for key, value in options.items() if value)])
    return client.write_read("ctl", f"{line}\n".encode()).decode().strip()


def prompt(client: Client, session: str, text: str) -> None:
    """Queue a prompt."""
    client.write(f"{session}/in", text.encode("utf-8", "replace"))


def control(client: Client, session: str, command: str) -> None:
    """``stop``, ``restart``, ``kill`` or ``interrupt`` a session."""
    client.write(f"{session}/ctl", f"{command}\n".encode())


def rename(client: Client, session: str, alias: str) -> None:
    """Set the alias; an empty one takes it away."""
    client.write(f"{session}/alias", f"{alias}\n".encode())


def answer(client: Client, session: str, choice: str, ask: str | None = None) -> None:
    """Answer the question ``ask`` (its id). Raises Conflict when another is waiting by now."""
    if ask is not None:
        waiting = client.read(f"{session}/ask")
        if not waiting.strip() or json.loads(waiting).get("id") != ask:
            raise Conflict("the question is gone")
    client.write(f"{session}/answer", f"{choice}\n".encode())


def box(client: Client, owner: str, name: str) -> list[dict[str, Any]]:
    """``inbox`` or ``archive`` of a session or the user, oldest first."""
    found: list[dict[str, Any]] = read_json(client, f"{owner}/{name}")
    return found


def complete(client: Client, owner: str, message: str) -> None:
    """File a message of the inbox in the archive."""
    client.write(f"{owner}/ctl", f"{words.join(['complete', message])}\n".encode())


def send(client: Client, message: dict[str, Any]) -> None:
    """Send mail as the user: ``to type subject body``, and what else is to be its metadata."""
    client.write(f"{USER}/mail", json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))


def reply_to(message: dict[str, Any], body: str) -> dict[str, Any]:
    """The answer to ``message``: a request gets its response, anything else a question."""
    kind = message["type"]
    subject = message.get("subject") or ""
    return {
        "to": message["from"],
        "type": kind.removesuffix("_REQUEST") + "_RESPONSE" if kind.endswith("_REQUEST") else "QUERY_REQUEST",
        "subject": subject if subject.startswith("Re: ") else f"Re: {subject}"[:1000],
        "body": body,
        "in_reply_to": message["id"],
    }


def bead(client: Client, *command: str) -> str:
    """A command of ``beads/ctl``; the bead's id where it gives one."""
    return client.write_read("beads/ctl", f"{words.join(command)}\n".encode()).decode().strip()
