"""The rows of sessions, and the ids of those that were killed: the only module that uses the tables ``sessions`` and ``killed``.

What readers see of a row is a view (``registry.py``), which is made anew after each commit that touched it.

Threads: everything runs on the store's thread, in a job.
"""

import os
from typing import Any

from anvilsrv.errors import NotFound
from anvilsrv.sessions.state import Session, from_row
from anvilsrv.store.store import Tx

KEEP = 10_000  # killed sessions whose ids are remembered


def get(tx: Tx, session: str) -> Session:
    """Return the session as this job sees it. Raises NotFound."""
    found = maybe(tx, session)
    if found is None:
        raise _none(session)
    return found


def maybe(tx: Tx, session: str) -> Session | None:
    """Return the same, or None."""
    row = tx.one("SELECT * FROM sessions WHERE id = ?", session)
    return None if row is None else from_row(row)


def there(tx: Tx, session: str) -> bool:
    """Return whether there is such a session."""
    return tx.one("SELECT 1 FROM sessions WHERE id = ?", session) is not None


def every(tx: Tx) -> set[str]:
    """Return the ids of all sessions."""
    return {row["id"] for row in tx.all("SELECT id FROM sessions")}


def beside(tx: Tx, session: str) -> list[str]:
    """Return the sessions that work in its sandbox."""
    return [row["id"] for row in tx.all("SELECT id FROM sessions WHERE beside = ?", session)]


def named(tx: Tx, name: str) -> str | None:
    """Return the id of the session with that id or alias, or None."""
    row = tx.one("SELECT id FROM sessions WHERE id = ?1 OR alias = ?1", name)
    return None if row is None else str(row["id"])


def aliases(tx: Tx) -> list[tuple[str, str]]:
    """Return the sessions that have an alias, and that."""
    return [(row["id"], row["alias"]) for row in tx.all("SELECT id, alias FROM sessions WHERE alias IS NOT NULL")]


def add(tx: Tx, wanted: str, **columns: Any) -> str:
    """Add the row of a new session in state ``starting``, with that id if it is not empty or taken. Returns the id."""
    made = wanted or os.urandom(4).hex()
    while there(tx, made):
        made = os.urandom(4).hex()
    last = tx.one("SELECT coalesce(max(seq), 0) AS last FROM sessions")
    now = tx.now.wall
    row = {
        "id": made, "seq": (last["last"] if last else 0) + 1, "state": "starting", "created": now, "changed": now, **columns,
    }  # fmt: skip
    tx.run(f"INSERT INTO sessions({', '.join(row)}) VALUES({', '.join('?' * len(row))})", *row.values())
    tx.touch(made)
    return made


def put(tx: Tx, session: str, **columns: Any) -> None:
    """Change columns of the session's row."""
    names = ", ".join(f"{name} = ?" for name in columns)
    tx.run(f"UPDATE sessions SET {names}, changed = ? WHERE id = ?", *columns.values(), tx.now.wall, session)
    tx.touch(session)


def number(tx: Tx, session: str) -> int:
    """Return the next number of a prompt, which is never given again. Raises NotFound."""
    row = tx.one("UPDATE sessions SET numbers = numbers + 1 WHERE id = ? RETURNING numbers", session)
    if row is None:
        raise _none(session)
    tx.touch(session)
    return int(row["numbers"])


def remove(tx: Tx, session: str) -> None:
    """Remove the row, and remember that the session was killed."""
    tx.run("DELETE FROM sessions WHERE id = ?", session)
    tx.run("INSERT OR REPLACE INTO killed(id) VALUES(?)", session)
    tx.run("DELETE FROM killed WHERE seq <= (SELECT max(seq) FROM killed) - ?", KEEP)
    tx.touch(session)


def killed(tx: Tx) -> frozenset[str]:
    """Return the sessions of this store that were killed, the last of them."""
    return frozenset(row["id"] for row in tx.all("SELECT id FROM killed"))


def _none(session: str) -> NotFound:
    return NotFound(f"no such session '{session[:80]}'")
