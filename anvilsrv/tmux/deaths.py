"""How the program in a pane ended, told as an event.

Threads: ``Told`` and ``OnTitle`` are called on the Reactor of ``Server``, or on the caller's thread before ``death`` returns.
"""

from functools import partial

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.events import Death, OnTitle, Told
from anvilsrv.tmux.windows import LOOKS, Windows

LATEST = 10.0  # s for tmux to notice a death


class Deaths(Windows):
    """The part of ``Tmux`` that tells what changes."""

    def on_title(self, callback: OnTitle) -> None:
        """Have ``callback(pane, title)`` called with every title that there is and whenever one changes, within a
        second.

        It outlives the server. A callback must not call tmux.
        """
        self._events.on_title(callback)
        self._tell_all()

    def death(self, pane: str, pid: int, told: Told) -> None:
        """Call ``told(death)`` once: how ``pid``, which has ended, ended in ``pane``. Usually before this returns.

        ``told(None)`` if that cannot be known: the pane or tmux is gone, another program runs there, or tmux did not notice in time.
        """
        self._events.wait(pane, pid, told)
        try:
            if self._looked(pane, pid):
                return
            self._reap()  # after the look: what made tmux miss the signal is over by its answer
            if any(self._looked(pane, pid) for _ in range(LOOKS)):
                return
        except Unavailable:
            self._events.settle(pane, pid, None)
            return
        if self._reactor is not None:
            self._reactor.at(LATEST, partial(self._events.settle, pane, pid, None))

    def _looked(self, pane: str, pid: int) -> bool:
        """Return whether everything that can be known was reported."""
        one = next((one for one in self._panes() if one.id == pane), None)
        if one is None or one.pid not in (pid, 0):
            self._events.settle(pane, pid, None)
        elif one.told:
            self._events.settle(pane, pid, Death(pane, pid, one.status, one.signal))
        return not self._events.waits(pane, pid)

    def _tell_all(self) -> None:
        """Have what there is told again."""
        with self._lock:
            client = self._client
        if client is not None and client.alive:
            client.again()
