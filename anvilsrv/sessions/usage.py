"""What a session has used: the only module that uses the table ``usage``.

Every message of a model has a row, by the agent's own name for it, so it counts once: however often its line is read, in whichever file
it stands, before a restart or after. Figures that are totals already have a row by what they are the totals of. A row never becomes
smaller, and so what a session has used never does, over a new conversation neither.

Threads: everything runs on the store's thread, in a job.
"""

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from anvilsrv.store.store import Tx
from anvilsrv.strict_json import dumps

MOST = 500_000  # messages of one session; those beyond are not counted
SUM = b""  # the row of all of a session
Figures = Mapping[str, float]


def add(tx: Tx, session: str, told: Iterable[tuple[str, Figures]]) -> dict[str, float]:
    """Add figures by the names of the messages that they are of. Returns what the session has used with them."""
    count, total = _sum(tx, session)
    for name, figures in told:
        key = blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()
        row = tx.one("SELECT figures FROM usage WHERE session = ? AND message = ?", session, key)
        if row is None and count >= MOST:
            continue
        count += row is None
        before: dict[str, float] = json.loads(row["figures"]) if row is not None else {}
        now = _larger(before, figures)
        if now != before or row is None:
            _keep(tx, session, key, now)
            total = {one: total.get(one, 0) + now.get(one, 0) - before.get(one, 0) for one in {**total, **now}}
    _keep(tx, session, SUM, {"": count, **total})
    return total


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM usage WHERE session = ?", session)


def shown(before: Figures, total: Figures) -> dict[str, float]:
    """Return what is shown: never less than ``before``, by whatever that was counted."""
    return _larger(before, total)


def _larger(one: Figures, other: Figures) -> dict[str, float]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def _sum(tx: Tx, session: str) -> tuple[int, dict[str, float]]:
    row = tx.one("SELECT figures FROM usage WHERE session = ? AND message = ?", session, SUM)
    total: dict[str, float] = json.loads(row["figures"]) if row is not None else {}
    return int(total.pop("", 0)), total


def _keep(tx: Tx, session: str, message: bytes, figures: Figures) -> None:
    tx.run("INSERT OR REPLACE INTO usage(session, message, figures) VALUES(?,?,?)", session, message, dumps(figures))
