"""Agents that are starting, as their screens show it: real panes, real dialogs."""

import queue
import threading
import time
from pathlib import Path

import pytest

from anvilsrv.agents.eye import AGAIN, Starter, Until, watch_turn
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


def test_dialogs_are_answered_once_each_and_ready_is_seen(tmux: Tmux, top: Path) -> None:
    script = (
        f"sleep 0.2; printf 'Trust this? '; read a; echo $a >{top}/a; printf '\\033[2J\\033[HTheme: '; read b; echo \"[$b]\" >{top}/b;"
        " printf '\\033[2J\\033[H> '; sleep 1000"
    )
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    assert Starter(tmux, pane, backend(top)).run(Until())
    assert (top / "a").read_text() == "y\n"
    assert (top / "b").read_text() == "[]\n"


def test_it_ends_when_it_is_told(tmux: Tmux, top: Path) -> None:
    pane = tmux.new_window("00000001", ["sh", "-c", "echo nothing; sleep 1000"], cwd="/", env={}).id
    until = Until()
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(Starter(tmux, pane, backend(top)).run(until)))
    thread.start()
    wait_screen(tmux, pane, shows("nothing"))
    until.set()
    thread.join(5)
    assert seen == [False]


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


def test_a_dialog_that_did_not_take_its_answer_is_answered_again_as_often_as_it_may_be(tmux: Tmux, top: Path) -> None:
    script = (
        f"stty -echo; printf 'Trust this?'; for n in 1 2; do read a; echo $n >>{top}/a; done; printf '\r> '; sleep 1000"
    )
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    text = YAML.replace("keys: [y, Enter]}", "keys: [y, Enter], times: 2}").replace("'^> $|^>$'", "'^> '")
    Starter(tmux, pane, backend(top, text)).run(Until())
    assert (top / "a").read_text() == "1\n2\n"


def test_it_gives_up_after_the_time_for_a_start(tmux: Tmux, top: Path) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    began = time.monotonic()
    assert not Starter(tmux, pane, backend(top, YAML.replace("timeout: 15", "timeout: 0.5"))).run(Until())
    assert time.monotonic() - began < 5
