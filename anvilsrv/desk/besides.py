"""What every report may tell besides, of whatever kind it is: which conversation it is, where its transcript lies, what was used.

Threads: everything runs on the store's thread, in a job.
"""

from collections.abc import Sequence

from anvilsrv.backends.backend import Report
from anvilsrv.sessions import session_rows, usage, whose
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import Session
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import dumps


def learn(tx: Tx, row: Session, meaning: Report) -> None:
    """Keep what it tells of the conversation and its transcript."""
    known = {"conversation": row.conversation, "transcript": row.transcript}
    news = {key: meaning.fields[key] for key, old in known.items() if meaning.fields.get(key) not in (None, "", old)}
    if news:
        session_rows.put(tx, row.id, **news)


def count(registry: Registry, tx: Tx, row: Session, found: Sequence[Report], source: str) -> None:
    """Count the figures of these; of one that names no message they are totals, of the conversation or file ``source``."""
    told = [
        (f"message {named}" if (named := one.fields.get("usage_id")) else f"all of {source}", one.fields["usage"])
        for one in found
        if one.fields.get("usage")
    ]
    if told:
        now = usage.shown(row.usage, usage.add(tx, row.id, told))
        if now != row.usage:
            session_rows.put(tx, row.id, usage=dumps(now))
            registry.activity.record(tx, row.id, whose.turn_of(tx, row.id), "usage", **now)
