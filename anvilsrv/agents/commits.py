"""What agents commit comes to the user's repository when a turn ends, and when an agent or its session does.

Threads: one for a session at a time (``following.py``); ``follow`` on the store's. ``close`` joins them; what they did not do, the
next end of a turn does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.agents.eye import Until
from anvilsrv.agents.following import Following
from anvilsrv.agents.launch import Launch
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Need, Store


@dataclass(frozen=True)
class Ended:
    """After which turn, of which process, it is looked."""

    turns: int
    pid: int


class Commits:
    """Takes out what was committed, and says what became of it."""

    def __init__(
        self, store: Store, registry: Registry, launch: Launch, on_error: Callable[[BaseException], None]
    ) -> None:
        self._store = store
        self._registry = registry
        self._launch = launch
        self._on_error = on_error
        self._following = Following[Ended]("commits", self._run)

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if after is None:
            if before is not None:
                self._following.want(before.id, None)
        elif not after.in_turn and after.turns:
            self._following.want(after.id, Ended(after.turns, after.pid))

    def close(self) -> None:
        """Join what is at work."""
        self._following.close()

    def _run(self, session: str, _: Ended, until: Until) -> None:
        try:
            said = self._launch.settle(session)
        except Exception as error:  # the repository may be gone, or git: the next turn tries again
            self._on_error(error)
            return
        if said and not until.is_set():
            self._store.post(lambda tx: self._registry.told(tx, session, said), need=Need.HAPPENED)
