"""The prompts: the only module that reads and writes the table ``prompts``, and the conversation made of them.

Threads: methods run on the store's thread, in a job.
"""

import sqlite3
import time
from dataclasses import dataclass
from typing import NamedTuple

from anvilsrv.display import sanitize
from anvilsrv.errors import Invalid, NoResponse
from anvilsrv.sessions.machine import ACTIVE, WAITING, Status
from anvilsrv.sessions.state import Session
from anvilsrv.store.store import Tx

PAGE = 1 << 16  # bytes of a conversation made in one job, and as many more as its last block has
TYPED = "typed"  # the origin of what a person typed into the pane


@dataclass(frozen=True)
class Prompt:
    """A row. ``message`` is the mail that it delivers; ``pasted``: it was sent before, and may still be taken up."""

    id: int
    session: str
    origin: str
    message: str | None
    text: str
    status: Status
    pasted: bool
    turn: int | None
    response: bytes | None
    error: str | None
    created: float
    started: float | None
    ended: float | None
    n: int  # its number in the session
    took: float | None  # s from its beginning to its end


COLUMNS = "id, session, origin, message, text, status, pasted, turn, response, error, created, started, ended, n, took"


def quoted(statuses: tuple[Status, ...]) -> str:
    """The statuses as a list of SQL."""
    return "(" + ", ".join(f"'{one}'" for one in statuses) + ")"


def prompt_of(row: sqlite3.Row) -> Prompt:
    """The typed value of a row."""
    return Prompt(
        row["id"], row["session"], row["origin"], row["message"], row["text"], Status(row["status"]), bool(row["pasted"]),
        row["turn"], row["response"], row["error"], row["created"], row["started"], row["ended"], row["n"], row["took"],
    )  # fmt: skip


def _one(tx: Tx, where: str, *args: object) -> Prompt | None:
    row = tx.one(f"SELECT {COLUMNS} FROM prompts WHERE {where} LIMIT 1", *args)
    return None if row is None else prompt_of(row)


def get(tx: Tx, number: int) -> Prompt | None:
    """The prompt of that number, or None."""
    return _one(tx, "id = ?", number)


def numbered(tx: Tx, session: str, n: int) -> Prompt | None:
    """The prompt with that number in its session, or None."""
    return _one(tx, "session = ? AND n = ?", session, n)


def add(
    tx: Tx, session: str, n: int, text: str, origin: str, message: str | None, status: Status = Status.QUEUED
) -> int:
    """A new prompt, number ``n`` of its session, last in the queue; its id. Raises Invalid if it is empty and nobody typed it."""
    if origin != TYPED and not text.strip():
        raise Invalid("empty prompt")
    tx.touch(session)
    return tx.run(
        "INSERT INTO prompts(session, n, place, origin, message, text, status, created)"
        " VALUES(?1,?2,(SELECT coalesce(max(place), 0) + 1 FROM prompts WHERE session = ?1),?3,?4,?5,?6,?7)",
        session, n, origin, message, text, status, tx.now.wall,
    ).lastrowid or 0  # fmt: skip


def head(tx: Tx, session: str) -> Prompt | None:
    """The first in the queue."""
    return _one(tx, "session = ? AND status = 'queued' ORDER BY place", session)


def active(tx: Tx, session: str) -> Prompt | None:
    """The one that is on its way or runs."""
    return _one(tx, f"session = ? AND status IN {quoted(ACTIVE)}", session)


def waiting(tx: Tx, session: str) -> list[Prompt]:
    """All whose answer may still come."""
    rows = tx.all(
        f"SELECT {COLUMNS} FROM prompts WHERE session = ? AND status IN {quoted(WAITING)} ORDER BY id", session
    )
    return [prompt_of(row) for row in rows]


def queued(tx: Tx, session: str) -> list[int]:
    """The numbers of the queue."""
    return [
        row["id"]
        for row in tx.all("SELECT id FROM prompts WHERE session = ? AND status = 'queued' ORDER BY id", session)
    ]


def mark(tx: Tx, prompt: Prompt, status: Status) -> None:
    """The next status on its way."""
    tx.run("UPDATE prompts SET status = ? WHERE id = ?", status, prompt.id)
    tx.touch(prompt.session)


def requeue(tx: Tx, prompt: Prompt) -> None:
    """Back into the queue, to its place."""
    sent = int(prompt.status == Status.SENT)
    tx.run("UPDATE prompts SET status = 'queued', pasted = ? WHERE id = ?", sent, prompt.id)
    tx.touch(prompt.session)


def begin(tx: Tx, prompt: Prompt, turn: int) -> None:
    """The agent took it, in that turn."""
    tx.run(
        "UPDATE prompts SET status = 'taken', turn = ?, started = ?, began = ? WHERE id = ?",
        turn, tx.now.wall, tx.now.monotonic, prompt.id,
    )  # fmt: skip
    tx.touch(prompt.session)


def end(tx: Tx, prompt: Prompt, response: str | None, error: str | None) -> None:
    """Its answer, or the reason that there is none."""
    data = None if response is None else exact(response)
    status = Status.FAILED if error else Status.DONE
    tx.run(
        "UPDATE prompts SET status = ?, response = ?, error = ?, ended = ?, took = max(0.0, ? - began) WHERE id = ?",
        status, data, error, tx.now.wall, tx.now.monotonic, prompt.id,
    )  # fmt: skip
    tx.touch(prompt.session)


def edit(tx: Tx, prompt: Prompt, text: str) -> None:
    """Another text, while it is queued. Raises Invalid for one that says nothing."""
    if not text.strip():
        raise Invalid("empty prompt")
    tx.run("UPDATE prompts SET text = ?, pasted = 0 WHERE id = ?", text, prompt.id)
    tx.touch(prompt.session)


def first(tx: Tx, prompt: Prompt) -> None:
    """To the head of the queue."""
    tx.run(
        "UPDATE prompts SET place = (SELECT min(place) - 1 FROM prompts WHERE session = ?) WHERE id = ?",
        prompt.session, prompt.id,
    )  # fmt: skip
    tx.touch(prompt.session)


def drop(tx: Tx, prompt: Prompt) -> None:
    """Out of the queue."""
    tx.run("UPDATE prompts SET status = 'withdrawn', ended = ? WHERE id = ?", tx.now.wall, prompt.id)
    tx.touch(prompt.session)


def withdraw(tx: Tx, session: str, message: str) -> list[int]:
    """Take what delivers ``message`` out of the queue, if it is still there; the numbers taken."""
    gone = [
        row["id"]
        for row in tx.all(
            "UPDATE prompts SET status = 'withdrawn', ended = ? WHERE session = ? AND message = ? AND status = 'queued' RETURNING id",
            tx.now.wall, session, message,
        )
    ]  # fmt: skip
    tx.touch(session)
    return gone


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM prompts WHERE session = ?", session)


SHOWN = {  # of a prompt, in ``turns/list``
    Status.QUEUED: "queued", Status.CHOSEN: "sending", Status.PASTED: "sending", Status.SENT: "sending", Status.TAKEN: "running",
    Status.DONE: "done", Status.FAILED: "failed", Status.WITHDRAWN: "withdrawn",
}  # fmt: skip
FIRST_WORDS = 60  # characters


def every(tx: Tx, session: str) -> list[Prompt]:
    """All of a session: what is over or runs in the order of their numbers, then the queue in its own."""
    rows = tx.all(
        f"SELECT {COLUMNS} FROM prompts WHERE session = ? ORDER BY status = 'queued', CASE status WHEN 'queued' THEN place ELSE n END",
        session,
    )
    return [prompt_of(row) for row in rows]


def line(prompt: Prompt) -> bytes:
    """Its line in ``turns/list``: number, state, origin, when, seconds, lines added, lines removed, first words."""
    origin = TYPED if prompt.origin == TYPED else "mail" if prompt.message else "queue"
    took = "-" if prompt.took is None else f"{prompt.took:.1f}"
    words = " ".join("".join(c if c.isprintable() else " " for c in prompt.text[: 4 * FIRST_WORDS]).split())[
        :FIRST_WORDS
    ]
    return f"{prompt.n}\t{SHOWN[prompt.status]}\t{origin}\t{stamp(prompt.created)}\t{took}\t-\t-\t{words}\n".encode()


class Known(NamedTuple):
    """What a view shows of a session's prompts: how many are queued, the last turn's number, the last
    prompt's, and the one on its way or running."""

    queued: int
    turns: int
    last: int
    prompt: int
    status: Status | None


def known(tx: Tx, session: str) -> Known:
    """See :class:`Known`."""
    row = tx.one(
        "SELECT (SELECT count(*) FROM prompts WHERE session = ?1 AND status = 'queued') AS queued,"
        " (SELECT coalesce(max(turn), 0) FROM prompts WHERE session = ?1) AS turns,"
        " (SELECT coalesce(max(n), 0) FROM prompts WHERE session = ?1) AS last",
        session,
    )
    assert row is not None
    current = tx.one(f"SELECT id, status FROM prompts WHERE session = ? AND status IN {quoted(ACTIVE)}", session)
    if current is None:
        return Known(row["queued"], row["turns"], row["last"], 0, None)
    return Known(row["queued"], row["turns"], row["last"], current["id"], Status(current["status"]))


def text_of_turn(tx: Tx, session: str, turn: int) -> str | None:
    """What the turn was begun with; None if there is no such turn."""
    row = tx.one("SELECT text FROM prompts WHERE session = ? AND turn = ?", session, turn)
    return None if row is None else str(row["text"])


def last(tx: Tx, session: str) -> int:
    """The id of the last prompt accepted that is not answered yet, else of the last that was; 0 if there was none.

    What a person types into the pane counts only when nothing that was written to a file is waiting.
    """
    found = _one(
        tx, f"session = ? AND status IN {quoted(WAITING)} ORDER BY origin != 'typed' DESC, n DESC", session
    ) or _one(tx, "session = ? AND status IN ('done', 'failed') ORDER BY n DESC", session)
    return found.id if found else 0


def response(prompt: Prompt | None, session: Session | None) -> bytes | None:
    """The answer to ``prompt`` of ``session``; None while it may still come. Raises NoResponse when it cannot."""
    if prompt is None or session is None:
        raise NoResponse("no response: the session was killed")
    if prompt.status in (Status.FAILED, Status.WITHDRAWN):
        raise NoResponse(f"no response: {prompt.error or 'withdrawn'}")
    if prompt.status == Status.QUEUED and not session.live:
        why = f": {session.error}" if session.error else ""
        raise NoResponse(f"no response now: the session is {session.state}{why}")
    return bytes(prompt.response or b"") if prompt.status == Status.DONE else None


def clean(text: str) -> str:
    """A prompt as it may be typed: line ends made LF, control bytes out, no newlines at the end."""
    return sanitize(text).rstrip("\n")


def exact(text: str) -> bytes:
    """The bytes of a response; what an agent could not say in UTF-8 came as surrogate escapes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def stamp(when: float) -> str:
    """A time (epoch s) as files show it: local, with its zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(when))


def block(word: str, when: float, text: str) -> bytes:
    """One block of a conversation: a header line, the text indented by a tab, an empty line."""
    paragraphs = map(
        indented, text.rstrip("\n").split("\n\n")
    )  # few replacements in megabytes, not a step for each line
    return "".join((word, " ", stamp(when), "\n", "\n\n".join(paragraphs), "\n\n")).encode("utf-8", "replace")


def indented(text: str) -> str:
    """Lines without an empty one, but for the first, each with a tab before it."""
    if text.startswith("\n"):
        return "\n" + indented(text[1:])
    return "\t" + text.replace("\n", "\n\t") if text else ""


def conversation_page(tx: Tx, session: str, cursor: int) -> tuple[bytes, int]:
    """Blocks of a conversation from ``cursor`` (block 2k is what was said in turn k + 1, 2k + 1 the answer), until they are a page."""
    rows = tx.run(f"SELECT {COLUMNS} FROM prompts WHERE session = ? AND turn > ? ORDER BY turn", session, cursor // 2)
    out = bytearray()
    for one in map(prompt_of, rows):
        if len(out) >= PAGE:
            break
        if cursor == 2 * ((one.turn or 0) - 1):
            out += block("USER", one.started or one.created, one.text)
            cursor += 1
        if one.status not in (Status.DONE, Status.FAILED):
            break
        said = (one.response or b"").decode("utf-8", "replace") if one.status == Status.DONE else f"[{one.error}]"
        out += block("ASSISTANT", one.ended or one.created, said)
        cursor += 1
    rows.close()
    return bytes(out), cursor
