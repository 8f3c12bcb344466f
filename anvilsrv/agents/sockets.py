"""The socket of each session, through which it reaches the tree as itself; it lies in the session's directory.

Threads: works on the reactor of the agents, before the process is started there and after it is ended. What waits
longer when a session is gone, ``forget`` does elsewhere.
"""

import logging
import threading
from collections.abc import Callable

from anvilsrv.agents.directories import Directories
from anvilsrv.agents.plans import Plans
from anvilsrv.desk.life import Life, sentence
from anvilsrv.errors import AnvilError
from anvilsrv.linux.reactor import Reactor
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View

log = logging.getLogger("anvilsrv")

PATIENCE = 30.0  # s that `new` waits for the socket

Listen = Callable[[str, str, bool, bool], None]  # (path, session, may spawn, may control)


class Sockets:
    """Listens for each session. ``listen`` and ``unlisten`` are the 9P server's; they raise OSError or AnvilError."""

    def __init__(
        self,
        reactor: Reactor,
        registry: Registry,
        life: Life,
        directories: Directories,
        plans: Plans,
        listen: Listen,
        unlisten: Callable[[str], None],
        forget: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._registry = registry
        self._life = life
        self._directories = directories
        self._plans = plans
        self._listen = listen
        self._unlisten = unlisten
        self._forget = forget
        self._open: dict[str, str] = {}  # session -> path; the reactor's

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if after is None and before is not None:
            self._reactor.do(lambda: self._close(before.id))
        elif after is not None and (before is None or before.state != after.state):
            self._reactor.do(lambda: self._ensure(after.id))

    def close(self) -> None:
        """Do nothing: the server closes its sockets."""

    def settled(self) -> None:
        """Wait until what was followed so far is done. Not on the reactor."""
        done = threading.Event()
        self._reactor.do(done.set)
        done.wait(PATIENCE)

    def _ensure(self, session: str) -> None:
        """Make the session listen. One that cannot has failed, and says why; a restart tries again."""
        view = self._registry.views.get(session)
        if view is None or session in self._open:
            return
        try:
            plan = self._plans.make(view.backend, view.role, view.tasks, view.cwd, session)
            spawn, control = plan.policy.agents.spawn, plan.policy.agents.control
        except AnvilError as error:  # told when it is started
            log.warning("session %s: %s", session, error)
            spawn = control = False
        try:
            path = str(self._directories.make(session))
            self._listen(path, session, spawn, control)
            self._open[session] = path
        except Exception as error:
            why = f"no socket for session '{session}': {reason(error)}"
            self._life.about(session, lambda tx: self._life.failed(tx, session, why))

    def _close(self, session: str) -> None:
        path = self._open.pop(session, None)
        if path is not None:
            self._unlisten(path)
        self._forget(session)


def reason(error: Exception) -> str:
    """Return why, without the name of a system error's class."""
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else sentence(error)
