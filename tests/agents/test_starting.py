"""Agents that are starting, as their screens show it: real panes, real dialogs."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anvilsrv.agents import starting
from anvilsrv.agents.eye import Until
from anvilsrv.agents.starting import HOW, QUOTED, Starter
from anvilsrv.tmux.tmux import Tmux
from tests.agents.test_eye import YAML, backend
from tests.panes import shows, wait_screen

HOOKS = r"""
backend:
  command: [x]
  hooks: {Ready: {report: ready}}
  ready: {timeout: 15, unheard: 'look for "off" in x.conf'}
  input: {find: '^>', empty: '^> *$'}
  dialogs:
    - {screen: 'Sign in', says: x is not logged in}
    - {screen: 'Wrong line', keys: [Enter], says: a line of x.conf was passed over}
"""


def quiet(words: str) -> None:
    """Hear of nothing."""


def test_dialogs_are_answered_once_each_and_ready_is_seen(tmux: Tmux, top: Path) -> None:
    script = (
        f"sleep 0.2; printf 'Trust this? '; read a; echo $a >{top}/a; printf '\\033[2J\\033[HTheme: '; read b; echo \"[$b]\" >{top}/b;"
        " printf '\\033[2J\\033[H> '; sleep 1000"
    )
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    assert Starter(tmux, pane, backend(top), quiet, quiet).run(Until())
    assert (top / "a").read_text() == "y\n"
    assert (top / "b").read_text() == "[]\n"


def test_it_ends_when_it_is_told(tmux: Tmux, top: Path) -> None:
    pane = tmux.new_window("00000001", ["sh", "-c", "echo nothing; sleep 1000"], cwd="/", env={}).id
    until = Until()
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(Starter(tmux, pane, backend(top), quiet, quiet).run(until)))
    thread.start()
    wait_screen(tmux, pane, shows("nothing"))
    until.set()
    thread.join(5)
    assert seen == [False]


@contextmanager
def started(tmux: Tmux, top: Path, script: str, text: str = HOOKS) -> Iterator[tuple[str, "queue.Queue[str]"]]:
    """Yield the pane of an agent that is watched as it starts, and what is told of it."""
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    told: queue.Queue[str] = queue.Queue()
    until = Until()
    thread = threading.Thread(target=lambda: Starter(tmux, pane, backend(top, text), told.put, told.put).run(until))
    thread.start()
    try:
        yield pane, told
    finally:
        until.set()
        thread.join(10)
        assert not thread.is_alive()


def test_a_screen_that_nobody_expected_is_told_in_plain_words_as_soon_as_it_rests(tmux: Tmux, top: Path) -> None:
    script = (
        "printf '╭────╮\\n│ \\033[31mNew terms!\\033[0m │\\n╰────╯\\n 1. Yes\\n 2. No\\n'; read a;"
        " printf '\\033[2J\\033[HMore terms'; sleep 1000"
    )
    with started(tmux, top, script) as (pane, told):
        assert told.get(timeout=20) == f'before it is ready the agent shows: "New terms! / 1. Yes / 2. No"{HOW}'
        tmux.keys(pane, "Enter")
        assert told.get(timeout=20) == f'before it is ready the agent shows: "More terms"{HOW}'


def test_of_a_long_screen_the_end_is_told(tmux: Tmux, top: Path) -> None:
    with started(tmux, top, "seq -f 'line %.0f' 1 200; sleep 1000") as (_, told):
        words = told.get(timeout=20)
    assert "line 200" in words
    assert "line 1 " not in words
    assert len(words) < QUOTED + 200


def test_a_dialog_that_is_known_is_told_by_what_it_means(tmux: Tmux, top: Path) -> None:
    with started(tmux, top, "echo 'Sign in to x'; sleep 1000") as (_, told):
        assert told.get(timeout=20) == "x is not logged in"


def test_what_an_answer_passes_over_is_told(tmux: Tmux, top: Path) -> None:
    with started(tmux, top, "echo 'Wrong line 3'; read a; printf '\033[2J'; sleep 1000") as (_, told):
        assert told.get(timeout=20) == "a line of x.conf was passed over"


def test_an_agent_that_shows_its_input_and_whose_hooks_are_silent_is_told_as_that(tmux: Tmux, top: Path) -> None:
    with started(tmux, top, "echo welcome; printf '> '; sleep 1000") as (_, told):
        words = told.get(timeout=20)
    assert words == starting.unheard(backend(top, HOOKS))
    assert words == (
        "x shows its input, but none of its hooks has reported yet: they are switched off or refused "
        '(look for "off" in x.conf), or start slowly'
    )


def test_an_empty_screen_is_nothing_to_tell(tmux: Tmux, top: Path) -> None:
    with started(tmux, top, "sleep 4; echo at last; sleep 1000") as (_, told):
        assert "at last" in told.get(timeout=20)


def test_a_dialog_that_did_not_take_its_answer_is_answered_again_as_often_as_it_may_be(tmux: Tmux, top: Path) -> None:
    script = (
        f"stty -echo; printf 'Trust this?'; for n in 1 2; do read a; echo $n >>{top}/a; done; printf '\r> '; sleep 1000"
    )
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    text = YAML.replace("keys: [y, Enter]}", "keys: [y, Enter], times: 2}").replace("'^> $|^>$'", "'^> '")
    Starter(tmux, pane, backend(top, text), quiet, quiet).run(Until())
    assert (top / "a").read_text() == "1\n2\n"
