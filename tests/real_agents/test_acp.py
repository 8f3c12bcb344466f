"""Agents that speak the Agent Client Protocol, each with a stand-in of its service: the same cases for all, one of our own among them.

What each message to an agent must be is in the published schema; those of every test are checked against it.
"""

import base64
import json
import os
import re
import signal
import struct
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from anvilsrv.errors import AnvilError
from anvilsrv.p9 import wire
from tests.real_agents.conftest import Bench, Benches, careful, sent, wait_until
from tests.real_agents.directives import command, edit
from tests.real_agents.model import heard
from tests.scripted.acp_schema import deviations
from tests.session import Session

pytestmark = pytest.mark.timeout(400)
TEXTS = (
    "hello", "two\nlines\n\nand more", "/etc/passwd is a file", "\u00fcn\u00efc\u00f6de \U0001f600 \u2028 \ufeff",
    "tab\t esc \x1b[31m cr\r\n", "@a.txt !b #c",
)  # fmt: skip
NAMES = ["fake-acp", "claude-acp", "codex-acp", "gemini-acp", "opencode-acp", "qwen", "copilot", "vibe"]
SLOW = [one if one in ("fake-acp", "claude-acp") else pytest.param(one, marks=pytest.mark.slow(8)) for one in NAMES]
each = pytest.mark.parametrize("name", SLOW, scope="module")


@pytest.fixture
def bench(at: Benches, name: str) -> Iterator[Bench]:
    found = at(name)
    before = len(sent(found.daemon.home))
    yield found
    messages = sent(found.daemon.home)[before:]
    assert messages
    assert deviations(messages) == []


def turn(agent: Session) -> list[dict[str, Any]]:
    """Return what is told of the last turn."""
    number = agent.read("turns/list").splitlines()[-1].split("\t")[0]
    return [json.loads(one) for one in agent.read(f"turns/{number}/activity").splitlines()]


@pytest.mark.slow(7)
@each
@pytest.mark.parametrize("text", TEXTS)
def test_a_prompt_reaches_the_model_byte_for_byte(bench: Bench, text: str) -> None:
    agent = bench.agent()
    if bench.backend == "copilot":
        text = text.strip(" \n\r\u2028\ufeff")  # it does so
    guarded = "> " + text if bench.backend == "opencode-acp" and text.startswith("/") else text
    assert agent.ask(text) == heard(guarded)


@pytest.mark.parametrize("name", [one for one in SLOW if "copilot" not in str(one)], scope="module")
def test_a_prompt_of_a_megabyte_reaches_the_model(bench: Bench) -> None:
    text = "0123456789abcde\n" * 65_000
    if bench.backend == "qwen":  # as copilot, it refuses what is longer than its model's context
        assert "too large" in bench.new().refused(text)
    elif bench.backend == "vibe":  # it would sum it up
        with pytest.raises(AnvilError, match="the agent takes 700,000"):
            bench.agent().prompt(text)
        most = text[: 700_000 * 16 // 17]
        assert bench.agent().ask(most) == heard(most)
    else:
        assert bench.agent().ask(text) == heard(text)


@pytest.mark.slow(7)
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
    agent = bench.agent()
    answer = agent.ask(command(bench.backend, "echo hi-there"))
    told = turn(agent)
    (tool,) = {one["id"]: one for one in told if one["kind"] == "tool"}.values()
    (output,) = {one["id"]: one for one in told if one["kind"] == "output"}.values()
    assert (tool["type"], tool["id"], output["end"]) == ("execute", output["id"], "ok")
    assert "echo hi-there" in tool["title"] + json.dumps(tool.get("input", ""))
    texts = {one["id"]: one["text"] for one in told if one["kind"] == "text"}
    assert list(texts.values())[-1] == answer


edits = pytest.mark.parametrize("name", [one for one in SLOW if "codex-acp" not in str(one)], scope="module")
IMAGES = [
    one for one in SLOW if not re.search("qwen|vibe|opencode", str(one))
]  # they send none to a model that they do not know


@edits  # codex offers its tool for that to models that it knows, and no other
def test_an_edit_is_done_and_told_with_its_diff(bench: Bench) -> None:
    agent, file = bench.agent(), bench.daemon.home.work / "beta.txt"
    file.write_text("alpha\nbeta\ngamma\n")
    agent.ask(edit(bench.backend, str(file), "beta", "delta"))
    assert file.read_text() == "alpha\ndelta\ngamma\n"
    made = [one for one in turn(agent) if one["kind"] == "edit"][-1]
    assert (made["path"], made["op"]) == (file.name, "change")
    assert "-beta" in made["diff"] and "+delta" in made["diff"]
    wait_until(lambda: "+delta" in agent.screen, "the pane shows it")


@edits
@pytest.mark.parametrize("choice", ["allow", "deny"])
def test_a_permission_for_an_edit_is_asked_with_its_diff(bench: Bench, choice: str) -> None:
    agent, file = bench.agent(careful(bench.daemon.home)), bench.daemon.home.work / "beta.txt"
    file.write_text("alpha\nbeta\ngamma\n")
    agent.prompt(edit(bench.backend, str(file), "beta", "delta"))
    asked = agent.question()
    if bench.backend == "opencode-acp":  # it asks for the reading first
        agent.write("answer", "allow")
        wait_until(lambda: "diff" in (agent.json("ask") or {}), "it asks for the edit")
        asked = agent.question()
    assert "-beta" in asked["diff"] and "+delta" in asked["diff"]
    agent.write("answer", choice)
    wait_until(lambda: agent.state == "idle", "the turn ends")
    assert ("delta" in file.read_text()) == (choice == "allow")


@each
def test_mail_is_taken_as_a_prompt_and_its_answer_is_mailed_back(bench: Bench) -> None:
    agent = bench.agent()
    message = {"to": agent.id, "type": "QUERY_REQUEST", "subject": "color", "body": "which color?\n@@say blue, surely"}
    bench.client.write("user/mail", json.dumps(message).encode())
    wait_until(lambda: "blue, surely" in bench.client.read("user/inbox").decode(), "it is answered by mail")


@pytest.mark.parametrize("name", [one for one in SLOW if re.search("claude|gemini", str(one))], scope="module")
def test_it_writes_mail_with_our_tools(bench: Bench) -> None:
    agent = bench.agent()

    def ours() -> str:
        """Return our tool, once the server has started."""
        agent.ask("hello")
        return next((one for one in bench.model.last.tools if "anvillm" in one and one.endswith("send_message")), "")

    tool = wait_until(ours, "it has our tools")
    message = {"to": "user", "type": "QUERY_REQUEST", "subject": "hi", "body": f"from {bench.backend}"}
    agent.ask(f"@@call {tool} {json.dumps(message)}")
    wait_until(lambda: f"from {bench.backend}" in bench.client.read("user/inbox").decode(), "it comes")


COMMANDS = {"fake-acp": ("compact", "it is short now"), "claude-acp": ("context", "Context Usage")}


@each
def test_its_commands_are_a_file_and_are_done_without_the_model(bench: Bench) -> None:
    agent, (name, says) = bench.agent(), COMMANDS.get(bench.backend, ("", ""))
    agent.ask("hello")
    count = len(bench.model.asks)
    found = dict(line.split("\t") for line in agent.read("commands").splitlines())
    print(found)
    if name:
        assert says in agent.ask(f"/{name}")
        assert name in found or bench.backend == "claude-acp"
        assert len(bench.model.asks) == count


def png() -> bytes:
    """Return a picture of 8 by 8 pixels."""
    chunk = lambda name, data: (  # noqa: E731
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    )
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress((b"\0" + b"\xff\0\0" * 8) * 8))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("name", IMAGES, scope="module")
def test_an_image_and_a_file_that_a_prompt_names_reach_the_model(bench: Bench) -> None:
    agent = bench.agent()
    for name, data in (("shot.png", png()), ("note.txt", b"the word is zanzibar")):
        with agent.client.create(f"{agent.id}/attach/{name}", wire.OWRITE) as file:
            file.write(data)
    agent.ask("look at attach/shot.png and attach/note.txt")
    raw = json.dumps([one.raw for one in bench.model.asks])
    assert base64.b64encode(png()).decode() in raw
    texts = bench.backend not in ("copilot", "gemini-acp")  # these get them by their paths
    assert ("zanzibar" if texts else "attach/note.txt") in raw


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


@pytest.mark.slow(6)
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
@pytest.mark.parametrize("when", ["at once", "in text", "in a tool", "while it asks"])
def test_a_turn_is_broken_off(bench: Bench, when: str) -> None:
    agent = bench.agent(careful(bench.daemon.home)) if when == "while it asks" else bench.agent()
    count, file = len(bench.model.asks), bench.daemon.home.work / "never"
    words = {"in a tool": "sleep 471", "while it asks": f"touch {file}"}
    tool = command(bench.backend, words.get(when, ""), when == "while it asks")
    agent.prompt(tool if when in words else f"@@hold never {when} and more")
    if when != "at once":
        wait_until(lambda: len(bench.model.asks) > count, "the model is asked")
    wait_until(lambda: agent.state == "running", "the turn runs")
    if when == "in a tool":
        wait_until(lambda: "sleep 471" in agent.screen, "the tool runs")
    if when == "while it asks":
        agent.question()
    agent.write("ctl", "interrupt")
    wait_until(lambda: agent.state == "idle", "the turn ends")
    assert agent.ask(f"after {when}") == heard(f"after {when}")
    assert (agent.read("ask"), file.exists()) == ("", False)


@each
def test_prompts_that_wait_are_given_one_after_another(bench: Bench) -> None:
    agent = bench.agent()
    texts = [f"@@slow 0.2 number {at}" for at in range(3)]
    for text in texts:
        agent.prompt(text)
    assert agent.out() == "number 2"
    own = ("Managed memory", "[SUGGESTION MODE")  # what qwen asks by itself
    asked = [one for one in bench.model.prompts() if not one.startswith(own)]
    assert asked == texts  # and the model was asked for nothing else


@each
def test_an_error_of_the_service_fails_the_turn_with_its_reason(bench: Bench) -> None:
    agent = bench.agent()
    if bench.backend == "copilot":  # it tells it as ordinary text
        assert "bad thing" in agent.ask("@@fail 400 bad thing")
    else:
        assert "bad thing" in agent.refused("@@fail 400 bad thing")
    assert agent.ask("after") == heard("after")


@pytest.mark.slow(12)
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
    assert "remember 42" in json.dumps(bench.model.last.raw)
