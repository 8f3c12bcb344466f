"""How long an agent has told nothing: what is said of it, and when."""

import pytest

from anvilsrv.activity.doing import Doing, lasted
from anvilsrv.inside.acp_silence import NEVER, STEPS, Silence


@pytest.fixture
def said() -> list[float]:
    return []


def test_it_is_said_ever_more_seldom_until_something_comes(said: list[float]) -> None:
    silence = Silence(said.append)
    assert silence.deadline == NEVER  # outside of turns
    silence.begin(100.0)
    now = 100.0
    while len(said) < len(STEPS) + 2:
        now = silence.deadline
        silence.tick(now)
    assert said == [*STEPS, 3600.0, 7200.0]
    silence.heard(now + 5)
    assert said[-1] == 0.0  # something came
    assert silence.deadline == now + 5 + STEPS[0]
    silence.heard(now + 6)
    assert said[-2:] == [7200.0, 0.0]  # and that is said once
    silence.end()
    assert silence.deadline == NEVER


def test_one_that_comes_late_is_said_once(said: list[float]) -> None:
    silence = Silence(said.append)
    silence.begin(0.0)
    silence.tick(65.0)
    assert said == [60.0]


def test_while_it_waits_for_an_answer_it_is_not_silent(said: list[float]) -> None:
    silence = Silence(said.append)
    silence.begin(0.0)
    silence.asks(True, 1.0)
    assert silence.deadline == NEVER
    silence.asks(False, 500.0)
    assert silence.deadline == 500.0 + STEPS[0]
    assert said == []


def test_what_it_does_says_for_how_long_nothing_came() -> None:
    doing = Doing()
    doing.hear({"kind": "tool", "id": "t", "name": "Bash", "title": "make check"})
    doing.silent(30.0, "")
    assert doing.words == "Bash: make check, nothing for 30 s"
    doing.silent(0.0, "")
    assert doing.words == "Bash: make check"
    doing.silent(120.0, "")
    doing.hear({"kind": "text", "part": "x"})
    assert doing.words == "answering"
    other = Doing()  # of a daemon that came later
    other.silent(60.0, "Bash: make check, nothing for 30 s")
    assert other.words == "Bash: make check, nothing for 1 min"
    assert [lasted(one) for one in (10.0, 600.0, 7200.0)] == ["10 s", "10 min", "2 h"]
