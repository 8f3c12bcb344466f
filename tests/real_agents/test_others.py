"""The other agents that ship as YAML: the same promises, shorter; each with its real program and a stand-in for its service."""

import json
import os
import signal
import time

import pytest

from tests.real_agents.conftest import Bench, Benches, careful, wait_until
from tests.real_agents.directives import command, limit
from tests.real_agents.model import heard
from tests.session import Session

pytestmark = pytest.mark.timeout(300)  # a busy machine starts agents slowly
OPENCODE = pytest.param("opencode", marks=pytest.mark.slow(17))
each = pytest.mark.parametrize(
    "name", ["codex", "gemini", OPENCODE], scope="module"
)  # all of one, then all of the next

HAZARDS = {
    "three lines": "one\ntwo\nthree",
    "10 KB": "x" * 10_000,
    "a trailing backslash": "ends with \\",
    "a trailing mention": "look at @file",
    "wide letters": "héllo 日本語 🎉",
    "quotes and dollars": "'\"`$HOME $(id) {a} %s ;",
}


@pytest.fixture
def bench(name: str, at: Benches) -> Bench:
    return at(name)


@pytest.mark.slow(7)
@each
def test_it_starts_takes_prompts_and_can_be_interrupted(bench: Bench) -> None:
    agent = bench.agent()
    for text in ("hello", "one\ntwo\nthree"):
        assert agent.ask(text) == heard(text)
    interrupt(bench, agent)


def interrupt(bench: Bench, agent: Session) -> None:
    """Break a turn off, and see that the next prompt is taken."""
    before = len(bench.model.prompts())
    agent.prompt("@@hold gate one two three four")
    bench.model.wait(before + 1)
    agent.wait("running")
    agent.write("ctl", "interrupt")
    agent.wait("idle")
    assert agent.ask("next") == heard("next")


@pytest.mark.slow(12)
@each
def test_prompts_arrive_as_meant_and_answers_are_exact(bench: Bench) -> None:
    agent = bench.agent()
    for name, text in HAZARDS.items():
        meant = f"{text} " if (bench.backend, name) == ("opencode", "a trailing mention") else text
        assert agent.ask(text) == heard(meant), name
    assert agent.ask("@@say two  blanks\\n\\n  and an indent") == "two  blanks\n\n  and an indent"
    assert len(bench.model.prompts()) == len(HAZARDS) + 1
    for text in ("!ls", "/clear"):
        agent.ask(text)
        assert bench.model.prompts()[-1].lstrip("> ") == text


@pytest.mark.slow(7)
@each
def test_ten_prompts_in_a_row_arrive_once_each_and_in_order(bench: Bench) -> None:
    agent = bench.agent()
    texts = [f"prompt number {n}" for n in range(10)]
    for text in texts:
        agent.prompt(text)
    assert agent.out(timeout=240) == heard(texts[-1])
    assert bench.model.prompts() == texts


@pytest.mark.slow(7)
@each
def test_a_tool_runs_and_usage_is_told(bench: Bench) -> None:
    agent = bench.new()
    file = bench.daemon.home.work / "made"
    said = agent.ask(command(bench.backend, f"touch {file}"))
    assert said.startswith("tool said:")
    assert file.exists(), said
    wait_until(lambda: agent.json("usage").get("output") == 14, "usage of two answers")


@pytest.mark.slow(13)
@pytest.mark.parametrize("name", [OPENCODE], scope="module")
def test_what_a_subagent_uses_is_counted(bench: Bench) -> None:
    agent = bench.new()
    task = {"description": "x", "prompt": "work for another", "subagent_type": "general"}
    agent.ask(f"@@call task {json.dumps(task)}")
    assert "work for another" in bench.model.prompts()
    wait_until(lambda: agent.json("usage").get("output") == 21, f"usage is {agent.read('usage')}")


@pytest.mark.slow(6)
@each
def test_what_a_person_has_half_typed_is_left_alone(bench: Bench) -> None:
    agent = bench.agent()
    agent.keys("-l", "half a thought")
    wait_until(lambda: "half a thought" in agent.screen, "the draft is on the screen")
    agent.prompt("waits")
    wait_until(lambda: agent.row["held"], "the prompt waits for the person")
    assert bench.model.prompts() == []
    agent.keys("C-u")
    assert agent.out() == heard("waits")
    agent.keys("-l", "another")
    wait_until(lambda: "another" in agent.screen, "a draft after a turn is on the screen")
    agent.prompt("waits again")
    wait_until(lambda: agent.row["held"], "the second prompt waits too")
    agent.keys("Enter")
    assert agent.out() == heard("waits again")
    assert bench.model.prompts() == ["waits", "another", "waits again"]


@pytest.mark.slow(6)
@pytest.mark.parametrize("name", ["codex", "gemini"], scope="module")
def test_a_search_in_what_was_typed_before_is_waited_for(bench: Bench) -> None:
    """What is pasted then would be searched for."""
    agent = bench.agent()
    agent.ask("before")
    agent.keys("C-r")
    wait_until(lambda: {"codex": "reverse-i-search:", "gemini": "(r:)"}[bench.backend] in agent.screen, "it is open")
    agent.prompt("after the search")
    wait_until(lambda: agent.row["held"], "the prompt waits")
    agent.keys("Escape")
    assert agent.out() == heard("after the search")
    assert (agent.row["held"], bench.model.prompts()) == ("", ["before", "after the search"])


@pytest.mark.slow(6)
@each
def test_an_error_of_the_service_ends_the_turn_with_its_reason(bench: Bench) -> None:
    agent = bench.agent()
    assert "bad thing" in agent.refused("@@fail 400 bad thing")
    agent.wait("idle")
    assert agent.ask("after") == heard("after")


@pytest.mark.slow(7)
@each
def test_a_limit_shows_with_its_end_and_the_queue_waits_for_it(bench: Bench) -> None:
    agent = bench.new()
    why = agent.refused(limit(bench.backend, time.time(), time.time() + 7200))
    agent.wait("idle")
    assert ("limit" in why.lower(), agent.row["error"] in why) == (True, True)
    agent.prompt("later")
    held = agent.row["held"]
    end = time.mktime(time.strptime(held.rpartition(" resumes at ")[2], "%Y-%m-%d %H:%M:%S"))
    assert abs(end - time.time() - 7200) < 200, held
    assert (agent.row["queued"], len(set(bench.model.prompts()))) == (1, 1)


@pytest.mark.slow(7)
@each
@pytest.mark.parametrize("choice", ["allow", "deny"])
def test_a_permission_is_asked_and_answered(bench: Bench, choice: str) -> None:
    agent = bench.agent(careful(bench.daemon.home))
    file = bench.daemon.home.work / f"made-{choice}"
    agent.prompt(command(bench.backend, f"touch {file}", ask=True))
    assert "allow" in agent.question()["choices"]
    agent.write("answer", choice)
    wait_until(lambda: agent.state == "idle", "the turn ends")
    assert file.exists() == (choice == "allow")


@pytest.mark.slow(6)
@each
def test_an_interrupt_while_something_is_asked_ends_the_turn_and_nothing_is_done(bench: Bench) -> None:
    agent = bench.agent(careful(bench.daemon.home))
    file = bench.daemon.home.work / "made-all-the-same"
    agent.prompt(command(bench.backend, f"touch {file}", ask=True))
    agent.question()
    agent.write("ctl", "interrupt")
    wait_until(lambda: agent.state == "idle", "the turn ends")
    assert (agent.read("ask"), file.exists()) == ("", False)
    assert agent.ask("next") == heard("next")


@pytest.mark.slow(13)
@each
def test_an_agent_killed_in_a_turn_comes_back_with_its_conversation(bench: Bench) -> None:
    agent = bench.new()
    agent.ask("remember 42")
    agent.prompt("@@hold gate one two")
    bench.model.wait(2)
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: agent.state not in ("running", "idle"), "it died")
    agent.wait("idle")
    assert agent.ask("what was it?") == heard("what was it?")
    assert "remember 42" in json.dumps(bench.model.last.raw)
