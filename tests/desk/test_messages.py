"""Prompts by message: asked for with ``next``, and given on only after ``take`` was answered."""

from typing import Any

import pytest

from anvilsrv.errors import AnvilError
from anvilsrv.sessions.machine import Status
from tests.desk.parts import Asker, Parts


@pytest.fixture
def agent(parts: Parts) -> str:
    """An idle session whose prompts go by message."""
    parts.backend("told", evidence="message", payload={"turn": "turn"})
    return parts.idle("told")


def ask(parts: Parts, agent: str, number: str = "n1") -> Asker:
    """Let the program in the pane ask for the next prompt."""
    asker = Asker()
    parts.reports.take(agent, {"report": number, "hook": "next", "mono": parts.clock.monotonic()}, asker)
    parts.quiet()
    return asker


def take(parts: Parts, agent: str, prompt: int, of: str = "n1") -> Any:
    """It asks whether it may give it to the agent."""
    asker = Asker()
    found = {"report": f"take {prompt} {of}", "mono": parts.clock.monotonic(), "take": prompt, "of": of, "turn": of}
    parts.reports.take(agent, found, asker)
    parts.quiet()
    return asker.replies[0]


def dies(parts: Parts, agent: str) -> None:
    pid = parts.row(agent).pid
    parts.job(lambda tx: parts.life.died(tx, agent, pid, 137, ""))


def test_who_asks_gets_the_prompt_that_waits_and_may_give_it_on_once_it_is_taken(parts: Parts, agent: str) -> None:
    number = parts.prompt(agent, "do it")
    asker = ask(parts, agent)
    assert asker.replies == [{"take": number, "n": 1, "text": "do it", "context": ""}]
    assert parts.status(number) == Status.SENT
    assert take(parts, agent, number) == {"go": True}
    assert (parts.status(number), parts.row(agent).state) == (Status.TAKEN, "running")
    parts.report(agent, "Stop", response="done", turn="n1")
    assert (parts.get(number).response, parts.row(agent).state) == (b"done", "idle")


def test_who_asks_first_gets_the_prompt_when_it_comes(parts: Parts, agent: str) -> None:
    asker = ask(parts, agent)
    assert asker.replies == []
    number = parts.prompt(agent, "later")
    parts.quiet()
    assert [reply["take"] for reply in asker.replies] == [number]


def test_the_context_comes_beside_the_text(parts: Parts, agent: str) -> None:
    parts.job(lambda tx: parts.send.context(tx, agent, "be brief"))
    parts.prompt(agent, "/compact")
    (reply,) = ask(parts, agent).replies
    assert (reply["text"], reply["context"]) == ("/compact", "be brief")


def test_a_reply_that_nobody_reads_is_no_loss(parts: Parts, agent: str) -> None:
    number = parts.prompt(agent)
    lost = ask(parts, agent)
    parts.reports.abandon(agent, lost)
    parts.quiet()
    assert parts.status(number) == Status.CHOSEN
    assert [reply["take"] for reply in ask(parts, agent, "n2").replies] == [number]
    assert take(parts, agent, number, "n1") == {"go": False, "why": "not now"}  # of a connection that is gone
    assert take(parts, agent, number, "n2") == {"go": True}


def test_asking_again_whether_it_may_be_given_has_the_same_answer(parts: Parts, agent: str) -> None:
    number = parts.prompt(agent)
    ask(parts, agent)
    assert [take(parts, agent, number) for _ in range(2)] == [{"go": True}] * 2
    assert parts.open_turns(agent) == 1


def test_another_daemon_has_it_asked_for_again_unless_it_was_taken(parts: Parts, agent: str) -> None:
    number = parts.prompt(agent)
    ask(parts, agent)
    parts.job(lambda tx: parts.life.adopted(tx, agent))
    assert parts.status(number) == Status.CHOSEN
    assert take(parts, agent, number)["go"] is False
    ask(parts, agent, "n2")
    assert take(parts, agent, number, "n2") == {"go": True}
    parts.job(lambda tx: parts.life.adopted(tx, agent))
    assert take(parts, agent, number, "n2") == {"go": True}


def test_a_prompt_that_was_interrupted_meanwhile_is_not_given(parts: Parts, agent: str) -> None:
    number = parts.prompt(agent)
    ask(parts, agent)
    parts.job(lambda tx: parts.life.interrupt(tx, agent))
    assert (parts.status(number), parts.presses) == (Status.FAILED, [])
    assert take(parts, agent, number) == {"go": False, "why": "no"}


@pytest.mark.parametrize("typed", ["something else", "do it"])
def test_what_a_person_types_meanwhile_comes_first_and_the_prompt_after_it(
    parts: Parts, agent: str, typed: str
) -> None:
    number = parts.prompt(agent, "do it")
    ask(parts, agent)
    parts.report(agent, "Submit", prompt=typed, turn="p1")
    assert take(parts, agent, number) == {"go": False, "why": "not now"}
    assert parts.status(number) == Status.QUEUED
    parts.report(agent, "Stop", response="theirs", turn="p1")
    ask(parts, agent, "n2")
    assert take(parts, agent, number, "n2") == {"go": True}
    parts.report(agent, "Stop", response="ours", turn="n2")
    assert parts.get(number).response == b"ours"


def test_a_prompt_is_not_offered_while_the_queue_is_held(parts: Parts, agent: str) -> None:
    asker = ask(parts, agent)
    parts.job(lambda tx: parts.life.hold(tx, agent))
    number = parts.prompt(agent)
    parts.quiet()
    assert (asker.replies, parts.status(number)) == ([], Status.QUEUED)
    parts.job(lambda tx: parts.life.go(tx, agent))
    parts.quiet()
    assert [reply["take"] for reply in asker.replies] == [number]


def test_an_agent_that_dies_before_it_may_give_it_on_gets_it_again_and_one_that_dies_later_does_not(
    parts: Parts, agent: str
) -> None:
    number = parts.prompt(agent)
    ask(parts, agent)
    dies(parts, agent)
    assert parts.status(number) == Status.QUEUED
    assert take(parts, agent, number)["go"] is False
    parts.clock.now += 1
    parts.run(agent)
    parts.report(agent, "Ready")
    ask(parts, agent, "n2")
    assert take(parts, agent, number, "n2") == {"go": True}
    dies(parts, agent)
    assert parts.status(number) == Status.FAILED


def test_the_last_who_asks_is_the_one_who_gets_it(parts: Parts, agent: str) -> None:
    first, second = ask(parts, agent, "n1"), ask(parts, agent, "n2")
    parts.prompt(agent)
    parts.quiet()
    assert (first.replies, len(second.replies)) == ([{}], 1)
    parts.reports.abandon(agent, first)


def test_prompts_that_are_typed_are_not_given_by_message(parts: Parts) -> None:
    agent = parts.idle()
    with pytest.raises(AnvilError, match="prompts of 'scripted' are typed"):
        ask(parts, agent)


def test_who_asked_learns_that_the_session_is_gone(parts: Parts, agent: str) -> None:
    asker = ask(parts, agent)
    parts.job(lambda tx: parts.life.kill(tx, agent))
    parts.quiet()
    assert asker.replies == [{}]
