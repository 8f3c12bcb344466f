"""Texts that are still being written to ``in`` and ``context``: the only module that reads and writes ``drafts`` and ``chunks``.

Threads: functions run on the store's thread, in a job.
"""

from typing import NamedTuple

from anvilsrv.store.store import Tx

FULL = 4096  # bytes; a client that writes as much at a time may have more (9p(1))


class Draft(NamedTuple):
    """A draft: of which session, for which file; ``whole`` unless its last write was as long as writes get."""

    id: int
    session: str
    file: str
    whole: bool


def add(tx: Tx, draft: int | None, session: str, file: str, data: bytes, count: int) -> int:
    """Append ``data`` to ``draft`` (None: a new one); ``count`` bytes were written. Returns the draft's number."""
    if draft is None:
        draft = tx.run("INSERT INTO drafts(session, file) VALUES(?, ?)", session, file).lastrowid or 0
    tx.run("INSERT INTO chunks(draft, offset, data) SELECT ?1, count(*), ?2 FROM chunks WHERE draft = ?1", draft, data)
    tx.run("UPDATE drafts SET last = ? WHERE id = ?", count, draft)
    return draft


def take(tx: Tx, draft: int) -> bytes:
    """The bytes of a draft, which is then gone."""
    data = b"".join(row["data"] for row in tx.all("SELECT data FROM chunks WHERE draft = ? ORDER BY offset", draft))
    tx.run("DELETE FROM chunks WHERE draft = ?", draft)
    tx.run("DELETE FROM drafts WHERE id = ?", draft)
    return data


def left(tx: Tx) -> list[Draft]:
    """Those that were open when a daemon ended, in their order."""
    rows = tx.all("SELECT * FROM drafts ORDER BY id")
    return [Draft(row["id"], row["session"], row["file"], row["last"] < FULL) for row in rows]


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM chunks WHERE draft IN (SELECT id FROM drafts WHERE session = ?)", session)
    tx.run("DELETE FROM drafts WHERE session = ?", session)
