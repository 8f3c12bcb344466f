"""The JSON interface as a table: one row per operation, each pointing at one thing asked of the tree.

A row says all that the router, the check of a request and the OpenAPI document need. To add an operation is to add a row.
``run`` is called in a worker with the connection and what the path and the body hold; it may block.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from anvilsrv.errors import AnvilError, Conflict, Denied, Invalid, NotFound, Unavailable
from anvilsrv.front import changes, requests
from anvilsrv.front.follow import read_json
from anvilsrv.front.turns import objects, turn
from anvilsrv.p9.client import Client, P9Error
from anvilsrv.words import MAIL_TYPES
from web.schema import BEAD_ID, MESSAGE_ID, OWNER, PROMPT, SESSION, Schema, array, record, ref, text, word

MIB = 1 << 20
BEAD_ACTIONS = ("claim", "unclaim", "complete", "reopen")


class Operation(NamedTuple):
    """One operation. ``path`` has its parameters in braces, ``params`` their schemas; ``reply`` None means 204, nothing."""

    method: str
    path: str
    name: str
    summary: str
    run: Callable[..., Any]
    params: dict[str, Schema] = {}
    body: Schema | None = None
    reply: Schema | None = None

    @property
    def status(self) -> int:
        """The HTTP status of success."""
        if self.reply is None:
            return 204
        return 201 if self.method == "POST" else 200


def _new(client: Client, backend: str, cwd: str, role: str = "", tasks: str = "", alias: str = "") -> dict[str, str]:
    where = os.path.expanduser(cwd.strip())
    return {"id": requests.new(client, backend, where, role=role, tasks=tasks, alias=alias)}


def _sandbox(client: Client, session: str) -> dict[str, str]:
    return {"policy": client.read(f"{session}/sandbox").decode("utf-8", "replace")}


def _queue(client: Client, session: str) -> list[dict[str, Any]]:
    return [one._asdict() for one in requests.queue(client, session, sending=True)]


def _queued(client: Client, session: str, prompt: str) -> dict[str, str]:
    return {"text": requests.queued_text(client, session, int(prompt))}


def _edit_queued(client: Client, session: str, prompt: str, text: str) -> None:
    requests.edit_queued(client, session, int(prompt), text)


def _turn(client: Client, session: str, prompt: str) -> list[Any]:
    return objects(turn(client, session, int(prompt)))


def _changes(client: Client, session: str) -> list[dict[str, Any]]:
    return [one._asdict() for one in changes.turns(client, session)]


def _diff(client: Client, session: str, prompt: str = "") -> dict[str, str]:
    return {"diff": changes.diff(client, session, int(prompt or changes.WHOLE))}


def _see(client: Client, session: str, prompt: str) -> None:
    requests.see(client, session, int(prompt))


def _move_queued(client: Client, session: str, prompt: str, move: str) -> None:
    requests.move_queued(client, session, int(prompt), move)


def _send(client: Client, to: str, type: str, subject: str = "", body: str = "", in_reply_to: str = "") -> None:
    extra = {"in_reply_to": in_reply_to} if in_reply_to else {}
    requests.send(client, {"to": to, "type": type, "subject": subject, "body": body, **extra})


def _new_bead(client: Client, title: str, description: str = "") -> dict[str, str]:
    return {"id": requests.bead(client, "new", title, description)}


def _fail_bead(client: Client, bead: str, reason: str) -> None:
    requests.bead(client, "fail", bead, reason)


def _on_bead(client: Client, bead: str, action: str) -> None:
    requests.bead(client, action, bead)


ID = record({"id": {"type": "string"}})
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "/api/sessions", "listSessions", "All sessions, oldest first",
        lambda client: read_json(client, "sessions"), reply=array(ref("Session")),
    ),
    Operation(
        "POST", "/api/sessions", "startSession", "Start a session", _new,
        body=record({"backend": text(64, 1), "cwd": text(4096, 1)}, {"role": text(64), "tasks": text(1024), "alias": text(64)}),
        reply=ID,
    ),
    Operation("GET", "/api/backends", "listBackends", "Backends, and whether they can run here", requests.backends,
              reply=array(ref("Backend"))),
    Operation(
        "POST", "/api/sessions/{session}/prompt", "prompt", "Queue a prompt", requests.prompt,
        {"session": SESSION}, record({"text": text(MIB, 1)}),
    ),
    Operation(
        "POST", "/api/sessions/{session}/control", "control",
        "Stop, restart, kill or interrupt a session; hold its queue, or let it go on", requests.control,
        {"session": SESSION}, record({"command": word(*requests.CONTROLS)}),
    ),
    Operation(
        "POST", "/api/sessions/{session}/keys", "press", "Press keys in the agent's pane, by their names with blanks between",
        requests.press, {"session": SESSION}, record({"keys": text(1024, 1)}),
    ),
    Operation(
        "GET", "/api/sessions/{session}/queue", "listQueue", "The prompts that wait, in the order in which the agent gets them",
        _queue, {"session": SESSION}, reply=array(ref("Queued")),
    ),
    Operation(
        "GET", "/api/sessions/{session}/queue/{prompt}", "queued", "The text of a prompt", _queued,
        {"session": SESSION, "prompt": PROMPT}, reply=record({"text": {"type": "string"}}),
    ),
    Operation(
        "PUT", "/api/sessions/{session}/queue/{prompt}", "editQueued", "Replace the text of a prompt that waits; 409 for mail",
        _edit_queued, {"session": SESSION, "prompt": PROMPT}, record({"text": text(MIB, 1)}),
    ),
    Operation(
        "POST", "/api/sessions/{session}/queue/{prompt}", "moveQueued", "Drop a prompt that waits, or make it the first",
        _move_queued, {"session": SESSION, "prompt": PROMPT}, record({"move": word(*requests.MOVES)}),
    ),
    Operation(
        "GET", "/api/sessions/{session}/turns/{prompt}", "turn", "What happened in a turn that is over", _turn,
        {"session": SESSION, "prompt": PROMPT}, reply=array({"type": "object"}),
    ),
    Operation(
        "GET", "/api/sessions/{session}/changes", "listChanges", "The turns that changed files, and how many lines", _changes,
        {"session": SESSION}, reply=array(ref("Changed")),
    ),
    Operation(
        "GET", "/api/sessions/{session}/diff", "diff", "All that a session has changed, a unified diff", _diff,
        {"session": SESSION}, reply=record({"diff": {"type": "string"}}),
    ),
    Operation(
        "GET", "/api/sessions/{session}/turns/{prompt}/diff", "turnDiff", "What a turn changed, a unified diff", _diff,
        {"session": SESSION, "prompt": PROMPT}, reply=record({"diff": {"type": "string"}}),
    ),
    Operation(
        "PUT", "/api/sessions/{session}/seen", "see", "Report that the answers up to that prompt's were looked at", _see,
        {"session": SESSION}, record({"prompt": PROMPT}),
    ),
    Operation("GET", "/api/roles", "listRoles", "Roles of new sessions", requests.roles, reply=array(ref("Layer"))),
    Operation("GET", "/api/tasks", "listTasks", "Tasks of new sessions", requests.tasks, reply=array(ref("Layer"))),
    Operation(
        "PUT", "/api/sessions/{session}/alias", "rename", "Name a session; an empty name takes it away", requests.rename,
        {"session": SESSION}, record({"alias": text(64)}),
    ),
    Operation(
        "PUT", "/api/sessions/{session}/context", "setContext", "Set what is put before each prompt", requests.set_context,
        {"session": SESSION}, record({"context": text(MIB)}),
    ),
    Operation(
        "POST", "/api/sessions/{session}/answer", "answer", "Answer what a session asks; 409 when the question is gone",
        requests.answer, {"session": SESSION}, record({"choice": text(10_000, 1), "ask": text(64, 1)}),
    ),
    Operation(
        "GET", "/api/sessions/{session}/sandbox", "sandbox", "The policy a session runs under", _sandbox,
        {"session": SESSION}, reply=record({"policy": {"type": "string"}}),
    ),
    Operation(
        "GET", "/api/mail/{owner}/{name}", "listMail", "Messages of the inbox or the archive, oldest first", requests.box,
        {"owner": OWNER, "name": word("inbox", "archive")}, reply=array(ref("Message")),
    ),
    Operation(
        "POST", "/api/mail/{owner}/complete", "archiveMail", "File a message of the inbox in the archive", requests.complete,
        {"owner": OWNER}, record({"message": MESSAGE_ID}),
    ),
    Operation(
        "POST", "/api/mail/{owner}/reply", "replyMail", "Answer a message as the user; one that waits for the user is filed",
        requests.reply, {"owner": OWNER}, record({"message": MESSAGE_ID, "body": text(MIB)}),
    ),
    Operation(
        "POST", "/api/mail", "sendMail", "Send a message as the user", _send,
        body=record({"to": OWNER, "type": word(*MAIL_TYPES)},
                    {"subject": text(1000), "body": text(MIB), "in_reply_to": MESSAGE_ID}),
    ),
    Operation("GET", "/api/beads", "listBeads", "All beads", lambda client: read_json(client, "beads/list"),
              reply=array(ref("Bead"))),
    Operation("GET", "/api/beads/ready", "listReadyBeads", "Beads with nothing in their way",
              lambda client: read_json(client, "beads/ready"), reply=array(ref("Bead"))),
    Operation("POST", "/api/beads", "newBead", "Make a bead", _new_bead,
              body=record({"title": text(500, 1)}, {"description": text(100_000)}), reply=ID),
    Operation(
        "POST", "/api/beads/{bead}/fail", "failBead", "Mark a bead as failed, with the reason", _fail_bead,
        {"bead": BEAD_ID}, record({"reason": text(10_000, 1)}),
    ),
    Operation(
        "POST", "/api/beads/{bead}/action", "changeBead", "Claim, release, complete or reopen a bead", _on_bead,
        {"bead": BEAD_ID}, record({"action": word(*BEAD_ACTIONS)}),
    ),
)  # fmt: skip


STATUSES = {
    "permission denied": 403, "i/o error": 503, "not permitted": 409, "already exists": 409, "busy": 409,
    "invalid": 400, "unknown argument": 400, "no such": 404, "does not exist": 404, "not found": 404,
}  # fmt: skip


def status_of(error: AnvilError) -> int:
    """Return the HTTP status for an error of the tree. The daemon's are told by the phrase with which they begin
    (anvilsrv(4)).
    """
    for kind, status in ((Unavailable, 503), (NotFound, 404), (Invalid, 400), (Denied, 403), (Conflict, 409)):
        if isinstance(error, kind):
            return status
    words = error.ename if isinstance(error, P9Error) else str(error)
    if words.startswith("no such directory"):  # that was to be a session's, not one of the tree
        return 400
    found = [(words.find(phrase), status) for phrase, status in STATUSES.items() if phrase in words]
    return min(found, default=(0, 409))[1]
