"""Agents that are starting, as their screens show it: real panes, real dialogs."""

import threading
import time
from pathlib import Path

from anvilsrv.agents.eye import Starter
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
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
    assert Starter(tmux, pane, backend(top)).run(threading.Event())
    assert (top / "a").read_text() == "y\n"
    assert (top / "b").read_text() == "[]\n"


def test_it_ends_when_it_is_told(tmux: Tmux, top: Path) -> None:
    pane = tmux.new_window("00000001", ["sh", "-c", "echo nothing; sleep 1000"], cwd="/", env={}).id
    until = threading.Event()
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(Starter(tmux, pane, backend(top)).run(until)))
    thread.start()
    wait_screen(tmux, pane, shows("nothing"))
    until.set()
    thread.join(5)
    assert seen == [False]


def test_it_gives_up_after_the_time_for_a_start(tmux: Tmux, top: Path) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    began = time.monotonic()
    assert not Starter(tmux, pane, backend(top, YAML.replace("timeout: 15", "timeout: 0.5"))).run(threading.Event())
    assert time.monotonic() - began < 5
