"""Questions: who asks is answered, once, with what was chosen; and is let go when the question is over."""

from typing import Any

import pytest

from anvilsrv.desk.answer import pick
from anvilsrv.errors import AnvilError, Conflict, Invalid
from tests.desk.parts import Asker, Parts


def ask(parts: Parts, agent: str, number: str = "q1", **fields: Any) -> Asker:
    return parts.report(agent, "Ask", number, **{"question": "really?", **fields})


def test_a_question_is_shown_and_its_answer_given_to_who_asks(parts: Parts) -> None:
    agent = parts.idle()
    asker = ask(parts, agent)
    shown = parts.registry.get(agent).ask
    assert shown is not None
    assert (shown["id"], shown["text"], shown["choices"], shown["free"]) == ("q1", "really?", ["yes", "no"], True)
    assert asker.replies == []
    parts.questions.answer(agent, "no")
    assert (asker.replies, parts.row(agent).ask) == ([{"stdout": '{"choice":"no"}\n', "exit": 0}], None)
    assert [one["ask"] and one["ask"]["id"] for one in parts.events("ask")] == ["q1", None]


def test_what_is_not_asked_cannot_be_answered(parts: Parts) -> None:
    agent = parts.idle()
    with pytest.raises(Conflict, match="asks nothing"):
        parts.questions.answer(agent, "yes")
    ask(parts, agent)
    parts.questions.answer(agent, "yes")
    with pytest.raises(Conflict, match="asks nothing"):
        parts.questions.answer(agent, "yes")


def test_a_question_whose_asker_went_with_a_daemon_is_open_again_when_it_asks_again(parts: Parts) -> None:
    agent = parts.idle()
    first = ask(parts, agent)
    parts.questions.abandon("deadbeef", first)
    asker = ask(parts, agent)  # the same number, after a new connection
    parts.questions.answer(agent, "yes")
    assert len(asker.replies) == 1


def test_the_agent_going_on_lets_the_asker_go(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    asker = ask(parts, agent)
    parts.report(agent, "Stop", response="done")
    assert (asker.replies, parts.row(agent).ask) == ([{}], None)


@pytest.mark.parametrize("end", ["died", "kill", "failed"])
def test_the_end_of_the_agent_lets_the_asker_go(parts: Parts, end: str) -> None:
    agent = parts.idle()
    asker, row = ask(parts, agent), parts.row(agent)
    ends = {
        "died": lambda tx: parts.life.died(tx, agent, row.pid, 1, ""),
        "kill": lambda tx: parts.life.kill(tx, agent),
        "failed": lambda tx: parts.life.failed(tx, agent, "why"),
    }
    parts.job(ends[end])
    assert asker.replies == [{}]


def test_an_asker_that_hung_up_takes_its_question_with_it_and_no_other(parts: Parts) -> None:
    agent = parts.idle()
    first = ask(parts, agent)
    second = ask(parts, agent, "q2")
    parts.questions.abandon(agent, first)
    parts.quiet()
    assert parts.row(agent).ask is not None
    parts.questions.abandon(agent, second)
    parts.quiet()
    assert parts.row(agent).ask is None


def test_an_answer_that_a_backends_python_fails_on_leaves_the_question_open(parts: Parts) -> None:
    odd = "def reply(self, kind, text, report):\n    return {}['no'] if text == 'no' else super().reply(kind, text, report)\n"
    agent = parts.idle(parts.backend("odd", odd))
    asker = ask(parts, agent)
    with pytest.raises(KeyError):
        parts.questions.answer(agent, "no")
    parts.questions.answer(agent, "yes")
    assert len(asker.replies) == 1


@pytest.mark.parametrize(
    ("choice", "choices", "meant"),
    [("yes", ["yes", "no"], "yes"), ("2", ["yes", "no"], "no"), ("N", ["yes", "no"], "no"), ("1", ["2", "1"], "1"), ("x", [], "x")],
)  # fmt: skip
def test_a_choice_is_meant_by_its_name_its_number_or_how_it_begins(choice: str, choices: list[str], meant: str) -> None:
    assert pick(choice, choices) == meant


@pytest.mark.parametrize("choice", ["", "3", "0", "a", "maybe"])
def test_what_could_be_two_choices_or_none_is_refused(choice: str) -> None:
    with pytest.raises(Invalid, match="invalid choice"):
        pick(choice, ["allow", "always"])


def test_half_a_surrogate_in_a_question_does_not_stop_it(parts: Parts) -> None:
    agent = parts.idle()
    try:
        ask(parts, agent, question="a\ud800b")
    except AnvilError:
        pytest.fail("refused")
    shown = parts.registry.get(agent).ask
    assert shown is not None and shown["text"] == "a\ufffdb"
