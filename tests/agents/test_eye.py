"""What is seen on the screens of agents: real panes, real dialogs."""

import queue
import threading
from pathlib import Path

import pytest

from anvilsrv.agents.eye import AGAIN, Until, watch_turn
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.tmux.screen import Screen
from anvilsrv.tmux.tmux import Tmux
from tests.panes import shows, wait_screen

YAML = r"""
backend:
  command: [x]
  ready: {screen: '^> $|^>$', timeout: 15}
  dialogs:
    - {screen: 'Trust this\?', keys: [y, Enter]}
    - {screen: 'Theme:', keys: [Enter]}
"""


def backend(top: Path, text: str = YAML) -> Backend:
    (top / "x.yaml").write_text(text)
    return Backends(top).get("x")


class Counting:
    """tmux, and how often a screen was looked at."""

    def __init__(self, tmux: Tmux) -> None:
        self.looks: queue.SimpleQueue[Screen] = queue.SimpleQueue()
        self.watch, self.keys, self._tmux = tmux.watch, tmux.keys, tmux

    def screen(self, pane: str, styled: bool = False) -> Screen:
        self.looks.put(found := self._tmux.screen(pane, styled))
        return found


def test_a_screen_on_which_nothing_happens_is_not_looked_at_again(tmux: Tmux, top: Path) -> None:
    pane = tmux.new_window("00000001", ["sh", "-c", "echo nothing; read a; echo $a; sleep 1000"], cwd="/", env={}).id
    wait_screen(tmux, pane, shows("nothing"))
    counting, until, ended = Counting(tmux), Until(), threading.Event()
    dialogs = backend(top).asks("start")
    thread = threading.Thread(target=lambda: (watch_turn(counting, pane, dialogs, until), ended.set()))
    thread.start()
    try:
        counting.looks.get(timeout=20)
        with pytest.raises(queue.Empty):
            counting.looks.get(timeout=2 * AGAIN)
        tmux.keys(pane, "x", "Enter")
        assert "x" in counting.looks.get(timeout=20).lines
    finally:
        until.set()
    assert ended.wait(20)
    thread.join()
