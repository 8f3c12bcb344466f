"""The real agents that speak the Agent Client Protocol, each with a stand-in of its service."""

import json
import os
import signal
import time

import pytest

from anvilsrv.errors import AnvilError
from tests.real_agents.conftest import Bench, Benches, careful, wait_until
from tests.real_agents.directives import command
from tests.real_agents.model import heard

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow(60)]
TEXTS = (
    "hello", "two\nlines\n\nand more", "/etc/passwd is a file", "\u00fcn\u00efc\u00f6de \U0001f600 \u2028 \ufeff",
    "tab\t esc \x1b[31m cr\r\n", "@a.txt !b #c",
)  # fmt: skip
NAMES = ["gemini-acp", "opencode-acp", "claude-acp", "codex-acp", "qwen", "copilot"]
each = pytest.mark.parametrize("name", NAMES, scope="module")


@pytest.fixture
def bench(at: Benches, name: str) -> Bench:
    return at(name)


@each
@pytest.mark.parametrize("text", TEXTS)
def test_a_prompt_reaches_the_model_byte_for_byte(bench: Bench, text: str) -> None:
    agent = bench.agent()
    if bench.backend == "copilot":
        text = text.strip(" \n\r\u2028\ufeff")  # it does so
    guarded = "> " + text if bench.backend == "opencode-acp" and text.startswith("/") else text
    assert agent.ask(text) == heard(guarded)


@each
def test_a_prompt_of_a_megabyte_reaches_the_model(bench: Bench) -> None:
    if bench.backend == "copilot":
        pytest.skip("it refuses what is longer than its model's context")
    agent, text = bench.agent(), "0123456789abcde\n" * 65_000
    assert agent.ask(text) == heard(text)


@each
def test_what_is_said_shows_as_it_comes(bench: Bench) -> None:
    agent = bench.agent()
    agent.prompt("@@hold gate first line\\nsecond third\\nfourth")
    wait_until(lambda: "first line" in agent.screen, "the first half shows")
    assert agent.state == "running"
    bench.model.release("gate")
    assert agent.out().endswith("fourth")


@each
def test_a_tool_runs_and_the_answer_is_what_is_said_after_it(bench: Bench) -> None:
    agent, file = bench.agent(), bench.daemon.home.work / f"made-{bench.backend}"
    answer = agent.ask(command(bench.backend, f"echo hi-there; touch {file}"))
    assert file.exists()
    assert "hi-there" in answer


@each
def test_what_it_does_is_in_activity(bench: Bench) -> None:
    agent = bench.new()
    answer = agent.ask(command(bench.backend, "echo hi-there"))
    told = [json.loads(one) for one in agent.read("turns/1/activity").splitlines()]
    (tool,) = {one["id"]: one for one in told if one["kind"] == "tool"}.values()
    (output,) = {one["id"]: one for one in told if one["kind"] == "output"}.values()
    assert (tool["type"], tool["id"], output["end"]) == ("execute", output["id"], "ok")
    assert "echo hi-there" in tool["title"] + json.dumps(tool.get("input", ""))
    texts = {one["id"]: one["text"] for one in told if one["kind"] == "text"}
    assert list(texts.values())[-1] == answer


MODES = {"gemini-acp": "plan", "opencode-acp": "plan", "claude-acp": "plan", "codex-acp": "read-only", "qwen": "plan"}


@each
def test_what_can_be_chosen_is_a_file_and_what_is_chosen_is_heeded(bench: Bench) -> None:
    agent, mode = bench.agent(), MODES.get(bench.backend)
    found = {line.split("\t")[0]: line.split("\t")[1:] for line in agent.read("options").splitlines()}
    assert found
    if mode is not None:
        before = found["mode"][0]
        for one in (mode, before):
            agent.write("options", f"mode {one}")
            wait_until(lambda one=one: f"mode\t{one}\t" in agent.read("options"), f"it goes to {one}")  # type: ignore[misc]
        with pytest.raises(AnvilError, match="invalid mode 'dream'"):
            agent.write("options", "mode dream")
    assert agent.ask("after") == heard("after")


@each
@pytest.mark.parametrize("choice", ["allow", "deny"])
def test_a_permission_is_asked_and_answered(bench: Bench, choice: str) -> None:
    agent = bench.agent(careful(bench.daemon.home))
    file = bench.daemon.home.work / f"made-{choice}"
    agent.prompt(command(bench.backend, f"touch {file}", ask=True))
    assert choice in agent.question()["choices"]
    agent.write("answer", choice)
    wait_until(lambda: agent.state == "idle", "the turn ends")
    assert file.exists() == (choice == "allow")
    assert agent.ask("next") == heard("next")


@each
@pytest.mark.parametrize("when", ["at once", "in text", "in a tool"])
def test_a_turn_is_broken_off(bench: Bench, when: str) -> None:
    agent = bench.agent()
    count = len(bench.model.asks)
    agent.prompt(command(bench.backend, "sleep 471") if when == "in a tool" else f"@@hold never {when} and more")
    if when != "at once":
        wait_until(lambda: len(bench.model.asks) > count, "the model is asked")
    wait_until(lambda: agent.state == "running", "the turn runs")
    if when == "in a tool":
        wait_until(lambda: "sleep 471" in agent.screen, "the tool runs")
    agent.write("ctl", "interrupt")
    wait_until(lambda: agent.state == "idle", "the turn ends")
    assert agent.ask(f"after {when}") == heard(f"after {when}")


@each
def test_prompts_that_wait_are_given_one_after_another(bench: Bench) -> None:
    agent = bench.agent()
    texts = [f"@@slow 0.2 number {at}" for at in range(3)]
    for text in texts:
        agent.prompt(text)
    assert agent.out() == "number 2"
    assert bench.model.prompts() == texts  # and the model was asked for nothing else


@each
def test_an_error_of_the_service_fails_the_turn_with_its_reason(bench: Bench) -> None:
    agent = bench.agent()
    if bench.backend == "copilot":  # it tells it as ordinary text
        assert "bad thing" in agent.ask("@@fail 400 bad thing")
    else:
        assert "bad thing" in agent.refused("@@fail 400 bad thing")
    assert agent.ask("after") == heard("after")


@pytest.mark.slow(5)
@each
def test_an_agent_killed_in_a_turn_comes_back_with_its_conversation(bench: Bench) -> None:
    agent = bench.new()
    agent.ask("remember 42")
    if bench.backend == "gemini-acp":
        time.sleep(61 - time.time() % 60)  # it takes up no conversation of the same clock minute
    agent.prompt("@@hold gate one two")
    wait_until(lambda: "@@hold gate one two" in bench.model.prompts(), "the model is asked")
    os.kill(agent.pid or pytest.fail("it does not run"), signal.SIGKILL)
    wait_until(lambda: agent.state not in ("running", "idle"), "it died")
    agent.wait("idle")
    assert agent.ask("what was it?") == heard("what was it?")
    assert "remember 42" in json.dumps(bench.model.asks[-1].raw)
