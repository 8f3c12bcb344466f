"""An agent as it is seen on its screen: dialogs to answer, and readiness that no hook reports.

The screen is looked at when something was printed and it came to rest, never in between.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from anvilsrv.backends.backend import Backend, Dialog
from anvilsrv.tmux.screen import Screen, Watch

CALM = 0.15  # s without output after which what stands on the screen is taken as drawn
GLANCE = 2.0  # s after which the screen is looked at again although nothing was seen to be printed


class Terminals(Protocol):
    """What is needed of ``tmux.Tmux``."""

    def screen(self, pane: str, styled: bool = False) -> Screen: ...
    def watch(self, pane: str) -> Watch: ...
    def keys(self, pane: str, *names: str) -> None: ...


class Eye:
    """Looks at ``pane``, and answers the ``dialogs`` that come up there."""

    def __init__(self, tmux: Terminals, pane: str, dialogs: Iterable[Dialog]) -> None:
        self._tmux = tmux
        self._pane = pane
        self._dialogs = tuple(dialogs)
        self._answered: dict[Dialog, int] = {}

    def look(self, watch: Watch, over: Callable[[], bool]) -> str | None:
        """The screen, once it is at rest; None when it is ``over`` before."""
        while watch.wait(CALM):
            if over():
                return None
        return None if over() else "\n".join(self._tmux.screen(self._pane).lines)

    def answer(self, text: str) -> Dialog | None:
        """Answer the dialog that stands there, and return it."""
        for dialog in self._dialogs:
            if self._answered.get(dialog, 0) < dialog.times and dialog.screen.search(text):
                self._answered[dialog] = self._answered.get(dialog, 0) + 1
                self._tmux.keys(self._pane, *dialog.keys)
                return dialog
        return None

    @staticmethod
    def pause(watch: Watch, over: Callable[[], bool]) -> None:
        """Until something is printed; in short waits, since what makes it ``over`` cannot wake a watch."""
        for _ in range(int(GLANCE / CALM)):
            if over() or watch.wait(CALM):
                return


class Starter:
    """Watches ``pane`` while its agent starts."""

    def __init__(self, tmux: Terminals, pane: str, backend: Backend) -> None:
        self._tmux = tmux
        self._pane = pane
        self._backend = backend
        self._eye = Eye(tmux, pane, backend.asks("start"))

    def run(self, until: threading.Event) -> bool:
        """Answer dialogs until the agent is seen to be ready: then True. False once ``until`` is set or its time is over.

        Raises Unavailable when the pane or tmux is gone.
        """
        deadline = time.monotonic() + self._backend.ready_timeout

        def over() -> bool:
            return until.is_set() or time.monotonic() >= deadline

        with self._tmux.watch(self._pane) as watch:
            while (text := self._eye.look(watch, over)) is not None:
                if self._eye.answer(text):
                    continue
                ready = self._backend.ready_screen
                if ready is not None and ready.search(text):
                    return True
                self._eye.pause(watch, over)
        return False


def watch_turn(
    tmux: Terminals, pane: str, dialogs: Iterable[Dialog], over: Callable[[], bool]
) -> tuple[Dialog, str] | None:
    """Answer the dialogs of a turn until it is ``over``: then None. One that says why the turn failed is returned, with the screen.

    Raises Unavailable when the pane or tmux is gone.
    """
    eye = Eye(tmux, pane, dialogs)
    with tmux.watch(pane) as watch:
        while (text := eye.look(watch, over)) is not None:
            found = eye.answer(text)
            if found is not None and found.why(text):
                eye.look(watch, over)
                return found, text
            eye.pause(watch, over)
    return None
