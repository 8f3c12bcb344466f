"""To which turn something belongs that an agent's file or hook tells.

Threads: runs on the store's thread, in a job.
"""

from anvilsrv.sessions import prompts, turn_rows
from anvilsrv.sessions.turn_machine import TurnStatus
from anvilsrv.store.store import Tx

LATE = 5.0  # s after the end of a turn in which what is told without a time is still of it


def turn_of(tx: Tx, session: str, ident: str = "", at: float | None = None) -> int:
    """Return the number of the prompt that began the turn; 0: none is meant. ``ident``: what the agent calls the turn;
    ``at``: when it was told (monotonic, s).
    """
    found = turn_rows.named(tx, session, ident) if ident else None
    if found is None:
        found = turn_rows.opened(tx, session)
        if found is not None and at is not None and at < found.opened_at:
            found = turn_rows.before(tx, session, found.number)
    if found is None:
        last = turn_rows.last(tx, session)
        late = last is not None and (at if at is not None else tx.now.monotonic) - last.ended_at < LATE
        found = last if last is not None and (late or last.status == TurnStatus.PENDING) else None
    return 0 if found is None else prompts.first_number(tx, session, found.number)
