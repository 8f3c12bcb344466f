"""An agent's start as it is seen on its screen: dialogs are answered, readiness is seen, and unknown screens are reported.

What stands on the screen is told once it is at rest and the agent is not ready: a dialog that is known by what it means, anything else
in its own words. An agent that shows its input is as good as ready; if its hooks do not say so, then that is what is told.

Threads: one for each start (``following.py``); ``told`` is called on it.
"""

from collections.abc import Callable

from anvilsrv.agents.eye import AGAIN, Eye, Terminals, Until
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.shown import BOXES, Dialog
from anvilsrv.display import plain, shown
from anvilsrv.tmux.screen import Screen, Watch

REST = 2.0  # s without output after which a screen that is not ready is told of
UNHEARD = (
    6.0  # s in which the hooks of an agent that shows its input should have reported: a busy machine starts them slowly
)
QUOTED = 400  # characters of a screen
HOW = "; to get past it write keys to ctl, as in 'keys Down Enter', or press them in its pane"


class Starter:
    """Watches ``pane`` while its agent starts; ``told`` hears what keeps it from being ready, as it changes, and ``answered`` what
    an answer of ours means."""

    def __init__(
        self, tmux: Terminals, pane: str, backend: Backend, told: Callable[[str], None], answered: Callable[[str], None]
    ) -> None:
        self._tmux = tmux
        self._pane = pane
        self._backend = backend
        self._told = told
        self._answered = answered
        self._words = ""
        self._eye = Eye(tmux, pane, [one for one in backend.asks("start") if one.keys])

    def run(self, until: Until) -> bool:
        """Answer dialogs until the agent is seen to be ready: then True. False once ``until`` is set.

        Raises Unavailable when the pane or tmux is gone.
        """
        with self._tmux.watch(self._pane) as watch:
            until.wake(watch)
            while (text := self._eye.look(watch, until.is_set)) is not None:
                answered, ready = self._eye.answer(text), self._backend.ready_screen
                if answered is None and ready is not None and ready.search(text):
                    return True
                if answered is not None:
                    if answered.says:
                        self._answered(answered.says)
                    watch.wait(AGAIN)
                elif self._at_rest(watch, text, until):
                    watch.wait(None)
        return False

    def _at_rest(self, watch: Watch, text: str, until: Until) -> bool:
        """Tell what the screen shows, if it stays like that."""
        known = next((one for one in self._backend.asks("start") if not one.keys and one.screen.search(text)), None)
        if known is None and watch.wait(REST):
            return False
        screen = self._tmux.screen(self._pane, styled=self._backend.input.styled)
        if known is None and self._shows_input(screen):
            if watch.wait(UNHEARD - REST):
                return False
            words = unheard(self._backend)
        else:
            words = in_words(known, screen)
        if not until.is_set():
            self._tell(words)
        return True

    def _shows_input(self, screen: Screen) -> bool:
        """Return whether it looks as if it took prompts, while only a hook can say so."""
        backend = self._backend
        return backend.ready_screen is None and backend.input.find is not None and backend.free(screen)

    def _tell(self, words: str) -> None:
        if words and words != self._words:
            self._words = words
            self._told(words)


def unheard(backend: Backend) -> str:
    """Return that hooks are silent, and what may be the reason."""
    where = f" ({backend.unheard})" if backend.unheard else ""
    silent = f"{backend.name} shows its input, but none of its hooks has reported yet"
    return f"{silent}: they are switched off or refused{where}, or start slowly"


def in_words(known: Dialog | None, screen: Screen) -> str:
    """Return what keeps an agent from being ready: what a dialog means, or what the screen says. Empty if nothing does."""
    if known is not None and known.says:
        return known.says
    text = quoted(screen)
    return f"before it is ready the agent shows: {text}{HOW}" if text else ""


def quoted(screen: Screen) -> str:
    """Return a screen on one line, without colours and boxes, in quotes; of a long one the end, since that is where it
    asks.
    """
    lines = (" ".join(BOXES.sub(" ", plain(one)).split()) for one in screen.lines)
    text = shown(" / ".join(one for one in lines if any(map(str.isalnum, one))))
    return f'"{"…" if len(text) > QUOTED else ""}{text[-QUOTED:]}"' if text else ""
