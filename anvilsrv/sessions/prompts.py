"""The prompts: the only module that reads and writes the table ``prompts`` (and ``asked`` and ``answers``, which triggers keep).

Threads: methods run on the store's thread, in a job.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from anvilsrv.allowance import BOUNDS
from anvilsrv.errors import Invalid
from anvilsrv.sessions.machine import ON_ITS_WAY, WAITING, Status
from anvilsrv.sessions.prompt import AGENT, TYPED, Prompt, exact
from anvilsrv.store.store import Tx

SHORT = 1024  # bytes of an answer that is always kept
OURS = 5  # of the texts that were typed last: what may stand in an input


COLUMNS = (
    "id, session, origin, message, text, status, turn, response, error, created, started, ended, n, took,"
    " pasted_at, sent_at, pastes, presses, tries, typed, mark, link"
)
FORGOTTEN = "pasted_at = NULL, sent_at = NULL, presses = 0, typed = NULL, mark = NULL, link = NULL"


def quoted(statuses: tuple[Status, ...]) -> str:
    """Return the statuses as a list of SQL."""
    return "(" + ", ".join(f"'{one}'" for one in statuses) + ")"


def prompt_of(row: sqlite3.Row) -> Prompt:
    """Return the typed value of a row."""
    made = dict(row)
    return Prompt(**{**made, "status": Status(made["status"])})


def _one(tx: Tx, where: str, *args: object) -> Prompt | None:
    row = tx.one(f"SELECT {COLUMNS} FROM prompts WHERE {where} LIMIT 1", *args)
    return None if row is None else prompt_of(row)


def _all(tx: Tx, where: str, *args: object) -> list[Prompt]:
    return [prompt_of(row) for row in tx.all(f"SELECT {COLUMNS} FROM prompts WHERE {where}", *args)]


# -- one, or some ------------------------------------------------------------------------------------------------------


def get(tx: Tx, number: int) -> Prompt | None:
    """Return the prompt with that id, or None."""
    return _one(tx, "id = ?", number)


def there(tx: Tx, number: int) -> Prompt:
    """Return the prompt with that id, which exists."""
    found = get(tx, number)
    assert found is not None
    return found


def numbered(tx: Tx, session: str, n: int) -> Prompt | None:
    """Return the prompt with that number in its session, or None."""
    return _one(tx, "session = ? AND n = ?", session, n)


def head(tx: Tx, session: str) -> Prompt | None:
    """Return the first in the queue."""
    return _one(tx, "session = ? AND status = 'queued' ORDER BY place", session)


def on_its_way(tx: Tx, session: str) -> Prompt | None:
    """Return the one that is being delivered."""
    return _one(tx, f"session = ? AND status IN {quoted(ON_ITS_WAY)}", session)


def delivers(tx: Tx, session: str, message: str) -> Prompt | None:
    """Return what delivers that mail and is not over yet."""
    return _one(tx, f"session = ? AND message = ? AND status IN {quoted(WAITING)}", session, message)


def tried(tx: Tx, session: str) -> list[Prompt]:
    """Return those in the queue that were pasted before, in its order."""
    return _all(tx, "session = ? AND status = 'queued' AND pasted_at IS NOT NULL ORDER BY place", session)


def doubted(tx: Tx, session: str, since: float) -> float | None:
    """Return when Enter was last pressed, not before ``since``, for one that failed without having been taken, as far
    as is known.
    """
    row = tx.one(
        "SELECT max(sent_at) AS sent FROM prompts WHERE session = ? AND status = 'failed' AND turn IS NULL AND link IS NULL"
        " AND sent_at >= ? AND text NOT LIKE '/%'",
        session, since,
    )  # fmt: skip
    return None if row is None else row["sent"]


def of_turn(tx: Tx, session: str, turn: int) -> list[Prompt]:
    """Return those that were taken in that turn, in the order in which they were."""
    return _all(tx, "session = ? AND turn = ? ORDER BY started, id", session, turn)


def first_number(tx: Tx, session: str, turn: int) -> int:
    """Return the number of the prompt that began that turn, which is what readers call it by; 0: there is none."""
    row = tx.one("SELECT n FROM prompts WHERE session = ? AND turn = ? ORDER BY started, id LIMIT 1", session, turn)
    return 0 if row is None else int(row["n"])


def answered(tx: Tx, session: str) -> int:
    """Return the number of the last prompt that is answered, or failed; 0: none is."""
    row = tx.one(
        "SELECT n FROM prompts WHERE session = ? AND status IN ('done', 'failed') ORDER BY n DESC LIMIT 1", session
    )
    return 0 if row is None else int(row["n"])


def waiting(tx: Tx, session: str) -> list[Prompt]:
    """Return all whose answer may still come."""
    return _all(tx, f"session = ? AND status IN {quoted(WAITING)} ORDER BY id", session)


def queued(tx: Tx, session: str) -> list[int]:
    """Return the numbers of the queue."""
    return [
        row["id"]
        for row in tx.all("SELECT id FROM prompts WHERE session = ? AND status = 'queued' ORDER BY id", session)
    ]


def texts(tx: Tx, session: str) -> list[str]:
    """Return what was typed last, the newest first: what of ours may be in the input."""
    rows = tx.all(
        "SELECT coalesce(typed, text) AS words FROM prompts WHERE session = ? AND pastes > 0 ORDER BY id DESC LIMIT ?",
        session, OURS,
    )  # fmt: skip
    return [row["words"] for row in rows]


def longest(tx: Tx, session: str, transcript: str) -> int:
    """Return the greatest length of that file, in bytes, when a prompt was pasted; 0: it was not there."""
    row = tx.one(
        "SELECT max(json_extract(mark, '$[1]')) AS size FROM prompts WHERE session = ? AND json_extract(mark, '$[0]') = ?",
        session, transcript,
    )  # fmt: skip
    return int(row["size"] or 0) if row is not None else 0


def waiting_of(tx: Tx, origin: str) -> tuple[int, int]:
    """Return how many prompts of ``origin`` are queued, in all sessions, and their bytes."""
    row = tx.one("SELECT prompts, bytes FROM asked WHERE origin = ?", origin)
    return (row["prompts"], row["bytes"]) if row else (0, 0)


def every(tx: Tx, session: str) -> list[Prompt]:
    """Return all of a session: what is over or runs in the order of their numbers, then the queue in its own."""
    return _all(tx, "session = ? ORDER BY status = 'queued', CASE status WHEN 'queued' THEN place ELSE n END", session)


def last(tx: Tx, session: str) -> int:
    """Return the id of the last prompt accepted that is not answered yet, else of the last that was; 0 if there was
    none.

    What a person types into the pane, or the agent gives itself, counts only when nothing that was written to a file is waiting.
    """
    found = _one(
        tx,
        f"session = ? AND status IN {quoted(WAITING)} ORDER BY origin NOT IN ('typed', 'agent') DESC, n DESC",
        session,
    ) or _one(tx, "session = ? AND status IN ('done', 'failed') ORDER BY n DESC", session)
    return found.id if found else 0


# -- changes -----------------------------------------------------------------------------------------------------------


def add(
    tx: Tx, session: str, n: int, text: str, origin: str, message: str | None, status: Status = Status.QUEUED
) -> int:
    """Add a prompt, number ``n`` of its session, last in the queue. Returns its id. Raises Invalid if it is empty and a
    person wrote it.
    """
    if origin in (TYPED, AGENT):
        text = _within(tx, session, text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
    elif not text.strip():
        raise Invalid("empty prompt")
    tx.touch(session)
    return tx.run(
        "INSERT INTO prompts(session, n, place, origin, message, text, status, created)"
        " VALUES(?1,?2,(SELECT coalesce(max(place), 0) + 1 FROM prompts WHERE session = ?1),?3,?4,?5,?6,?7)",
        session, n, origin, message, text, status, tx.now.wall,
    ).lastrowid or 0  # fmt: skip


def choose(tx: Tx, prompt: Prompt) -> None:
    """Choose it as the next to be typed."""
    _change(tx, prompt, "status = 'chosen', tries = tries + 1")


def paste(tx: Tx, prompt: Prompt, typed: str, mark: str | None) -> None:
    """Record that it is about to be pasted, as ``typed``."""
    _change(
        tx, prompt, "status = 'pasted', pastes = pastes + 1, presses = 0, sent_at = NULL, pasted_at = ?, typed = ?, mark = ?",
        tx.now.monotonic, None if typed == prompt.text else typed, mark,
    )  # fmt: skip


def press(tx: Tx, prompt: Prompt) -> None:
    """Record that its Enter is about to be pressed."""
    _change(tx, prompt, "status = 'sent', presses = presses + 1, sent_at = coalesce(sent_at, ?)", tx.now.monotonic)


def unpress(tx: Tx, prompt: Prompt) -> None:
    """Record that it was not."""
    left = prompt.presses - 1
    kept = "" if left else ", status = 'pasted', sent_at = NULL"
    _change(tx, prompt, f"presses = ?{kept}", left)


def hand(tx: Tx, prompt: Prompt, link: str) -> None:
    """Record that it is given in the reply ``link``."""
    _change(
        tx, prompt, "status = 'sent', link = ?, sent_at = ?, pasted_at = ?", link, tx.now.monotonic, tx.now.monotonic
    )


def giving(tx: Tx, prompt: Prompt, on: bool) -> None:
    """Record whether it counts as TAKEN although a program has still to say that the agent has it."""
    _change(tx, prompt, "giving = ?", on)


def is_giving(tx: Tx, session: str, turn: int, link: str = "") -> bool:
    """Return whether a prompt of that turn, or the one that the reply ``link`` carried, is such."""
    row = tx.one(
        "SELECT 1 FROM prompts WHERE session = ?1 AND turn = ?2 AND status = 'taken' AND giving AND ?3 IN ('', link)",
        session, turn, link,
    )  # fmt: skip
    return row is not None


def requeue(tx: Tx, prompt: Prompt) -> None:
    """Put it back into the queue, at its place; that it was pasted is remembered."""
    _change(tx, prompt, "status = 'queued', sent_at = NULL, presses = 0, link = NULL")


def unpaste(tx: Tx, prompt: Prompt) -> None:
    """Put it back into the queue: certainly nothing of it has reached the agent."""
    _change(tx, prompt, f"status = 'queued', {FORGOTTEN}")


def begin(tx: Tx, prompt: Prompt, turn: int) -> None:
    """Record that the agent took it, in that turn."""
    _change(
        tx,
        prompt,
        "status = 'taken', turn = ?, started = ?, began = ?, giving = 0",
        turn,
        tx.now.wall,
        tx.now.monotonic,
    )


def end(tx: Tx, prompt: Prompt, response: str | None, error: str | None) -> None:
    """Store its answer, or the reason that there is none."""
    data = None if response is None else _within(tx, prompt.session, exact(response))
    status = Status.FAILED if error else Status.DONE
    _change(
        tx, prompt, "status = ?, response = ?, error = ?, ended = ?, took = max(0.0, ? - began)",
        status, data, error, tx.now.wall, tx.now.monotonic,
    )  # fmt: skip


def correct(tx: Tx, prompt: Prompt, response: str) -> None:
    """Replace its answer by what its turn said later."""
    _change(tx, prompt, "response = ?", _within(tx, prompt.session, exact(response)))


def _within(tx: Tx, session: str, said: bytes) -> bytes:
    """Return what an agent said as it is stored: whole, while all answers have room; then a line with its size instead."""
    row, bound = tx.one("SELECT bytes FROM answers WHERE session = ?", session), BOUNDS["answers"]
    if (row["bytes"] if row else 0) + len(said) <= bound.most or len(said) <= SHORT:
        return said
    return f"({len(said):,} bytes were not kept: {bound.full.format(bound.figure)})".encode()


def edit(tx: Tx, prompt: Prompt, text: str) -> None:
    """Replace its text while it is queued. Raises Invalid for an empty one."""
    if not text.strip():
        raise Invalid("empty prompt")
    _change(tx, prompt, f"text = ?, pastes = 0, {FORGOTTEN}", text)


def first(tx: Tx, prompt: Prompt) -> None:
    """Move it to the head of the queue."""
    _change(tx, prompt, "place = (SELECT min(place) - 1 FROM prompts WHERE session = ?)", prompt.session)


def withdraw(tx: Tx, prompt: Prompt) -> None:
    """Take it out of the queue."""
    _change(tx, prompt, "status = 'withdrawn', ended = ?", tx.now.wall)


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM prompts WHERE session = ?", session)
    tx.run("DELETE FROM answers WHERE session = ?", session)
    tx.run("DELETE FROM asked WHERE origin = ?", session)


def _change(tx: Tx, prompt: Prompt, columns: str, *values: object) -> None:
    tx.run(f"UPDATE prompts SET {columns} WHERE id = ?", *values, prompt.id)
    tx.touch(prompt.session)


# -- what is shown -----------------------------------------------------------------------------------------------------


class Known(NamedTuple):
    """What a view shows of a session's prompts: how many are queued, the last one's number, and the one on its way: its id, status,
    how often it was chosen, and whether a reply carries it."""

    queued: int
    last: int
    prompt: int
    status: Status | None
    tries: int
    handed_over: bool


def known(tx: Tx, session: str) -> Known:
    """See :class:`Known`."""
    row = tx.one(
        "SELECT (SELECT count(*) FROM prompts WHERE session = ?1 AND status = 'queued') AS queued,"
        " (SELECT coalesce(max(n), 0) FROM prompts WHERE session = ?1) AS last",
        session,
    )
    assert row is not None
    current = tx.one(
        f"SELECT id, status, tries, link IS NOT NULL AS carried FROM prompts WHERE session = ? AND status IN {quoted(ON_ITS_WAY)}",
        session,
    )
    if current is None:
        return Known(row["queued"], row["last"], 0, None, 0, False)
    return Known(
        row["queued"], row["last"], current["id"], Status(current["status"]), current["tries"], bool(current["carried"])
    )


def spoken(tx: Tx, session: str, after: int) -> Iterator[tuple[Prompt, list[Prompt]]]:
    """Yield the first prompt of each turn after that one, and those that joined it."""
    rows = tx.run(
        f"SELECT {COLUMNS} FROM prompts WHERE session = ? AND turn > ? ORDER BY turn, started, id", session, after
    )
    first, joined = None, list[Prompt]()
    for one in map(prompt_of, rows):
        if first is not None and one.turn == first.turn:
            joined.append(one)
            continue
        if first is not None:
            yield first, joined
        first, joined = one, []
    if first is not None:
        yield first, joined
    rows.close()


def spoken_of(tx: Tx, session: str) -> int:
    """Return the number of beginnings and ends of turns that there were: two for each that is over, one for the one
    that is not.
    """
    row = tx.one(
        "SELECT (SELECT min(turn) FROM prompts WHERE session = ? AND status = ?) AS going,"
        " (SELECT max(turn) FROM prompts WHERE session = ?) AS last",
        session, Status.TAKEN, session,
    )  # fmt: skip
    assert row is not None
    return 2 * row["going"] - 1 if row["going"] else 2 * (row["last"] or 0)
