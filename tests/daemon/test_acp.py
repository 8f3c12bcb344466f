"""A session whose agent speaks the Agent Client Protocol: a real daemon, the front in its pane, and an agent that follows a script."""

from collections.abc import Iterator

import pytest

from tests.conftest import Daemon, wait_until
from tests.scripted.acp import install, script, seen, sent
from tests.session import Session


@pytest.fixture
def acp(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon that has the fake agent."""
    install(daemon.home.config)
    yield daemon
    for one in daemon.client().ls(""):
        if len(one.name) == 8:
            print(Session(daemon, one.name).screen)
    print(daemon.words())
    print("\n".join(str(one)[:400] for one in seen(daemon.home.work)))


def new(daemon: Daemon, *options: str) -> Session:
    return Session.new(daemon, "fake-acp", *options)


def test_a_prompt_is_given_by_message_byte_for_byte_and_answered(acp: Daemon) -> None:
    agent = new(acp)
    for text in (
        "hello",
        "two\nlines\n",
        "/etc/passwd is a file",
        "tab\t \x1b[31m \u2028 \U0001f600 \ufeff",
        "x" * 1_000_000,
    ):
        assert agent.ask(text) == f"you said: {text}"
    (made,) = sent(acp.home.work, "session/new")
    assert (made["cwd"], made["mcpServers"][0]["name"]) == (str(acp.home.work), "anvillm")


def test_the_answer_is_what_was_said_after_the_last_tool_in_the_last_message(acp: Daemon) -> None:
    call = {"sessionUpdate": "tool_call", "toolCallId": "t1", "title": "ls", "status": "pending"}
    done = {"sessionUpdate": "tool_call_update", "toolCallId": "t1", "status": "completed"}
    turn = [
        {"text": "I look"},
        {"update": call},
        {"update": done},
        {"text": "a", "message": "m1"},
        {"text": "b", "message": "m2"},
    ]
    script(
        acp.home.work,
        {"match": "look", "do": [*turn, {"text": "c", "message": "m2"}, {"update": {**done, "toolCallId": "t1"}}]},
    )
    assert new(acp).ask("look") == "bc"


def test_prompts_wait_for_the_turn_and_the_agent_never_has_two(acp: Daemon) -> None:
    script(acp.home.work, {"match": "first", "do": [{"until": "go"}, {"text": "one"}]})
    agent = new(acp)
    agent.prompt("first")
    agent.prompt("second")
    wait_until(lambda: seen(acp.home.work, "turn"), "the first is taken")
    assert (agent.state, agent.row["queued"]) == ("running", 1)
    (acp.home.work / "go").touch()
    assert agent.out() == "you said: second"
    assert seen(acp.home.work, "second") == []


@pytest.mark.parametrize("choice", ["allow", "deny"])
def test_a_permission_is_asked_and_answered_from_outside(acp: Daemon, choice: str) -> None:
    script(acp.home.work, {"match": "ask", "do": [{"ask": []}, {"text": "answered {answer}"}]})
    install(acp.home.config, ask="careful", bypass="free")
    modes = {
        "currentModeId": "auto",
        "availableModes": [{"id": one, "name": one} for one in ("auto", "careful", "free")],
    }
    script(
        acp.home.work, {"match": "ask", "do": [{"ask": []}, {"text": "answered {answer}"}]}, session={"modes": modes}
    )
    agent = new(acp)
    agent.prompt("ask")
    found = agent.question()
    assert (found["text"], found["choices"]) == ("touch it", ["allow", "always", "deny"])
    agent.write("answer", choice)
    assert agent.out() == f"answered {choice}"
    assert agent.read("ask").strip() == ""
    assert [one["modeId"] for one in sent(acp.home.work, "session/set_mode")] == ["free"]


def test_a_permission_is_answered_by_a_key_and_is_gone_outside(acp: Daemon) -> None:
    install(acp.home.config, bypass="mode=auto")
    option = {
        "id": "mode",
        "name": "Mode",
        "type": "select",
        "currentValue": "x",
        "options": [{"value": "auto", "name": "a"}],
    }
    script(
        acp.home.work, {"match": "ask", "do": [{"ask": []}, {"text": "answered {answer}"}]}, session={"configOptions": [option]}
    )  # fmt: skip
    agent = new(acp)
    agent.prompt("ask")
    agent.question()
    wait_until(lambda: "1 allow" in agent.screen, "the pane shows it")
    agent.keys("3")
    assert agent.out() == "answered deny"
    assert agent.read("ask").strip() == ""


def test_what_an_agent_asks_though_it_need_not_is_allowed(acp: Daemon) -> None:
    script(acp.home.work, {"match": "ask", "do": [{"ask": []}, {"text": "answered {answer}"}]})
    assert new(acp).ask("ask") == "answered allow"


def test_a_person_types_in_the_pane_and_the_queue_waits_for_it(acp: Daemon) -> None:
    script(acp.home.work, {"match": "mine", "do": [{"until": "go"}, {"text": "yours"}]})
    agent = new(acp)
    agent.keys("mine", "Enter")
    wait_until(lambda: agent.state == "running", "a turn runs")
    agent.prompt("queued")
    agent.keys("half typed")
    (acp.home.work / "go").touch()
    assert agent.out() == "you said: queued"
    wait_until(lambda: "> half typed" in agent.screen, "what a person has begun still stands there")
    assert [line.split("\t")[1] for line in agent.read("turns/list").splitlines()] == ["done", "done"]


@pytest.mark.parametrize("how", ["ctl", "Escape", "C-c"])
def test_a_turn_is_broken_off(acp: Daemon, how: str) -> None:
    script(acp.home.work, {"match": "long", "do": [{"text": "I begin"}, {"wait": 60}]})
    agent = new(acp)
    agent.prompt("long")
    wait_until(lambda: seen(acp.home.work, "turn"), "the turn runs")
    agent.write("ctl", "interrupt") if how == "ctl" else agent.keys(how)
    agent.wait("idle")
    assert agent.ask("next") == "you said: next"
    assert len(sent(acp.home.work, "session/cancel")) == 1
