"""How a process ended, and what it said last: from the launcher, which writes it down, or else (it was killed) from tmux.

Threads: everything runs on the reactor of the agents.
"""

from collections.abc import Callable

from anvilsrv.errors import AnvilError
from anvilsrv.linux.reactor import Reactor
from anvilsrv.tmux.tmux import Tmux
from anvilsrv.tmux.windows import PaneInfo

LATE = 0.5  # s that tmux may take to notice a death

Told = Callable[[int | None, str], None]  # (status as a shell gives it, None: not known; last words)
Written = Callable[[str], tuple[int, str] | None]  # what the launcher wrote for a session (see ``Launch.ended``)


class Deaths:
    """Finds out about deaths."""

    def __init__(self, reactor: Reactor, tmux: Tmux, written: Written) -> None:
        self._reactor = reactor
        self._tmux = tmux
        self._written = written

    def look(self, session: str, pid: int, told: Told) -> None:
        """Call ``told`` once, now or as soon as tmux has noticed the death too."""
        written, pane = self._written(session), self._pane(pid)
        if written is not None:
            code, words = written
            if (
                code == 0 and pane is None
            ):  # some agents exit with 0 when their terminal disappears; that is still a crash
                told(None, "its terminal went away")
            else:
                told(code, words or (self._last_words(pane) if code and pane is not None else ""))
        elif pane is not None and not known(pane):
            self._reactor.at(LATE, lambda: told(status(self._pane(pid)), ""))
        else:
            told(status(pane), "")

    def _pane(self, pid: int) -> PaneInfo | None:
        try:
            return next((pane for pane in self._tmux.panes() if pane.pid == pid), None)
        except AnvilError:
            return None

    def _last_words(self, pane: PaneInfo) -> str:
        try:
            return last_words(self._tmux.capture(pane.id))
        except AnvilError:
            return ""


def known(pane: PaneInfo) -> bool:
    """Whether tmux knows how the program in that pane ended."""
    return pane.dead and (pane.status is not None or pane.signal is not None)


def status(pane: PaneInfo | None) -> int | None:
    """The exit status as a shell gives it: 128 and the signal where it was killed by one; None if it is not known."""
    if pane is None or not known(pane):
        return None
    return 128 + pane.signal if pane.signal else pane.status


def last_words(screen: str) -> str:
    """The last line of a screen that says anything, for an error message."""
    lines = [line.strip() for line in screen.splitlines()]
    said = [line for line in lines if line and not line.startswith("Pane is dead")]
    return said[-1][:300] if said else ""
