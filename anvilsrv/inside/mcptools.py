"""What an agent, or a client outside as the user, may do through MCP: each tool as a method over the 9P tree.

Nothing here knows the MCP SDK, which takes most of a second to import; ``mcpserver`` puts these methods on the wire.
Who is asking follows from the socket alone: the user's shows ``user/``, a session's does not. A connection lasts for one
call, so a daemon that was restarted in between is no matter.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from anvilsrv import words
from anvilsrv.errors import Denied, Invalid, Unavailable
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client, P9Error, TimedOut, dial
from anvilsrv.strict_json import dumps
from anvilsrv.words import USER

WAIT_MAX = 3600.0
OVER = ("response", "state_change", "session_end", "error", "overflow")  # events after which there may be an answer
TOLD = 5.0  # s, for the event of a message
DIFF_WAIT = 200.0  # s, of a large work tree
OWNER = 0o600
STATES = ("idle", "running", "stopped", "error")  # that one may set


def _one_of(values: Sequence[str]) -> Any:
    """Return the schema of one of these words, by which ``mcpvalues`` refuses others."""
    return Field(json_schema_extra={"enum": list(values)})


Message = TypedDict(
    "Message",
    {
        "id": str,
        "from": str,
        "to": str,
        "type": str,
        "subject": str,
        "body": str,
        "timestamp": float,
        "metadata": dict[str, Any],
    },
)
"""A message in an inbox; `timestamp` is in seconds since 1970."""


class Inbox(TypedDict):
    messages: list[Message]


Sent = TypedDict("Sent", {"sent": bool, "from": str, "to": str, "id": str})
"""`id` is that of the message; an answer has it as `in_reply_to`."""


class Session(TypedDict):
    """`me` is true for the session that asks; `pid` is 0 where no process runs."""

    id: str
    alias: str | None
    state: str
    pid: int
    cwd: str
    backend: str
    me: bool


class Sessions(TypedDict):
    me: str
    sessions: list[Session]


class State(TypedDict):
    session: str
    state: str


class Output(TypedDict):
    session: str
    response: str


class Diff(TypedDict):
    """`diff` is a unified diff; lines before it that begin with `#` say what it lacks."""

    session: str
    diff: str


class Reviewed(TypedDict):
    """`prompt` is the number of the prompt that the comments became."""

    session: str
    prompt: int


class Answer(TypedDict):
    answer: str
    message: str


class Bead(TypedDict):
    bead: str


class Beads(TypedDict):
    beads: list[dict[str, Any]]


class Tools:
    """The tools. `connect` makes a connection to the tree; `session` is the id that the environment claims for us."""

    def __init__(self, connect: Callable[[], Client] = dial, session: str | None = None) -> None:
        self._connect = connect
        self._claimed = os.environ.get("ANVILLM_SESSION", "") if session is None else session

    def read_inbox(self, limit: int = 0, agent_id: str = "") -> Inbox:
        """Read your waiting messages, oldest first, and archive them: each is returned once.

        `limit` 0 gives all. `agent_id` may be left out; another's inbox is refused.
        """
        with self.attached() as (client, me):
            self._only_me(client, me, agent_id)
            found = _load(client, f"{me}/inbox")
            taken = found[:limit] if limit > 0 else found
            # Done first: what cannot be completed was taken by someone else, and is not ours to act on.
            return {"messages": [one for one in taken if _complete(client, me, one["id"])]}

    def send_message(
        self,
        to: str,
        type: Annotated[str, _one_of(words.MAIL_TYPES)],
        subject: str = "",
        body: str = "",
        metadata: dict[str, Any] | None = None,
        sender: Annotated[str, Field(alias="from")] = "",
        agent_id: str = "",
    ) -> Sent:
        """Send a message to another session (its id or alias) or to `user`.

        `type` is PROMPT_REQUEST, QUERY_REQUEST, REVIEW_REQUEST, APPROVAL_REQUEST, their _RESPONSE, or LOG_ERROR. A
        request is answered automatically when the other's turn ends. The sender is always you: `from` may be left out.
        """
        with self.attached() as (client, me):
            for named in (sender, agent_id):
                self._only_me(client, me, named)
            fields: dict[str, Any] = {"to": to, "type": type, "subject": subject, "body": body}
            sent = _send(client, me, fields | ({"metadata": metadata} if metadata else {}))
            return {"sent": True, "from": me, "to": to, "id": sent}

    def list_sessions(self) -> Sessions:
        """List the sessions, oldest first: id, alias, state, process, directory, backend; which one is you."""
        with self.attached() as (client, me):
            return {"me": me, "sessions": [_session(client, line, me) for line in _lines(client.read("list"))]}

    def set_state(self, state: Annotated[str, _one_of(STATES)], agent_id: str = "") -> State:
        """Set your state: idle, running, stopped or error. A state that contradicts the agent's hooks is refused."""
        with self.attached() as (client, me):
            target = agent_id if me == USER and agent_id else self._only_me(client, me, agent_id)
            if target == USER:
                raise Invalid("the user has no state: give agent_id")
            client.write(f"{target}/state", f"{state}\n".encode())
            return {"session": target, "state": client.read(f"{target}/state").decode().strip()}

    def read_output(self, session: str, wait: float = 0) -> Output:
        """Return a session's response to the last prompt it accepted; waits up to `wait` seconds for the turn to end."""
        return self.watch_output(session, wait, lambda words: None)

    def watch_output(self, session: str, wait: float, told: Callable[[str], None]) -> Output:
        """Return the same as `read_output`; ``told`` hears what the session does meanwhile."""
        with self.attached() as (client, _), client.open("events") as events, client.open(f"{session}/out") as out:
            deadline = time.monotonic() + min(max(wait, 0.5), WAIT_MAX)
            response = _ready(out, 0.5)
            happened = _until(events, deadline)
            while response is None and (event := next(happened, None)) is not None:
                if event.get("session_id") != session and event.get("session_id") != _id(client, session):
                    continue
                if event.get("doing"):
                    told(event["doing"])
                if event["type"] in OVER:
                    response = _ready(out, 0.5)
            if response is None:
                raise Unavailable(f"'{session}' has not answered yet: it is {_state(client, session)}")
            return {"session": session, "response": response.decode(errors="replace")}

    def read_diff(self, session: str = "", turn: int = 0) -> Diff:
        """Show what a session changed in its git work tree: in one turn, by the number of its prompt, or with 0 since it began.

        Without `session` your own. Another's may be read by the user, and by who spawned it.
        """
        with self.attached() as (client, me):
            whose = session or me
            if whose == USER:
                raise Invalid("the user has no work tree: give session")
            path = f"{whose}/turns/{turn}/diff" if turn > 0 else f"{whose}/git/diff"
            return {"session": whose, "diff": client.read(path, timeout=DIFF_WAIT).decode(errors="replace")}

    def review(self, session: str, comments: str) -> Reviewed:
        """Send a session comments on what it changed; they become one prompt, with the lines that they are about.

        A comment is a line `path:line: words` or `path:line-line: words`, by the lines of the files as they are now; a line that
        begins with a blank goes on with the one before. For the user, and for who spawned that session.
        """
        with self.attached() as (client, _):
            text = comments.encode() + (b"\n" if len(comments.encode()) % 4096 == 0 else b"")
            return {"session": session, "prompt": int(client.write_read(f"{session}/git/review", text))}

    def ask_user(self, question: str, choices: list[str] | None = None, wait: float = 600) -> Answer:
        """Ask the user and wait up to `wait` seconds for the answer, one of the choices or other words.

        Later it comes as a message to your inbox.
        """
        with self.attached() as (client, me):
            if me == USER:
                raise Invalid("you are connected as the user: ask directly")
            found = _asked(client, me, question, choices or [], min(max(wait, 0), WAIT_MAX))
            if "answer" in found:
                return {"answer": found["answer"], "message": ""}
            if found.get("gone"):
                raise Unavailable("the question is over: the turn was interrupted")
            body = question + "".join(f"\n- {choice}" for choice in choices or [])
            subject = question.strip().split("\n")[0][:200]
            fields = {"to": USER, "type": "QUERY_REQUEST", "subject": subject, "body": body}
            sent = _send(client, me, fields | ({"metadata": {"choices": choices}} if choices else {}))
            raise Unavailable(f"the user has not answered yet: the answer to message {sent} will come to your inbox")

    def beads_ready(self) -> Beads:
        """List the beads (tasks) that can be worked on now, most urgent first: claim one before you work on it."""
        with self.attached() as (client, _):
            return {"beads": _load(client, "beads/ready")}

    def beads_list(self, status: str = "", assignee: str = "", limit: int = 200) -> Beads:
        """List beads, oldest first, of one status or assignee if given; at most `limit`."""
        with self.attached() as (client, _):
            found = _load(client, "beads/list")
        statuses = dict.fromkeys([*words.BEAD_STATUSES, *(one["status"] for one in found)])  # bd may have others
        if status and status not in statuses:
            raise Invalid(f"status: must be one of {', '.join(statuses)}, not '{status[:60]}'")
        found = [one for one in found if status in ("", one["status"]) and assignee in ("", one.get("assignee", ""))]
        return {"beads": found[: max(limit, 0)]}

    def bead_show(self, bead: str) -> dict[str, Any]:
        """Show one bead with all of its fields."""
        with self.attached() as (client, _):
            found: dict[str, Any] = json.loads(client.read(f"beads/{_name(bead)}/json"))
            return found

    def bead_new(
        self,
        title: str,
        description: str = "",
        priority: Annotated[int, Field(ge=0, le=4)] = 2,
        type: Annotated[str, _one_of(words.BEAD_TYPES)] = "task",
        parent: str = "",
        waits_for: list[str] | None = None,
        labels: list[str] | None = None,
    ) -> Bead:
        """Create a bead; priority 0 is the most urgent, 4 the least. `waits_for` are beads that must be closed before it."""
        given = {"description": description, "priority": str(priority), "type": type, "parent": parent}
        given |= {"deps": ",".join(waits_for or []), "labels": ",".join(labels or [])}
        return self._bead("new", title, *(f"{key}={value}" for key, value in given.items() if value))

    def bead_claim(self, bead: str) -> Bead:
        """Claim a bead to work on; refused if another session has it, or if it is blocked."""
        return self._bead("claim", bead)

    def bead_unclaim(self, bead: str) -> Bead:
        """Give back a bead that you claimed."""
        return self._bead("unclaim", bead)

    def bead_complete(self, bead: str, reason: str = "") -> Bead:
        """Close a bead: its work is done."""
        return self._bead("complete", bead, *([reason] if reason else []))

    def bead_fail(self, bead: str, reason: str) -> Bead:
        """Report that a bead cannot be done, and why; its dependents stay blocked."""
        return self._bead("fail", bead, reason)

    def bead_dep(self, child: str, parent: str) -> Bead:
        """Make `parent` wait until `child` is closed. Cycles are refused."""
        return self._bead("dep", child, parent)

    def bead_comment(self, bead: str, text: str) -> Bead:
        """Add a comment to a bead."""
        return self._bead("comment", bead, text)

    def _bead(self, *command: str) -> Bead:
        with self.attached() as (client, _):
            said = client.write_read("beads/ctl", words.join(command).encode() + b"\n")
            return {"bead": said.decode().strip()}

    @contextlib.contextmanager
    def attached(self) -> Iterator[tuple[Client, str]]:
        """Yield a connection, and who we are on it."""
        try:
            client = self._connect()
        except Unavailable as error:
            raise Unavailable(f"no AnviLLM here: {error} (anvilsrv start)") from None
        with client:
            yield client, self._identity(client)

    def _identity(self, client: Client) -> str:
        if _mode(client, "user/inbox"):
            return USER
        if self._claimed and _mode(client, f"{self._claimed}/hook") & OWNER:
            return self._claimed
        for line in _lines(client.read("list")):
            if _mode(client, f"{line[0]}/hook") & OWNER:
                return line[0]
        raise Denied("this socket belongs to no session")

    def _only_me(self, client: Client, me: str, named: str) -> str:
        if named in ("", me) or (me != USER and named == _word(client, f"{me}/alias")):
            return me
        raise Denied(f"you are '{me}', not '{named}'")


def _send(client: Client, me: str, fields: dict[str, Any]) -> str:
    """Send a message; its id, as the event tells it."""
    with client.open("events") as events:
        client.write(f"{me}/mail", _json(fields))
        for event in _until(events, time.monotonic() + TOLD):
            if event.get("type") == "message" and event.get("from") == me:
                return str(event["id"])
    return ""


def _asked(client: Client, me: str, question: str, choices: list[str], wait: float) -> dict[str, Any]:
    """Return the answer to the question; nothing if it does not come in time. Closing the file ends the question."""
    payload = {"question": question, "choices": choices}
    report = {"report": str(uuid.uuid4()), "mono": time.monotonic(), "hook": "ask_user", "payload": payload}
    with client.open(f"{me}/hook", wire.ORDWR) as file:
        file.write(_json(report))
        file.offset = 0
        try:
            found: dict[str, Any] = json.loads(file.read_all(wait) or b"{}")
        except TimedOut:
            return {}
        return found


def _until(events: Any, deadline: float) -> Iterator[dict[str, Any]]:
    rest = b""
    while (left := deadline - time.monotonic()) > 0:
        try:
            data = events.read(timeout=left)
        except TimedOut:
            return
        if not data:
            raise Unavailable("the daemon ended")
        *whole, rest = (rest + data).split(b"\n")
        yield from map(json.loads, whole)


def _ready(out: Any, wait: float) -> bytes | None:
    """Return the whole of an answer that is there within ``wait`` seconds."""
    try:
        data: bytes = out.read(timeout=wait)
        found = data
        while data:
            data = out.read(timeout=WAIT_MAX)
            found += data
    except TimedOut:
        return None
    return found


def _id(client: Client, session: str) -> str:
    """Return the id of the session with that name."""
    rows = _lines(client.read("list"))
    return next((row[0] for row in rows if session in row[:2]), "")


def _load(client: Client, path: str) -> Any:
    return json.loads(client.read(path))


def _json(fields: dict[str, Any]) -> bytes:
    return dumps(fields).encode()


def _complete(client: Client, me: str, message: str) -> bool:
    try:
        client.write(f"{me}/ctl", f"complete {message}\n".encode())
    except P9Error:
        return False
    return True


def _lines(data: bytes) -> list[list[str]]:
    return [line.split("\t") for line in data.decode().splitlines()]


def _session(client: Client, line: list[str], me: str) -> Session:
    session, alias, state, pid, cwd = line[:5]
    backend = _word(client, f"{session}/backend")
    return {
        "id": session,
        "alias": None if alias == "-" else alias,
        "state": state,
        "pid": int(pid),
        "cwd": cwd,
        "backend": backend,
        "me": session == me,
    }


def _word(client: Client, path: str) -> str:
    try:
        return client.read(path).decode().strip()
    except P9Error:
        return ""


def _state(client: Client, session: str) -> str:
    return _word(client, f"{session}/state") or "gone"


def _mode(client: Client, path: str) -> int:
    """Return the permission bits that we have there, 0 if we cannot look."""
    try:
        return client.stat(path).mode & 0o777
    except P9Error:
        return 0


def _name(bead: str) -> str:
    if not bead or "/" in bead or bead in (".", ".."):
        raise Invalid(f"not a bead id: '{bead[:60]}'")
    return bead
