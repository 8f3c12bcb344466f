"""Prompts: which are accepted, and whose answer ``out`` gives."""

from functools import partial
from typing import cast

import pytest

from anvilsrv.errors import Conflict, Invalid, NotFound
from anvilsrv.sessions.conversation import At
from anvilsrv.sessions.machine import Status
from tests.desk.parts import Parts


def last(parts: Parts, agent: str) -> int:
    return parts.job(lambda tx: parts.send.last(tx, agent))


def answer(parts: Parts, number: int) -> bytes | None:
    return parts.job(lambda tx: parts.send.response(tx, number))


def test_a_prompt_is_let_in_while_its_agent_starts_and_not_when_there_is_none(parts: Parts) -> None:
    agent = parts.new()
    parts.job(lambda tx: parts.send.check(tx, agent))
    parts.life.broken(agent, KeyError("x"))
    parts.quiet()
    with pytest.raises(Conflict, match=f"session '{agent}' has failed: internal error: KeyError: 'x'"):
        parts.job(lambda tx: parts.send.check(tx, agent))


def test_a_prompt_that_was_let_in_is_queued_whatever_happened_until_its_end(parts: Parts) -> None:
    agent = parts.idle()
    parts.job(lambda tx: parts.life.stop(tx, agent))
    assert parts.status(parts.prompt(agent)) == Status.QUEUED


def test_prompts_are_numbered_in_their_session_and_a_number_is_given_once(parts: Parts) -> None:
    one, two = parts.idle(), parts.new()

    def accept(agent: str) -> int:
        return parts.job(lambda tx: parts.send.accept(tx, agent, "do it", "user"))

    assert [accept(one), accept(two), accept(one)] == [1, 1, 2]
    parts.job(lambda tx: parts.send.drop(tx, two, 1))
    assert accept(two) == 2
    parts.report(one, "Submit", prompt="by hand")
    assert accept(one) == 4


def lines(parts: Parts, agent: str) -> list[list[str]]:
    """Return ``turns/list`` without times."""
    found = parts.job(lambda tx: parts.send.listing(tx, agent)).decode().splitlines()
    return [[row.split("\t")[at] for at in (0, 1, 2, 7)] for row in found]


def test_the_list_shows_what_runs_and_what_waits_in_its_order(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    for text in ("second\n\tline", "third", "fourth"):
        parts.prompt(agent, text)
    parts.job(lambda tx: parts.send.first(tx, agent, 4))
    parts.job(lambda tx: parts.send.drop(tx, agent, 3))
    parts.job(lambda tx: parts.send.edit(tx, agent, 2, "2nd"))
    assert lines(parts, agent) == [
        ["1", "running", "queue", "first"],
        ["3", "withdrawn", "queue", "third"],
        ["4", "queued", "queue", "fourth"],
        ["2", "queued", "queue", "2nd"],
    ]


def test_every_change_of_the_queue_is_told(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    for change in (
        lambda tx: parts.send.accept(tx, agent, "second", "user"),
        lambda tx: parts.send.accept(tx, agent, "third", "user"),
        lambda tx: parts.send.first(tx, agent, 3),
        lambda tx: parts.send.edit(tx, agent, 3, "3rd"),
        lambda tx: parts.send.drop(tx, agent, 2),
        lambda tx: parts.life.hold(tx, agent),
        lambda tx: parts.life.go(tx, agent),
    ):
        before = len(parts.events("state_change"))
        parts.job(change)
        assert len(parts.events("state_change")) == before + 1


def test_a_changed_context_is_an_event(parts: Parts) -> None:
    agent = parts.idle()
    before = len(parts.events("session_update"))
    parts.job(lambda tx: parts.send.context(tx, agent, "be kind"))
    (told,) = parts.events("session_update")[before:]
    assert (told["session_id"], told["changes"]) == (agent, ["sessions"])


def test_what_is_not_queued_any_more_is_neither_edited_nor_dropped(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    for refused in (
        lambda tx: parts.send.drop(tx, agent, 1),
        lambda tx: parts.send.first(tx, agent, 1),
        lambda tx: parts.send.edit(tx, agent, 1, "other"),
    ):
        with pytest.raises(Conflict, match="prompt 1 is running"):
            parts.job(refused)
    with pytest.raises(NotFound, match="no such prompt 2"):
        parts.job(lambda tx: parts.send.drop(tx, agent, 2))


def test_a_held_queue_goes_on_at_go_and_not_before(parts: Parts) -> None:
    agent = parts.idle()
    parts.job(lambda tx: parts.life.hold(tx, agent))
    number = parts.prompt(agent)
    assert parts.status(number) == Status.QUEUED
    parts.job(lambda tx: parts.life.restart(tx, agent))
    assert parts.registry.get(agent).gate.why
    parts.job(lambda tx: parts.life.go(tx, agent))
    assert not parts.registry.get(agent).gate.why


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
    with pytest.raises(Conflict, match="no response now: the session has failed: internal error"):
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
        ("running", Conflict, "hooks report idle"),
        ("stopped", Conflict, "hooks report idle"),
        ("nonsense", Invalid, "invalid state"),
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


def test_a_log_comes_in_pages_of_some_bytes_however_long_the_answers_are(parts: Parts) -> None:
    """A page is made on the store's thread, where nobody can write meanwhile."""
    agent, size = parts.idle(), 300_000
    for number in range(4):
        parts.taken(agent, f"prompt {number}")
        parts.report(agent, "Stop", response=f"{number}\n\n\n" + "x" * size)
    pages, cursor = list[bytes](), cast(object, None)
    while (found := parts.job(partial(parts.send.conversation, session=agent, cursor=cursor)))[0]:
        pages.append(found[0])
        cursor = found[1]
    assert [page.count(b"\nASSISTANT") for page in pages] == [1, 1, 1, 1]
    assert (
        isinstance(cursor, At)
        and cursor.block == 8
        and [page.split(b"\n")[1] for page in pages] == [b"\tprompt %d" % n for n in range(4)]
    )
    assert all(page.endswith(b"\n\t%d\n\n\n\t%b\n\n" % (n, b"x" * size)) for n, page in enumerate(pages))
