"""What agents commit comes to the user's repository when a turn ends, and when an agent or its session does.

A session that was killed loses its directory here, after that. What was not done for it before a daemon died, the next one does.

Threads: one for a session at a time (``following.py``), of which a few work at once; ``follow`` on the store's, ``forget`` on any.
``close`` joins them; what they did not do, the next end of a turn or the next daemon does.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from anvilsrv.agents.directories import Directories
from anvilsrv.agents.eye import Until
from anvilsrv.agents.following import Following
from anvilsrv.agents.landing import Landing
from anvilsrv.sessions import session_rows
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Need, Store

AT_ONCE = 4  # sessions whose repositories are looked at


class What(Enum):
    """What is done for a session: what it committed is landed; what a daemon that died had begun is ended; it is forgotten."""

    SETTLE = auto()
    RESUME = auto()
    FORGET = auto()


@dataclass(frozen=True)
class Ended:
    """After which turn, of which process, what is done."""

    turns: int
    pid: int
    what: What = What.SETTLE


class Commits:
    """Takes out what was committed, and says what became of it."""

    def __init__(
        self, store: Store, registry: Registry, directories: Directories, landing: Landing,
        on_error: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._registry = registry
        self._directories = directories
        self._landing = landing
        self._on_error = on_error
        self._turn = threading.BoundedSemaphore(AT_ONCE)
        self._following = Following[Ended]("commits", self._run)

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`. Of a session that is gone, ``forget`` tells, when nothing of it runs any more."""
        if after is None or not after.turns:
            return
        agent = self._registry.views.get(after.beside)
        if agent is not None and agent.in_turn:
            return  # its end brings what both committed
        if not after.in_turn:
            self._following.want(after.id, Ended(after.turns, after.pid))
        elif before is None:
            self._following.want(after.id, Ended(after.turns, after.pid, What.RESUME))

    def forget(self, session: str) -> None:
        """Take out what a killed session committed, once its agent and socket are gone, and remove its directory."""
        self._following.want(session, Ended(0, 0, What.FORGET))

    def sweep(self) -> None:
        """Forget the sessions that were killed before a daemon that died could do it. Once, at start."""
        killed = self._store.call(session_rows.killed)
        for session in self._directories.there():
            if session in killed and session not in self._registry.views and not self._directories.living(session):
                self.forget(session)

    def close(self) -> None:
        """Join what is at work."""
        self._following.close()

    def _run(self, session: str, ended: Ended, until: Until) -> None:
        with self._turn:
            try:
                if ended.what != What.FORGET:
                    self._settle(session, ended.what == What.RESUME)
                elif not until.is_set():
                    self._landing.forget(session)
            except Exception as error:  # the repository may be gone, or git: the next turn tries again
                self._on_error(error)
        if ended.what == What.FORGET:
            self._following.want(session, None)

    def _settle(self, session: str, resume: bool) -> None:
        said = self._landing.resume(session) if resume else self._landing.settle(session)
        if said:  # however this work ended: what was found is not found again
            self._store.post(lambda tx: self._registry.told(tx, session, said), need=Need.HAPPENED)
