"""How a process ended, and what it said last: from the launcher, which writes it down, or else (it was killed) from tmux.

Threads: everything runs on the reactor of the agents, but for ``Told``, which may be called on that of tmux.
"""

import re
from collections.abc import Callable

from anvilsrv.errors import AnvilError
from anvilsrv.tmux.tmux import Tmux
from anvilsrv.tmux.windows import PaneInfo

Told = Callable[[int | None, str], None]  # (status as a shell gives it, None: not known; last words)
Written = Callable[[str], tuple[int, str] | None]  # what the launcher wrote for a session (see ``Launch.ended``)

# what agents print as they end, whatever the reason
HINT = re.compile(
    r"(?i)\b(?:resume|continue) this session\b|\b(?:claude|codex|gemini|opencode) (?:--resume|resume|--session|-s)[ =]\S+$"
)
ABOVE = 50  # lines of history in which the last words are looked for: what an agent leaves blank below them scrolls them away


class Deaths:
    """Finds out about deaths."""

    def __init__(self, tmux: Tmux, written: Written) -> None:
        self._tmux = tmux
        self._written = written

    def look(self, session: str, pid: int, told: Told) -> None:
        """Call ``told`` once, now or as soon as tmux has noticed the death too."""
        written, pane = self._written(session), self._pane(session)
        if written is not None:
            code, words = written
            if code == 0 and pane is None:  # some agents exit with 0 when their terminal disappears; still a crash
                told(None, "its terminal went away")
            else:
                told(code, words or (self._last_words(pane) if code and pane is not None else ""))
        elif pane is None:
            told(None, "")
        else:
            words = self._last_words(pane)  # now: ``told`` may come on the thread that reads from tmux
            self._tmux.death(pane.id, pid, lambda death: told(death.code if death is not None else None, words))

    def _pane(self, session: str) -> PaneInfo | None:
        try:
            return next((pane for pane in self._tmux.panes() if pane.window == session), None)
        except AnvilError:
            return None

    def _last_words(self, pane: PaneInfo) -> str:
        try:
            return last_words(self._tmux.capture(pane.id, history=ABOVE))  # "Pane is dead" may have moved it there
        except AnvilError:
            return ""


def last_words(screen: str) -> str:
    """Return the last line of a screen that says anything, for an error message: not an empty input, the edge of a box,
    or a hint how to go on.
    """
    # Where the cursor was, tmux writes "Pane is dead (…".
    lines = [" ".join(line.partition("Pane is dead (")[0].split()) for line in screen.splitlines()]
    said = [line for line in lines if any(map(str.isalnum, line))]
    reasons = [line for line in said if not HINT.search(line)] or said
    return reasons[-1][:300] if reasons else ""
