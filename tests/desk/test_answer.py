"""Questions: who asks is answered, once, with what was chosen; and is let go when the question is over."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from anvilsrv.errors import AnvilError, Conflict, Invalid
from anvilsrv.sessions import conversation, questions, session_rows
from anvilsrv.sessions.questions import identify, pick
from anvilsrv.store.effects import Asked
from tests.conftest import PATIENCE, wait_until
from tests.desk.parts import Asker, Parts
from tests.scripted import BACKEND


def ask(parts: Parts, agent: str, number: str = "q1", **fields: Any) -> Asker:
    return parts.report(agent, "Ask", number, **{"question": "really?", **fields})


def test_a_question_is_shown_and_its_answer_given_to_who_asks(parts: Parts) -> None:
    agent = parts.idle()
    asker = ask(parts, agent)
    [shown] = parts.registry.get(agent).ask
    assert (shown["id"], shown["text"], shown["choices"], shown["free"]) == (
        identify(agent, "q1"),
        "really?",
        ["yes", "no"],
        True,
    )
    assert asker.replies == []
    parts.questions.answer(agent, "no")
    assert (asker.replies, parts.row(agent).ask) == ([{"stdout": '{"choice":"no"}\n', "exit": 0}], ())
    assert [one["ask"] and one["ask"]["id"] for one in parts.events("ask")] == [identify(agent, "q1"), None]


def test_an_answer_in_the_moment_in_which_the_question_is_shown_is_given(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views are renewed before effects: a question is to be read a little before its asker is known."""
    agent, asked, go = parts.idle(), parts.questions.asked, threading.Event()

    def late(effect: Asked) -> None:
        go.wait(PATIENCE)
        asked(effect)

    monkeypatch.setattr(parts.questions, "asked", late)
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(ask, parts, agent)
        wait_until(lambda: parts.registry.get(agent).ask, "it is shown")
        post, posted = parts.store.post, threading.Event()
        monkeypatch.setattr(parts.store, "post", lambda *job: (post(*job), posted.set()))
        answering = pool.submit(parts.questions.answer, agent, "no")
        wait_until(lambda: answering.done() or posted.is_set(), "the answer waits for what came before it")
        go.set()
        answering.result(PATIENCE)
    assert asking.result().replies == [{"stdout": '{"choice":"no"}\n', "exit": 0}]


def test_what_is_not_asked_cannot_be_answered(parts: Parts) -> None:
    agent = parts.idle()
    with pytest.raises(Conflict, match="has no open question"):
        parts.questions.answer(agent, "yes")
    ask(parts, agent)
    parts.questions.answer(agent, "yes")
    with pytest.raises(Conflict, match="has no open question"):
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
    assert (asker.replies, parts.row(agent).ask) == ([{}], ())


def test_activity_says_who_decided(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    ask(parts, agent, diff="-a\n+b\n")
    parts.questions.answer(agent, "no")
    ask(parts, agent, "q2")  # answered in the pane: the agent goes on
    parts.report(agent, "Stop", response="done")
    lines = parts.store.call(lambda tx: parts.registry.activity.page(tx, agent, 0, None))[0].splitlines()
    told = {name: [one for one in map(json.loads, lines) if one["kind"] == name] for name in ("ask", "decision")}
    assert [(one["id"], one["by"], one.get("choice")) for one in told["decision"]] == [
        (identify(agent, "q1"), "person", "no"),
        (identify(agent, "q2"), "pane", None),
    ]
    assert [(one["id"], one["text"], one.get("diff")) for one in told["ask"]] == [
        (identify(agent, "q1"), "really?", "-a\n+b\n"),
        (identify(agent, "q2"), "really?", None),
    ]


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
    assert [one["report"] for one in parts.row(agent).ask] == ["q2"]
    parts.questions.abandon(agent, second)
    parts.quiet()
    assert parts.row(agent).ask == ()


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
    [shown] = parts.registry.get(agent).ask
    assert shown["text"] == "a\ufffdb"


# -- several at once ---------------------------------------------------------------------------------------------------


def ids(parts: Parts, agent: str) -> list[str]:
    return [one["id"] for one in parts.registry.get(agent).ask]


def many(parts: Parts) -> str:
    """A backend that tells which of its agents says something, and about which use of a tool."""
    hooks = {
        **BACKEND["hooks"],
        "Active": {"report": "active", "unless": {"agent_id": "."}},
        "Done": {"report": "answered"},
    }
    fields = {"agent": "agent_id", "tool": "tool"}
    return parts.backend("many", payload=fields, hooks=hooks, ignore={})


def test_each_question_has_an_id_and_an_answer_goes_to_the_one_that_it_names(parts: Parts) -> None:
    agent = parts.idle()
    askers = [ask(parts, agent, number) for number in ("x1", "x2")]
    first, second = ids(parts, agent)
    parts.questions.answer(agent, f"{second} 2")
    assert [asker.replies for asker in askers] == [[], [{"stdout": '{"choice":"no"}\n', "exit": 0}]]
    assert ids(parts, agent) == [first]
    last = parts.events("ask")[-1]
    assert (last["ask"]["id"], [one["id"] for one in last["asks"]], last["over"]) == (first, [first], second)


def test_a_choice_without_an_id_is_refused_while_several_questions_are_open(parts: Parts) -> None:
    agent = parts.idle()
    askers = [ask(parts, agent, number) for number in ("x1", "x2")]
    with pytest.raises(Conflict, match="asks 2 questions: name one of"):
        parts.questions.answer(agent, "yes")
    parts.questions.answer(agent, f"{ids(parts, agent)[0]} yes")
    parts.questions.answer(agent, "no")
    assert [len(asker.replies) for asker in askers] == [1, 1]


def test_an_answer_to_a_question_that_is_gone_is_not_given_to_the_next(parts: Parts) -> None:
    agent = parts.idle()
    ask(parts, agent, "x1")
    [gone] = ids(parts, agent)
    parts.questions.answer(agent, "yes")
    after = ask(parts, agent, "x2")
    with pytest.raises(Conflict, match=f"question '{gone}' is gone"):
        parts.questions.answer(agent, f"{gone} yes")
    with pytest.raises(Invalid, match="no choice after"):
        parts.questions.answer(agent, ids(parts, agent)[0])
    assert after.replies == []


def test_what_one_agent_of_a_session_does_ends_no_question_of_another(parts: Parts) -> None:
    agent = parts.idle(many(parts))
    parts.taken(agent)
    mine, other = ask(parts, agent, "x1", tool="make"), ask(parts, agent, "x2", agent_id="a1", tool="make")
    parts.report(agent, "Done", agent_id="a1", tool="ls")
    assert len(ids(parts, agent)) == 2
    parts.report(agent, "Done", agent_id="a1", tool="make")
    assert (mine.replies, other.replies) == ([], [{}])
    parts.report(agent, "Done", agent_id="a1")
    assert mine.replies == []
    parts.report(agent, "Stop", response="done")
    assert (mine.replies, ids(parts, agent)) == ([{}], [])


def test_one_of_two_questions_about_the_same_is_over_when_one_was_done(parts: Parts) -> None:
    agent = parts.idle(many(parts))
    askers = [ask(parts, agent, number, tool="make") for number in ("x1", "x2")]
    parts.report(agent, "Active", tool="make")
    assert [asker.replies for asker in askers] == [[{}], []]


def test_who_asks_again_after_a_restart_keeps_his_question_beside_the_others(parts: Parts) -> None:
    agent = parts.idle()
    ask(parts, agent, "x1")
    ask(parts, agent, "x2")
    before, told = ids(parts, agent), len(parts.events("ask"))
    again = ask(parts, agent, "x1")
    assert (ids(parts, agent), len(parts.events("ask"))) == (before, told)
    parts.questions.answer(agent, f"{before[0]} yes")
    assert len(again.replies) == 1


def test_a_question_that_an_earlier_version_kept_is_still_asked(parts: Parts) -> None:
    agent = parts.idle()
    old = '{"id":"0b0c-4","text":"sure?","choices":["yes","no"],"detail":"","free":false}'
    parts.job(lambda tx: session_rows.put(tx, agent, ask=old))
    asker = ask(parts, agent, "0b0c-4")
    assert ids(parts, agent) == ["0b0c-4"]
    parts.questions.answer(agent, "0b0c-4 yes")
    assert len(asker.replies) == 1


def test_an_interrupt_lets_go_who_would_not_hear_a_key(parts: Parts) -> None:
    deaf = {"report": "ask", "question": "question", "free": {"choice": "{TEXT}"}, "otherwise": {"choice": "none"}}
    agent = parts.idle(parts.backend("deaf", hooks={**BACKEND["hooks"], "Ask": deaf}))
    parts.taken(agent)
    asker = ask(parts, agent)
    parts.job(lambda tx: parts.life.interrupt(tx, agent))
    assert (asker.replies, ids(parts, agent)) == ([{"stdout": '{"choice":"none"}\n', "exit": 0}], [])
    assert len(parts.presses) == 1


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ("2\n1,3", "blue\na, c"),
        ("2\n1 3", "blue\na, c"),
        ("2\n1 or 3", "blue\n1 or 3"),
        ("red\n a\n", "red\na"),
        ("none\n2", "none\nb"),
    ],
)
def test_several_questions_in_one_take_a_line_each(given: str, chosen: str) -> None:
    parts = [{"text": "?", "choices": ["red", "blue"]}, {"text": "?", "choices": ["a", "b", "c"], "multiple": True}]
    question = {"id": "q000000", "choices": [], "free": True, "questions": parts}
    assert questions.chosen(question, given) == chosen
    with pytest.raises(Invalid, match="1 lines for 2 questions"):
        questions.chosen(question, "2")


def test_the_log_tells_the_parts_of_an_answer_apart(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    asked = [{"text": text, "choices": ["red", "blue"]} for text in ("Which?", "And which?")]
    ask(parts, agent, question="Which?\n\nAnd which?", questions=asked, free=True)
    parts.questions.answer(agent, "blue\nred")
    log = parts.job(lambda tx: conversation.conversation_page(tx, agent, 0))[0].decode()
    assert "Which? → blue / red\n" in log


def test_a_number_is_a_choice_also_where_any_words_are_an_answer() -> None:
    assert questions.chosen({"choices": ["Red", "Blue"], "free": True}, "2") == "Blue"
    assert questions.chosen({"choices": ["Red", "Blue"], "free": True}, "bl") == "bl"


PLANS = """
def report(self, hook, payload):
    found = super().report(hook, payload)
    if hook == "Ask":
        found.fields.update(what="plan", plan_in="kept.file")
    return found
"""


def test_a_plan_that_stands_in_a_file_of_the_agents_is_in_the_question(parts: Parts) -> None:
    parts.backend(python=PLANS)
    agent = parts.idle()
    parts.taken(agent)
    data = parts.data(agent)
    (data / "plan.md").write_text("1. look\n2. leap\n")
    transcript = data / "t.jsonl"
    lines = [{"kept": {"file": str(data / "none.md")}}, {"kept": {"file": str(data / "plan.md")}}, {"kept": 3}]
    transcript.write_text("".join(json.dumps(one) + "\n" for one in lines))
    parts.report(agent, "Ask", question="Go on?", transcript_path=str(transcript))
    [asked] = parts.registry.get(agent).ask
    assert (asked["what"], asked["text"]) == ("plan", "Go on?\n\n1. look\n2. leap\n")
    parts.job(lambda tx: parts.questions.drop(tx, agent))
    transcript.write_text(json.dumps({"kept": {"file": "/etc/passwd"}}) + "\n")
    parts.report(agent, "Ask", question="And now?", transcript_path=str(transcript))
    [asked] = parts.registry.get(agent).ask
    assert asked["text"] == "And now?"


def test_questions_are_bounded_in_bytes_and_the_oldest_gives_way(parts: Parts) -> None:
    """Every list of sessions has all of them."""
    agent = parts.idle()
    askers = [ask(parts, agent, f"q{number}", question="x" * 60_000) for number in range(6)]
    assert [one["report"] for one in parts.row(agent).ask] == ["q2", "q3", "q4", "q5"]
    assert [len(one.replies) for one in askers] == [1, 1, 0, 0, 0, 0]
    ask(parts, agent, "long", question="y" * 5_000_000)
    long = parts.row(agent).ask[-1]
    assert long["report"] == "long" and len(long["text"]) < 70_000 and "bytes left out" in long["text"]


def test_a_long_use_of_a_tool_ends_its_question_and_no_other(parts: Parts) -> None:
    assert questions.use("x" * 10) == "x" * 10 and questions.use(None) == ""
    one, other = (questions.use(letter * 5000) for letter in "ab")
    assert one != other and len(one) < 100
