"""Keys that the user has pressed in an agent's pane, from any front-end: to get past a dialog that nothing of ours knows.

Threads: runs on a 9P worker.
"""

import time

from anvilsrv.agents.eye import CALM
from anvilsrv.display import standing
from anvilsrv.errors import NotPermitted
from anvilsrv.sessions.registry import Registry
from anvilsrv.tmux.key_names import named
from anvilsrv.tmux.screen import Watch
from anvilsrv.tmux.tmux import Tmux

DRAWN = 0.6  # s that an agent gets to answer a key before the next: two that arrive together may be taken for text, or for one


class Keys:
    """Presses keys."""

    def __init__(self, registry: Registry, tmux: Tmux) -> None:
        self._registry = registry
        self._tmux = tmux

    def press(self, session: str, words: list[str]) -> None:
        """Press the keys of those names, one after the other. Raises Invalid, NotPermitted where no agent runs, Unavailable."""
        keys, view = named(words), self._registry.get(session)
        ours = view.pid and next(
            (one for one in self._tmux.panes() if (one.window, one.pid) == (view.id, view.pid)), None
        )
        if not ours or ours.dead:
            raise NotPermitted(f"session '{session}' has no agent that takes keys: it {standing(view.state)}")
        with self._tmux.watch(ours.id) as output:
            for key in keys:
                self._tmux.keys(ours.id, key)
                self._answered(output)

    @staticmethod
    def _answered(output: Watch) -> None:
        """Wait until the agent has drawn what the key did and come to rest, or prints nothing or for ever."""
        end = time.monotonic() + 2 * DRAWN
        calm = not output.wait(DRAWN)
        while not calm and time.monotonic() < end:
            calm = not output.wait(CALM)
