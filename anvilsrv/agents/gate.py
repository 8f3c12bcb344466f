"""The queue of a session that reached a limit goes on when the limit ends.

The end is a time of day, and a machine sleeps and has its clock set: so the clock is looked at again every minute until then.

Threads: works on the reactor of the agents.
"""

from anvilsrv.backends.reset_time import FURTHEST
from anvilsrv.clock import Clock
from anvilsrv.desk.life import Life
from anvilsrv.linux.reactor import Deadline, Reactor
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View

LOOK = 60.0  # s between looks at the clock


class Gate:
    """Opens the queues of all sessions in time."""

    def __init__(self, reactor: Reactor, registry: Registry, life: Life, clock: Clock) -> None:
        self._reactor = reactor
        self._registry = registry
        self._life = life
        self._clock = clock
        self._deadlines: dict[str, Deadline] = {}  # the reactor's

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        until = [view.gate.until if view is not None else None for view in (before, after)]
        session = after.id if after is not None else before.id if before is not None else ""
        if until[0] != until[1]:
            self._reactor.do(lambda: self._look(session))

    def close(self) -> None:
        """Do nothing: the reactor drops what was to come."""

    def _look(self, session: str) -> None:
        deadline = self._deadlines.pop(session, None)
        if deadline is not None:
            deadline.cancel()
        view = self._registry.views.get(session)
        if view is None or view.gate.until is None:
            return
        until = view.gate.until
        left = until - self._clock.wall()
        if 0 < left <= FURTHEST:
            self._deadlines[session] = self._reactor.at(min(left, LOOK), lambda: self._look(session))
        else:  # further away than when it was told: the clock was wrong then
            self._life.about(session, lambda tx: self._life.release(tx, session, until))
