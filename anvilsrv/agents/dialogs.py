"""What is seen on the screen: dialogs to answer, at the start and in a turn, and readiness that no hook reports.

Threads: one per starting agent, and one per turn, where the backend needs it; ``close`` ends and joins them.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from anvilsrv.agents.eye import Starter, watch_turn
from anvilsrv.errors import AnvilError
from anvilsrv.sessions import state as s
from anvilsrv.sessions.registry import Sessions
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Tx


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
        turns.began = self.began

    def started(self, session: str, pane: str) -> None:
        """An agent was started in ``pane``: watch it, if its backend says what there is to see."""
        backend = self._backend(self._sessions.get(session).backend)
        if not backend.asks("start") and backend.ready_screen is None:
            return
        self._watch(session, self._run, pane, backend)

    def began(self, session: str) -> None:
        """A turn began: watch it, if its backend knows of dialogs that come up in one."""
        view = self._sessions.find(session)
        if view is None or view.pane is None:
            return
        backend = self._backend(view.backend)
        if backend.asks("turn"):
            self._watch(session, self._run_turn, view.pane, backend, view.turns)

    def _watch(self, session: str, run: Callable[..., None], *args: Any) -> None:
        """``run(session, *args, until)`` in a thread that takes the place of the one before."""
        until = threading.Event()
        thread = threading.Thread(target=run, args=(session, *args, until), name=f"screen {session}")
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

    def _run_turn(self, session: str, pane: str, backend: Any, turn: int, until: threading.Event) -> None:
        def over() -> bool:
            view = self._sessions.find(session)
            return until.is_set() or view is None or view.state != s.RUNNING or view.turns != turn

        try:
            found = watch_turn(self._tmux, pane, backend.asks("turn"), over)
        except AnvilError:
            return  # the pane is gone, which others see too
        if found is not None:
            dialog, text = found
            self._sessions.store.post(lambda tx: self._failed(tx, session, turn, dialog.why(text), backend, text))

    def _failed(self, tx: Tx, session: str, turn: int, why: str, backend: Any, text: str) -> None:
        current = self._turns.active(tx, session)
        if current is not None and current["status"] == "running" and current["turn"] == turn:
            self._turns.failed(tx, session, why, backend.until(text, time.time()))
