"""The records of activity: the only module that uses the tables ``activity``, ``activity_size``, ``told`` and ``followed``.

A record is an object as its line of JSON. Nothing is changed that was written, since readers may have it: what says more of the same
thing comes after it. What a session has too much of goes, the oldest outputs first; that it was told is remembered, since agents repeat
what they wrote in another file: when a conversation is forked, or gone on with.

Threads: everything runs on the store's thread, in a job.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from anvilsrv.activity.schema import KINDS
from anvilsrv.store.store import Tx

PAGE = 64 << 10  # bytes of records that are read at a time, and as many more as the last has
BULK = tuple(name for name, kind in KINDS.items() if kind.bulk)
KEPT = ("prompt", "text", "edit", "end")  # kinds that go last, when there is far too much
FAR = 4  # times as much as may be kept of the others
STEP = 32  # records that go at a time
KEYS = 500_000  # numbers of a session for which it is remembered that something was told


class Record(NamedTuple):
    """A row; ``turn`` is the number of the prompt that began it."""

    seq: int
    turn: int
    line: str


class Mark(NamedTuple):
    """How far a file that an agent writes was read: which file (device, inode), and the offset of what comes next."""

    device: int
    inode: int
    offset: int


class Begun(NamedTuple):
    """Where a block begins: the path of the file that told it, and the offset there."""

    path: str
    offset: int


def last(tx: Tx, session: str) -> int:
    """Return the last number in a session; 0: it has no records."""
    row = tx.one("SELECT max(seq) AS seq FROM activity WHERE session = ?", session)
    return int(row["seq"] or 0) if row is not None else 0


def add(tx: Tx, session: str, record: Record, kind: str, ident: str) -> None:
    """Add one more."""
    tx.run(
        "INSERT INTO activity(session, seq, turn, kind, ident, line) VALUES(?,?,?,?,?,?)",
        session, record.seq, record.turn, kind, ident, record.line,
    )  # fmt: skip


def newest(tx: Tx, session: str, kind: str, ident: str) -> tuple[int, dict[str, Any]] | None:
    """Return the turn of the last object of that kind and id, and what it says."""
    row = tx.one(
        "SELECT turn, line FROM activity WHERE session = ? AND kind = ? AND ident = ? ORDER BY seq DESC LIMIT 1",
        session, kind, ident,
    )  # fmt: skip
    return None if row is None else (row["turn"], json.loads(row["line"]))


def of_turn(tx: Tx, session: str, turn: int, kind: str) -> Iterator[dict[str, Any]]:
    """Return what there is of that kind in a turn, the last first, read lazily."""
    rows = tx.run(
        "SELECT line FROM activity WHERE session = ? AND turn = ? AND kind = ? ORDER BY seq DESC", session, turn, kind
    )
    return (json.loads(row["line"]) for row in rows)


def first_told(
    tx: Tx, session: str, turn: int, kinds: tuple[str, ...], after: int = 0
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Return the records of these kinds in a turn after a number, each thing once: as it was reported first. Read
    lazily.
    """
    found = tx.run(
        f"SELECT seq, line FROM activity AS one WHERE session = ? AND turn = ? AND seq > ? AND kind IN ({marks(kinds)})"
        " AND NOT EXISTS (SELECT 1 FROM activity WHERE session = one.session AND kind = one.kind AND ident = one.ident"
        " AND ident != '' AND seq < one.seq) ORDER BY seq",
        session, turn, after, *kinds,
    )  # fmt: skip
    return ((row["seq"], json.loads(row["line"])) for row in found)


def unended(tx: Tx, session: str) -> list[dict[str, Any]]:
    """Return the last uses of tools of which no end was reported, the oldest first."""
    rows = tx.all(
        "SELECT line FROM (SELECT seq, ident, line FROM activity WHERE session = ?1 AND kind = 'tool' ORDER BY seq DESC LIMIT 100)"
        " AS one WHERE NOT EXISTS (SELECT 1 FROM activity WHERE session = ?1 AND kind = 'output' AND ident = one.ident"
        " AND json_extract(line, '$.end') IS NOT NULL) ORDER BY seq",
        session,
    )
    return [json.loads(row["line"]) for row in rows]


def page(tx: Tx, session: str, after: int, turn: int | None = None, size: int = PAGE) -> list[Record]:
    """Return the records after number ``after`` (of one turn), until they are a page; fewer only if there are no more."""
    only = "" if turn is None else "AND turn = ?4"
    args = (session, after, size) if turn is None else (session, after, size, turn)
    rows = tx.run(
        f"""SELECT seq, turn, line FROM (
            SELECT seq, turn, line, sum(length(line)) OVER (ORDER BY seq) - length(line) AS before FROM (
                SELECT seq, turn, line FROM activity WHERE session = ?1 AND seq > ?2 {only} ORDER BY seq LIMIT 500))
        WHERE before < ?3""",
        *args,
    )
    return [Record(row["seq"], row["turn"], row["line"]) for row in rows]


def trim(tx: Tx, session: str, most: int) -> None:
    """Let go what there is beyond ``most`` bytes: the oldest outputs, then the oldest of what may go; far beyond it all else too."""
    outputs, others, all_else = f"kind IN ({marks(BULK)})", f"kind NOT IN ({marks(KEPT)})", f"kind IN ({marks(KEPT)})"
    for kinds, args, bound in ((outputs, BULK, most), (others, KEPT, most), (all_else, KEPT, FAR * most)):
        while size(tx, session) > bound:
            oldest = f"(SELECT rowid FROM activity WHERE session = ? AND {kinds} ORDER BY seq LIMIT ?)"
            tx.run(
                "INSERT OR IGNORE INTO told SELECT session, kind, ident, seq FROM activity"
                f" WHERE ident != '' AND rowid IN {oldest}",
                session, *args, STEP,
            )  # fmt: skip
            gone = tx.run(f"DELETE FROM activity WHERE rowid IN {oldest}", session, *args, STEP)
            if not gone.rowcount:
                break
    tx.run("DELETE FROM told WHERE session = ? AND seq <= ?", session, last(tx, session) - KEYS)


def remember(tx: Tx, session: str, kind: str, ident: str, seq: int) -> None:
    """Record that this was reported, though not by that id."""
    tx.run("INSERT OR IGNORE INTO told VALUES(?,?,?,?)", session, kind, ident, seq)


def told(tx: Tx, session: str, kind: str, ident: str) -> bool:
    """Return True if this was reported without being a record."""
    return tx.one("SELECT 1 FROM told WHERE session = ? AND kind = ? AND ident = ?", session, kind, ident) is not None


def size(tx: Tx, session: str) -> int:
    """Return the bytes of all records of a session."""
    row = tx.one("SELECT bytes FROM activity_size WHERE session = ?", session)
    return 0 if row is None else int(row["bytes"])


def marks(kinds: Iterable[str]) -> str:
    """Return a placeholder for each, in SQL."""
    return ", ".join("?" for _ in kinds)


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM activity WHERE session = ?", session)
    tx.run("DELETE FROM activity_size WHERE session = ?", session)
    tx.run("DELETE FROM told WHERE session = ?", session)
    tx.run("DELETE FROM followed WHERE session = ?", session)


# -- files that agents write -----------------------------------------------------------------------------------------------


def followed(tx: Tx, session: str) -> dict[str, Mark]:
    """Return how far each file was read, by its path."""
    rows = tx.all("SELECT path, device, inode, offset FROM followed WHERE session = ?", session)
    return {row["path"]: Mark(row["device"], row["inode"], row["offset"]) for row in rows}


def follow(tx: Tx, session: str, read: Mapping[str, Mark | None]) -> None:
    """Record how far these were read; None: it is gone."""
    for path, mark in read.items():
        if mark is None:
            tx.run("DELETE FROM followed WHERE session = ? AND path = ?", session, path)
            continue
        tx.run("INSERT OR REPLACE INTO followed VALUES(?,?,?,?,?)", session, path, *mark)
