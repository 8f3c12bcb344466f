"""The rows of turns, and reports of turns whose submit was not heard yet: the only module that uses the tables ``turns`` and ``ends``.

All times are monotonic (s) but ``opened`` and ``ended``, which are shown.

Threads: everything runs on the store's thread, in a job.
"""

import sqlite3
from dataclasses import dataclass

from anvilsrv.sessions import tasks
from anvilsrv.sessions.tasks import Tasks
from anvilsrv.sessions.turn_machine import TurnStatus
from anvilsrv.store.store import Tx

WORKING = 200  # turns that began work in the background are looked through, the last
MOST = 100  # reports kept for turns that are not known; an agent that tells of more has lost its oldest


@dataclass(frozen=True)
class Turn:
    """A row. ``ident`` is the agent's own name for it; empty: it has none. ``tasks`` is the work in the background that it began,
    ``woken_at`` when the agent woke itself in it, while it is open."""

    session: str
    number: int
    status: TurnStatus
    ident: str
    opened_at: float
    ended_at: float
    active_at: float
    tasks: Tasks = ()
    woken_at: float | None = None


@dataclass(frozen=True)
class Kept:
    """A report of a turn that is not known yet. ``kind``: stop, fail or active."""

    kind: str
    at: float
    text: str
    pending: Tasks | None


COLUMNS = "session, number, status, ident, opened_at, ended_at, active_at, tasks, woken_at"


def _turn(row: sqlite3.Row | None) -> Turn | None:
    if row is None:
        return None
    return Turn(
        row["session"], row["number"], TurnStatus(row["status"]), row["ident"] or "", row["opened_at"],
        row["ended_at"] or 0.0, row["active_at"], tasks.read(row["tasks"]), row["woken_at"],
    )  # fmt: skip


def opened(tx: Tx, session: str) -> Turn | None:
    """Return the turn that is open."""
    return _turn(tx.one(f"SELECT {COLUMNS} FROM turns WHERE session = ? AND status = 'open'", session))


def number_open(tx: Tx, session: str) -> int:
    """Return its number; 0: none is."""
    found = opened(tx, session)
    return 0 if found is None else found.number


def unfinished(tx: Tx, session: str) -> list[Turn]:
    """Return those that are open or pending, but those that end with the open one."""
    return _those(tx, session, "status != 'closed' AND NOT shares")


def sharing(tx: Tx, session: str) -> list[Turn]:
    """Return those whose answer is to be what the open one says."""
    return _those(tx, session, "shares")


def _those(tx: Tx, session: str, what: str) -> list[Turn]:
    rows = tx.all(f"SELECT {COLUMNS} FROM turns WHERE session = ? AND {what} ORDER BY number", session)
    return [found for row in rows if (found := _turn(row)) is not None]


def pending(tx: Tx, session: str) -> list[Turn]:
    """Return those of which work goes on in the background."""
    return [one for one in unfinished(tx, session) if one.status == TurnStatus.PENDING]


def began(tx: Tx, session: str, task: str) -> Turn | None:
    """Return the first turn that began that work."""
    return next((one for one in _with_tasks(tx, session) if any(task == work.ident for work in one.tasks)), None)


def says(tx: Tx, session: str, text: str) -> str:
    """Return the name of the work that prompts the agent with that text; empty: there is none."""
    works = (work for one in _with_tasks(tx, session) for work in one.tasks)
    return next((work.ident for work in works if work.says(text)), "")


def others(tx: Tx, session: str, turn: Turn | None) -> list[str]:
    """Return the names of what other turns began."""
    found = _with_tasks(tx, session)
    return [work.ident for one in found if turn is None or one.number != turn.number for work in one.tasks]


def _with_tasks(tx: Tx, session: str) -> list[Turn]:
    rows = tx.all(
        f"SELECT {COLUMNS} FROM turns WHERE session = ? AND tasks IS NOT NULL ORDER BY number DESC LIMIT ?", session, WORKING
    )  # fmt: skip
    return [found for row in reversed(rows) if (found := _turn(row)) is not None]


def set_tasks(tx: Tx, turn: Turn, now: Tasks) -> None:
    """Store the work that it began."""
    if now != turn.tasks:
        tx.run(
            "UPDATE turns SET tasks = ? WHERE session = ? AND number = ?", tasks.kept(now), turn.session, turn.number
        )


def name(tx: Tx, turn: Turn, ident: str) -> None:
    """Record what the agent calls it now."""
    tx.run("UPDATE turns SET ident = ? WHERE session = ? AND number = ?", ident, turn.session, turn.number)


def named(tx: Tx, session: str, ident: str) -> Turn | None:
    """Return the last turn that the agent calls that."""
    return _turn(
        tx.one(f"SELECT {COLUMNS} FROM turns WHERE session = ? AND ident = ? ORDER BY number DESC LIMIT 1", session, ident)
    )  # fmt: skip


def last(tx: Tx, session: str) -> Turn | None:
    """Return the last turn of all."""
    return _turn(tx.one(f"SELECT {COLUMNS} FROM turns WHERE session = ? ORDER BY number DESC LIMIT 1", session))


def ended_last(tx: Tx, session: str) -> Turn | None:
    """Return the one that ended last, which is another if one went on after a later one had ended."""
    return _turn(
        tx.one(f"SELECT {COLUMNS} FROM turns WHERE session = ? ORDER BY ended_at DESC, number DESC LIMIT 1", session)
    )  # fmt: skip


def numbered(tx: Tx, session: str, number: int) -> Turn | None:
    """Return the turn with that number."""
    return _turn(tx.one(f"SELECT {COLUMNS} FROM turns WHERE session = ? AND number = ?", session, number))


def during(tx: Tx, session: str, at: float) -> Turn | None:
    """Return the turn that was open at that time (monotonic, s), or is."""
    now = opened(tx, session)
    if now is not None and now.opened_at <= at:
        return now
    return _turn(
        tx.one(
            f"SELECT {COLUMNS} FROM turns WHERE session = ? AND opened_at <= ? AND ended_at >= ? ORDER BY ended_at LIMIT 1",
            session, at, at,
        )
    )  # fmt: skip


def before(tx: Tx, session: str, number: int) -> Turn | None:
    """Return the turn before that one."""
    return _turn(
        tx.one(
            f"SELECT {COLUMNS} FROM turns WHERE session = ? AND number < ? ORDER BY number DESC LIMIT 1",
            session,
            number,
        )
    )


def add(tx: Tx, session: str, ident: str, at: float, woken: bool = False) -> Turn:
    """Add a turn, open since ``at``; ``woken``: the agent began it on its own."""
    row = tx.one("SELECT coalesce(max(number), 0) AS last FROM turns WHERE session = ?", session)
    number = (row["last"] if row else 0) + 1
    tx.run(
        "INSERT INTO turns(session, number, status, opened, ident, opened_at, active_at, woken_at) VALUES(?,?,?,?,?,?,?,?)",
        session, number, TurnStatus.OPEN, tx.now.wall, ident or None, at, at, at if woken else None,
    )  # fmt: skip
    tx.touch(session)
    return Turn(session, number, TurnStatus.OPEN, ident, at, 0.0, at)


def finish(tx: Tx, turn: Turn, status: TurnStatus, at: float) -> None:
    """Record that it said its answer, at that time."""
    tx.run(
        "UPDATE turns SET status = ?, ended = ?, ended_at = ?, woken_at = NULL, shares = 0 WHERE session = ? AND number = ?",
        status, tx.now.wall, at, turn.session, turn.number,
    )  # fmt: skip
    tx.touch(turn.session)


def reopen(tx: Tx, turn: Turn, ident: str, at: float, woken: bool) -> None:
    """Open it again, ``woken`` by the agent itself; under another name if the agent gave it one."""
    tx.run(
        "UPDATE turns SET status = 'open', active_at = ?, ident = coalesce(?, ident), woken_at = ?, shares = 0"
        " WHERE session = ? AND number = ?", at, ident or None, at if woken else None, turn.session, turn.number,
    )  # fmt: skip
    tx.touch(turn.session)


def share(tx: Tx, turn: Turn) -> None:
    """Make what the open one says this one's answer too; where this one was open itself until now, it has said nothing
    yet.
    """
    if turn.status == TurnStatus.OPEN:
        finish(tx, turn, TurnStatus.PENDING, turn.active_at)
    tx.run("UPDATE turns SET shares = 1 WHERE session = ? AND number = ?", turn.session, turn.number)


def note(tx: Tx, turn: Turn, at: float) -> None:
    """Record that something happened in it."""
    tx.run(
        "UPDATE turns SET active_at = max(active_at, ?) WHERE session = ? AND number = ?", at, turn.session, turn.number
    )


def mark(tx: Tx, session: str, number: int | None, mail: int) -> None:
    """Record ``mail`` as the newest message when that turn began."""
    tx.run("UPDATE turns SET mail = ? WHERE session = ? AND number = ? AND mail = 0", mail, session, number)


def marked(tx: Tx, session: str, number: int | None) -> int:
    """Return the newest message when that turn began; 0: there is no such turn."""
    row = tx.one("SELECT mail FROM turns WHERE session = ? AND number = ?", session, number)
    return int(row["mail"]) if row else 0


# -- reports of turns that are not known yet ------------------------------------------------------------------------------


def keep(tx: Tx, session: str, ident: str, report: Kept) -> None:
    """Keep an end until the turn's submit is heard."""
    tx.run(
        "INSERT INTO ends(session, ident, at, kind, text, pending, tasks) VALUES(?,?,?,?,?,?,?)",
        session, ident, report.at, report.kind, report.text, bool(report.pending),
        None if report.pending is None else tasks.kept(report.pending) or "[]",
    )  # fmt: skip
    tx.run(
        "DELETE FROM ends WHERE session = ?1 AND rowid <= (SELECT max(rowid) FROM ends WHERE session = ?1) - ?2",
        session, MOST,
    )  # fmt: skip


def kept(tx: Tx, session: str, ident: str, since: float) -> list[Kept]:
    """Take what was kept of the turn of that name that began at ``since``, in the order of time; it is kept no longer."""
    rows = tx.all(
        "SELECT kind, at, text, tasks FROM ends WHERE session = ? AND ident = ? AND at >= ? ORDER BY at", session, ident, since
    )  # fmt: skip
    tx.run("DELETE FROM ends WHERE session = ? AND ident = ?", session, ident)
    return [
        Kept(row["kind"], row["at"], row["text"], None if row["tasks"] is None else tasks.read(row["tasks"]))
        for row in rows
    ]


def unkeep(tx: Tx, session: str) -> None:
    """Forget what was kept: the process is gone, and what its hooks reported has been heard."""
    tx.run("DELETE FROM ends WHERE session = ?", session)


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM turns WHERE session = ?", session)
    tx.run("DELETE FROM ends WHERE session = ?", session)
