"""What the daemon itself remarks in a conversation: what a turn left in repositories. The table ``remarks``.

Threads: in jobs, on the store's thread.
"""

from typing import NamedTuple

from anvilsrv.sessions import prompts
from anvilsrv.store.store import Tx

KEEP = 1000  # of a session


class Remark(NamedTuple):
    """One of them; ``block`` is the number of blocks of the conversation that stand before it."""

    seq: int
    block: int
    at: float
    text: str


def add(tx: Tx, session: str, text: str) -> None:
    """Add a remark after everything that can be read of the conversation so far: what was read stays as it was."""
    block = prompts.spoken_of(tx, session)
    tx.run("INSERT INTO remarks(session, block, at, text) VALUES(?, ?, ?, ?)", session, block, tx.now.wall, text)
    tx.run(
        "DELETE FROM remarks WHERE session = ? AND seq <="
        " (SELECT seq FROM remarks WHERE session = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
        session, session, KEEP,
    )  # fmt: skip


def after(tx: Tx, session: str, seq: int) -> list[Remark]:
    """Return those that came after that one, in their order."""
    rows = tx.run("SELECT seq, block, at, text FROM remarks WHERE session = ? AND seq > ? ORDER BY seq", session, seq)
    return [Remark(*row) for row in rows]


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM remarks WHERE session = ?", session)
