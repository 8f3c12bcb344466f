"""What a person asks of the tree, as functions of a connection: each is one file of anvilsrv(4).

All raise AnvilError: P9Error with the daemon's own sentence, Unavailable when it is gone.
"""

import json
from typing import Any, NamedTuple

from anvilsrv import words
from anvilsrv.errors import Conflict, NotFound, Unavailable
from anvilsrv.front.follow import read_json
from anvilsrv.p9.client import Client
from anvilsrv.strict_json import dumps
from anvilsrv.words import USER

CONTROLS = ("stop", "restart", "kill", "interrupt", "hold", "go")
MOVES = ("drop", "first")  # of a prompt that waits
MAX_SUBJECT = 1000  # characters that the daemon takes


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
    """Control a session: ``stop``, ``restart``, ``kill`` or ``interrupt`` it; ``hold`` its queue, or let it ``go`` on."""
    client.write(f"{session}/ctl", f"{command}\n".encode())


def press(client: Client, session: str, keys: str) -> None:
    """Press keys in the agent's pane, by their names with blanks between: ``Down Enter``."""
    client.write(f"{session}/ctl", f"{words.join(['keys', *keys.split()])}\n".encode())


class Queued(NamedTuple):
    """A prompt that waits: its number in the session, ``queue`` or ``mail``, when it came (ISO 8601), how it begins, and
    ``queued``, or ``sending`` while the agent is being given it.
    """

    n: int
    origin: str
    when: str
    words: str
    state: str = "queued"


def queue(client: Client, session: str, *, sending: bool = False) -> list[Queued]:
    """Return what waits, in the order in which the agent gets it; with ``sending`` also what it is being given."""
    states = ("sending", "queued") if sending else ("queued",)
    rows = (line.split("\t") for line in client.read(f"{session}/turns/list").decode("utf-8", "replace").splitlines())
    return [Queued(int(row[0]), row[2], row[3], row[7], row[1]) for row in rows if row[1] in states]


def queued_text(client: Client, session: str, n: int) -> str:
    """Return the text of prompt ``n``."""
    return client.read(f"{session}/turns/{n}/prompt").decode("utf-8", "replace")


def answered(client: Client, session: str, n: int) -> str:
    """Return the answer to prompt ``n``."""
    return client.read(f"{session}/turns/{n}/out").decode("utf-8", "replace")


def edit_queued(client: Client, session: str, n: int, text: str) -> None:
    """Replace the text of a prompt that waits; that of mail stays."""
    client.write(f"{session}/turns/{n}/prompt", text.encode("utf-8", "replace"))


def move_queued(client: Client, session: str, n: int, move: str) -> None:
    """Remove a prompt that waits (``drop``), or make it the ``first``."""
    client.write(f"{session}/turns/{n}/ctl", f"{move}\n".encode())


def roles(client: Client) -> list[dict[str, str]]:
    """Name, label and file of each role."""
    return _layers(client, "roles")


def tasks(client: Client) -> list[dict[str, str]]:
    """Name, label and file of each task."""
    return _layers(client, "tasks")


def _layers(client: Client, folder: str) -> list[dict[str, str]]:
    rows = (line.split("\t") for line in client.read(folder).decode("utf-8", "replace").splitlines())
    return [dict(zip(("name", "label", "file"), row, strict=False)) for row in rows]


def see(client: Client, session: str, number: int) -> None:
    """Record that the user has looked at the answers up to that number of a prompt."""
    client.write(f"{session}/seen", f"{number}\n".encode())


def rename(client: Client, session: str, alias: str) -> None:
    """Set the alias; an empty one takes it away."""
    client.write(f"{session}/alias", f"{alias}\n".encode())


def set_context(client: Client, session: str, context: str) -> None:
    """Set what is put before each prompt."""
    client.write(f"{session}/context", context.encode("utf-8", "replace"))


def answer(client: Client, session: str, choice: str, ask: str | None = None) -> None:
    """Answer the question ``ask`` (its id). Raises Conflict when that is not open any more."""
    if ask is not None:
        if ask not in (json.loads(line)["id"] for line in client.read(f"{session}/ask").splitlines()):
            raise Conflict("the question is gone")
        choice = f"{ask} {choice}"
    client.write(f"{session}/answer", f"{choice}\n".encode())


def box(client: Client, owner: str, name: str) -> list[dict[str, Any]]:
    """Return ``inbox`` or ``archive`` of a session or the user, oldest first."""
    found: list[dict[str, Any]] = read_json(client, f"{owner}/{name}")
    return found


def complete(client: Client, owner: str, message: str) -> None:
    """Move a message from the inbox to the archive."""
    client.write(f"{owner}/ctl", f"{words.join(['complete', message])}\n".encode())


def send(client: Client, message: dict[str, Any]) -> None:
    """Send mail as the user: ``to type subject body``, and what else is to be its metadata."""
    client.write(f"{USER}/mail", dumps(message).encode())


def reply_to(message: dict[str, Any], body: str) -> dict[str, Any]:
    """Return the answer to ``message``, of the type that it names. Raises Unavailable if the daemon is too old to name
    one.
    """
    return {
        "to": message["from"],
        "type": reply_type(message),
        "subject": reply_subject(message.get("subject") or ""),
        "body": body,
        "in_reply_to": message["id"],
    }


def reply_type(message: dict[str, Any]) -> str:
    """Return the type to answer ``message`` with. Raises Unavailable if the daemon is too old to name one."""
    kind = message.get("reply_type")
    if not kind:
        raise Unavailable(
            f"message '{message['id']}' names no type to answer with: restart anvilsrv, it is older than this"
        )
    return str(kind)


def reply_subject(subject: str) -> str:
    """Return the subject of an answer."""
    return subject if subject.lower().startswith("re:") else f"Re: {subject}"[:MAX_SUBJECT]


def reply(client: Client, owner: str, message: str, body: str) -> None:
    """Answer a message in the mail of ``owner`` as the user; one that waits for the user is filed, a session's own is left to it.

    Raises NotFound.
    """
    for name in ("inbox", "archive"):
        for found in box(client, owner, name):
            if found["id"] == message:
                send(client, reply_to(found, body))
                if (owner, name) == (USER, "inbox"):
                    complete(client, owner, message)
                return
    raise NotFound(f"no such message '{message[:80]}' in the mail of {owner}")


def bead(client: Client, *command: str) -> str:
    """Run a command of ``beads/ctl``. Returns the bead's id if it gives one."""
    return client.write_read("beads/ctl", f"{words.join(command)}\n".encode()).decode().strip()
