"""Texts that are still being written to ``in`` and ``context``: the only module that reads and writes ``drafts`` and ``chunks``.

Threads: functions run on the store's thread, in a job.
"""

import os
from typing import NamedTuple

from anvilsrv.store.store import Tx

FULL = 4096  # bytes; a client that writes as much at a time may have more (9p(1))


class Draft(NamedTuple):
    """A draft: of which session, for which file (its path below the session's directory); ``whole`` unless its last write was as
    long as writes get. ``n`` is the number that its prompt will have; 0: it is none."""

    id: int
    session: str
    file: str
    whole: bool
    n: int


class Taken(NamedTuple):
    """What was written: the bytes, in how many writes, and the number that the prompt has."""

    data: bytes
    writes: int
    n: int


def fresh() -> int:
    """Return an id for a new draft. Its writer knows it from the first write on, so a job that is rolled back leaves
    nothing behind.
    """
    return int.from_bytes(os.urandom(7)) + 1


def add(tx: Tx, draft: int, session: str, file: str, n: int, data: bytes, count: int) -> None:
    """Append ``data`` to ``draft``; ``count`` bytes were written. With the first write it is made, with number ``n``."""
    tx.run("INSERT OR IGNORE INTO drafts(id, session, file, n) VALUES(?,?,?,?)", draft, session, file, n)
    tx.run("INSERT INTO chunks(draft, offset, data) SELECT ?1, count(*), ?2 FROM chunks WHERE draft = ?1", draft, data)
    tx.run("UPDATE drafts SET last = ? WHERE id = ?", count, draft)


def there(tx: Tx, draft: int) -> bool:
    """Return whether something of it is on disk."""
    return tx.one("SELECT 1 FROM drafts WHERE id = ?", draft) is not None


def take(tx: Tx, draft: int) -> Taken:
    """Take a draft, which is then gone. One that does not exist is empty."""
    row = tx.one("SELECT n FROM drafts WHERE id = ?", draft)
    pieces = [row["data"] for row in tx.all("SELECT data FROM chunks WHERE draft = ? ORDER BY offset", draft)]
    tx.run("DELETE FROM chunks WHERE draft = ?", draft)
    tx.run("DELETE FROM drafts WHERE id = ?", draft)
    return Taken(b"".join(pieces), len(pieces), row["n"] if row else 0)


def left(tx: Tx) -> list[Draft]:
    """Return those that were open when a daemon ended, in the order of their first writes."""
    rows = tx.all("SELECT * FROM drafts ORDER BY (SELECT min(rowid) FROM chunks WHERE draft = drafts.id)")
    return [Draft(row["id"], row["session"], row["file"], row["last"] < FULL, row["n"]) for row in rows]


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM chunks WHERE draft IN (SELECT id FROM drafts WHERE session = ?)", session)
    tx.run("DELETE FROM drafts WHERE session = ?", session)
