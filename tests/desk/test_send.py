"""Prompts: which are accepted, and whose answer ``out`` gives."""

import pytest

from anvilsrv.errors import Conflict, Invalid, NotFound
from anvilsrv.sessions.machine import Status
from tests.desk.parts import Parts


def last(parts: Parts, agent: str) -> int:
    return parts.job(lambda tx: parts.send.last(tx, agent))


def answer(parts: Parts, number: int) -> bytes | None:
    return parts.job(lambda tx: parts.send.response(tx, number))


def test_a_prompt_is_taken_while_its_agent_starts_and_not_when_there_is_none(parts: Parts) -> None:
    agent = parts.new()
    parts.prompt(agent)
    parts.life.broken(agent, KeyError("x"))
    parts.quiet()
    with pytest.raises(Conflict, match=f"session '{agent}' is error: internal error: KeyError: 'x'"):
        parts.prompt(agent)


@pytest.mark.parametrize("text", ["", " \n", "\x07"])
def test_an_empty_prompt_is_refused(parts: Parts, text: str) -> None:
    with pytest.raises(Invalid, match="empty prompt"):
        parts.prompt(parts.idle(), text)


def test_out_gives_the_last_prompt_written_and_what_is_typed_only_when_none_waits(parts: Parts) -> None:
    agent = parts.idle()
    assert last(parts, agent) == 0
    first = parts.taken(agent, "first")
    parts.report(agent, "Submit", prompt="by hand")
    assert parts.status(first) == Status.FAILED
    typed = last(parts, agent)
    assert typed != first
    second = parts.prompt(agent, "second")
    assert last(parts, agent) == second
    parts.report(agent, "Stop", response="ok")
    assert (last(parts, agent), answer(parts, typed)) == (second, b"ok")


def test_an_answer_may_still_come_is_there_or_cannot_come(parts: Parts) -> None:
    agent = parts.idle()
    first, second = parts.taken(agent, "first"), parts.prompt(agent, "second")
    assert answer(parts, first) is None
    parts.report(agent, "Stop", response="a\udce9")
    assert answer(parts, first) == b"a\xe9"
    parts.life.broken(agent, KeyError("x"))
    parts.quiet()
    with pytest.raises(Conflict, match="no response now: the session is error: internal error"):
        answer(parts, second)
    parts.job(lambda tx: parts.life.kill(tx, agent))
    with pytest.raises(Conflict, match="the session was killed"):
        answer(parts, second)


def test_a_withdrawn_prompt_has_no_answer(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    made = parts.mail(agent)
    number = last(parts, agent)
    parts.job(lambda tx: parts.life.complete(tx, agent, made))
    with pytest.raises(Conflict, match="no response: withdrawn"):
        answer(parts, number)
    assert last(parts, agent) != number


def test_the_conversation_shows_turns_in_order_and_stops_at_the_one_that_runs(parts: Parts) -> None:
    agent = parts.idle()
    for text in ("one", "two"):
        parts.taken(agent, text)
        parts.report(agent, "Stop", response=f"re {text}")
    parts.taken(agent, "three")
    page, cursor = parts.job(lambda tx: parts.send.conversation(tx, agent, 0))
    assert [line for line in page.decode().splitlines() if line.startswith("\t")] == [
        "\tone", "\tre one", "\ttwo", "\tre two", "\tthree",
    ]  # fmt: skip
    parts.report(agent, "Fail", error="API Error: 500")
    page, cursor = parts.job(lambda tx: parts.send.conversation(tx, agent, cursor))
    assert page.decode().splitlines()[1] == "\t[API Error: 500]"
    with pytest.raises(NotFound):
        parts.job(lambda tx: parts.send.conversation(tx, "deadbeef", 0))


# -- the file `state`


def write_state(parts: Parts, agent: str, word: str) -> str:
    reported = parts.backends.get(parts.row(agent).backend).reports("stop")
    parts.job(lambda tx: parts.send.write_state(tx, agent, word, reported))
    return parts.row(agent).state


def test_the_state_of_an_agent_whose_hooks_tell_nothing_may_be_written(parts: Parts) -> None:
    agent = parts.new(parts.backend("mute", hooks={"Ready": {"report": "ready"}}))
    parts.run(agent)
    assert write_state(parts, agent, "idle") == "idle"
    number = parts.prompt(agent)
    parts.deliver(agent, number)
    assert write_state(parts, agent, "running") == "running"
    assert parts.status(number) == Status.SENT, "it was running already: that says nothing new"
    assert write_state(parts, agent, "idle") == "idle"
    assert (parts.status(number), parts.get(number).response) == (Status.DONE, b"")


@pytest.mark.parametrize(
    ("word", "error", "words"),
    [
        ("running", Conflict, "hooks say idle"),
        ("stopped", Conflict, "hooks say idle"),
        ("nonsense", Invalid, "no such state"),
    ],
)
def test_where_hooks_report_they_alone_say_the_state(
    parts: Parts, word: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        write_state(parts, parts.idle(), word)


def test_the_state_cannot_be_written_to_stop_an_agent(parts: Parts) -> None:
    agent = parts.idle(parts.backend("mute", hooks={"Ready": {"report": "ready"}}))
    with pytest.raises(Conflict, match="write stop, restart or kill to ctl"):
        write_state(parts, agent, "stopped")
