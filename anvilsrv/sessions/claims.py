"""The tasks that sessions claimed when they were made: the table ``claims``.

Threads: everything runs on the store's thread, in a job.
"""

from anvilsrv.store.store import Tx


def add(tx: Tx, session: str, bead: str) -> None:
    """Record that the session, which exists, is to have that task."""
    tx.run("INSERT OR REPLACE INTO claims VALUES(?, ?)", session, bead)


def every(tx: Tx) -> dict[str, str]:
    """Return the claims by session, also of sessions that are gone."""
    return {row["session"]: row["bead"] for row in tx.all("SELECT session, bead FROM claims")}


def forget(tx: Tx, session: str) -> None:
    """Forget the claim of a session that has none any more."""
    tx.run("DELETE FROM claims WHERE session = ?", session)
