"""The number and the time that a report bears: each counts once. The only module that uses the table ``reports``.

Threads: with a Tx everything runs on the store's thread, in a job; the rest is pure.
"""

import math

from anvilsrv.store.store import Tx

KEEP = 2000  # reports of a session whose numbers are remembered, at least
OFTEN = 100  # reports of all sessions between looks at how many there are of one


def is_number(number: object) -> bool:
    """Return whether that may be the number of a report."""
    return isinstance(number, str) and 0 < len(number) <= 64


def stamp(mono: object) -> float | None:
    """Return the time that a report gives, if it is one."""
    good = isinstance(mono, int | float) and not isinstance(mono, bool) and math.isfinite(mono) and mono > 0
    return float(mono) if good else None  # type: ignore[arg-type]


def is_first(tx: Tx, session: str, number: str) -> bool:
    """Return whether that report of the session is new, and record it."""
    inserted = tx.run("INSERT OR IGNORE INTO reports(id, ts) VALUES(?, ?)", f"{session} {number}", tx.now.wall)
    if inserted.rowcount and (inserted.lastrowid or 0) % OFTEN == 0:
        _forget_old(tx, session)
    return bool(inserted.rowcount)


def _forget_old(tx: Tx, session: str) -> None:
    """Forget all but the last reports of a session: a session that makes them up displaces only its own."""
    own = "SELECT rowid FROM reports WHERE id >= ?1 || ' ' AND id < ?1 || '!'"  # the number follows a blank, and ! is next to it
    tx.run(f"DELETE FROM reports WHERE rowid IN ({own} ORDER BY rowid DESC LIMIT -1 OFFSET ?2)", session, KEEP)
