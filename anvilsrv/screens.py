"""Starts that are seen on the screen: dialogs to answer, and readiness that no hook reports.

Threads: one per starting agent whose backend needs it; ``close`` ends and joins them.
"""

import threading
from collections.abc import Callable
from typing import Any

from anvilsrv import session as s
from anvilsrv.errors import AnvilError
from anvilsrv.screen import Starter
from anvilsrv.sessions import Sessions
from anvilsrv.turns import Turns


class Screens:
    """Watches the panes of agents that are starting."""

    def __init__(
        self,
        sessions: Sessions,
        turns: Turns,
        tmux: Any,
        backend: Callable[[str], Any],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._tmux = tmux
        self._backend = backend
        self._on_error = on_error
        self._lock = threading.Lock()
        self._watching: dict[str, tuple[threading.Thread, threading.Event]] = {}
        self._closed = False

    def started(self, session: str, pane: str) -> None:
        """An agent was started in ``pane``: watch it, if its backend says what there is to see."""
        backend = self._backend(self._sessions.get(session).backend)
        if not backend.dialogs and backend.ready_screen is None:
            return
        until = threading.Event()
        thread = threading.Thread(target=self._run, args=(session, pane, backend, until), name=f"screen {session}")
        with self._lock:
            if self._closed:
                return
            before = self._watching.get(session)
            self._watching[session] = (thread, until)
        if before is not None:
            before[1].set()
        thread.start()

    def settled(self, session: str) -> None:
        """The session is not starting any more."""
        with self._lock:
            watching = self._watching.pop(session, None)
        if watching is not None:
            watching[1].set()

    def close(self) -> None:
        """End every watch and join its thread."""
        with self._lock:
            self._closed = True
            watching = list(self._watching.values())
        for _, until in watching:
            until.set()
        for thread, _ in watching:
            thread.join()

    def _run(self, session: str, pane: str, backend: Any, until: threading.Event) -> None:
        try:
            seen = Starter(self._tmux, pane, backend).run(until)
        except AnvilError as error:
            self._on_error(error)
            return
        view = self._sessions.find(session)
        if seen and backend.ready_screen is not None and view is not None and view.state == s.STARTING:
            self._sessions.store.post(lambda tx: self._turns.ready(tx, session))
