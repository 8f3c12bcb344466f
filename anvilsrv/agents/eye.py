"""An agent as it is seen on its screen: dialogs to answer.

The screen is looked at when something was printed and it came to rest, never in between; and once more after a dialog was answered.

Threads: the caller's, one for each watch; ``Until.set`` from any.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from anvilsrv.backends.shown import Dialog
from anvilsrv.tmux.screen import Screen, Watch

CALM = 0.15  # s without output after which what stands on the screen is taken as drawn
AGAIN = 2.0  # s after an answer when it is looked at again although nothing was printed: it may not have been taken


class Terminals(Protocol):
    """What is needed of ``tmux.Tmux``."""

    def screen(self, pane: str, styled: bool = False) -> Screen: ...
    def watch(self, pane: str) -> Watch: ...
    def keys(self, pane: str, *names: str) -> None: ...


class Until:
    """Says that something is wanted no longer, or that its rows have changed, and wakes the one who waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = False
        self._moved = threading.Event()
        self._watch: Watch | None = None

    def set(self) -> None:
        """End the look: it is no longer wanted."""
        with self._lock:
            self._set = True
        self.poke()

    def poke(self) -> None:
        """Note that its rows have changed."""
        self._moved.set()
        with self._lock:
            watch = self._watch
        if watch is not None:
            watch.wake()

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float) -> bool:
        """Wait until it is wanted no longer (True), its rows change, or ``timeout`` s are over."""
        if self._moved.wait(timeout):
            self._moved.clear()
        return self._set

    def last(self, timeout: float) -> bool:
        """Wait until it is wanted no longer (True), or ``timeout`` s are over."""
        end = time.monotonic() + timeout
        while not self._set and (left := end - time.monotonic()) > 0:
            self.wait(left)
        return self._set

    def wake(self, watch: Watch) -> None:
        """Wake that one."""
        with self._lock:
            self._watch = watch
            late = self._set
        if late:
            watch.wake()


class Eye:
    """Looks at ``pane``, and answers the ``dialogs`` that come up there."""

    def __init__(self, tmux: Terminals, pane: str, dialogs: Iterable[Dialog]) -> None:
        self._tmux = tmux
        self._pane = pane
        self._dialogs = tuple(dialogs)
        self._answered: dict[Dialog, int] = {}

    def look(self, watch: Watch, over: Callable[[], bool]) -> str | None:
        """Return the screen, once it is at rest; None when it is ``over`` before."""
        while not over() and watch.wait(CALM):
            pass
        return None if over() else "\n".join(self._tmux.screen(self._pane).lines)

    def answer(self, text: str) -> Dialog | None:
        """Answer the dialog that stands there, and return it."""
        for dialog in self._dialogs:
            if self._answered.get(dialog, 0) < dialog.times and dialog.screen.search(text):
                self._answered[dialog] = self._answered.get(dialog, 0) + 1
                self._tmux.keys(self._pane, *dialog.keys)
                return dialog
        return None


def watch_turn(tmux: Terminals, pane: str, dialogs: Iterable[Dialog], until: Until) -> tuple[Dialog, str] | None:
    """Answer the dialogs of a turn until ``until`` is set: then None. One that says why the turn failed is returned, with the screen.

    Raises Unavailable when the pane or tmux is gone.
    """
    eye = Eye(tmux, pane, dialogs)
    with tmux.watch(pane) as watch:
        until.wake(watch)
        while (text := eye.look(watch, until.is_set)) is not None:
            answered = eye.answer(text)
            if answered is not None and answered.why(text):
                eye.look(watch, until.is_set)
                return answered, text
            watch.wait(None if answered is None else AGAIN)
    return None
