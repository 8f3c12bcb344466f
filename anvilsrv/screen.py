"""A starting agent as it is seen on its screen: dialogs to answer, and readiness that no hook reports.

The screen is looked at when something was printed, never in between.
"""

import threading
import time
from typing import Protocol

from anvilsrv.backend import Backend, Dialog
from anvilsrv.tmux import Screen
from anvilsrv.tmux_control import Watch

CALM = 0.15  # s without output after which what stands on the screen is taken as drawn
GLANCE = 2.0  # s after which the screen is looked at again although nothing was seen to be printed


class Terminals(Protocol):
    """What is needed of ``tmux.Tmux``."""

    def screen(self, pane: str, styled: bool = False) -> Screen: ...
    def watch(self, pane: str) -> Watch: ...
    def keys(self, pane: str, *names: str) -> None: ...


class Starter:
    """Watches ``pane`` while its agent starts."""

    def __init__(self, tmux: Terminals, pane: str, backend: Backend) -> None:
        self._tmux = tmux
        self._pane = pane
        self._backend = backend
        self._answered: dict[Dialog, int] = {}

    def run(self, until: threading.Event) -> bool:
        """Answer dialogs until the agent is seen to be ready: then True. False once ``until`` is set or its time is over.

        Raises Unavailable when the pane or tmux is gone.
        """
        deadline = time.monotonic() + self._backend.ready_timeout
        with self._tmux.watch(self._pane) as watch:
            while not until.is_set() and time.monotonic() < deadline:
                while watch.wait(CALM) and time.monotonic() < deadline and not until.is_set():
                    pass
                text = "\n".join(self._tmux.screen(self._pane).lines)
                if self._answer(text):
                    continue
                ready = self._backend.ready_screen
                if ready is not None and ready.search(text):
                    return True
                self._pause(watch, until)
        return False

    def _pause(self, watch: Watch, until: threading.Event) -> None:
        """Until something is printed; in short waits, since ``until`` cannot wake a watch."""
        for _ in range(int(GLANCE / CALM)):
            if until.is_set() or watch.wait(CALM):
                return

    def _answer(self, text: str) -> bool:
        for dialog in self._backend.dialogs:
            if self._answered.get(dialog, 0) < dialog.times and dialog.screen.search(text):
                self._answered[dialog] = self._answered.get(dialog, 0) + 1
                self._tmux.keys(self._pane, *dialog.keys)
                return True
        return False
