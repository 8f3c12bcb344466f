"""Agents that do not start with their old conversation: it is told once, and its file is kept."""

import json
import os
import signal

import pytest

from anvilsrv.errors import AnvilError
from tests import scripted
from tests.conftest import Daemon, wait_until
from tests.session import Session

REFUSES = ["sh", "-c", "echo no conversation found; exit 1"]
PROMPTS = [{"report": "taken", "when": {"type": "^user$", "text": "^remember"}, "text": "text"}]


def errors(agent: Session) -> list[str]:
    """Return all errors that were told of it."""
    lines = agent.daemon.client().open("events.0").read(1 << 20).decode().splitlines()
    return [one["error"] for one in map(json.loads, lines) if one["type"] == "error"]


def damaged(daemon: Daemon, **changes: object) -> Session:
    """Return an agent with one turn in its conversation, with which it will not start again."""
    scripted.install(daemon.home.config, resume=REFUSES, **changes)
    agent = Session.new(daemon, "scripted")
    agent.ask("remember 42")
    return agent


def test_an_agent_that_refuses_its_conversation_is_one_error_with_what_helps_and_the_log_goes_on(
    daemon: Daemon,
) -> None:
    agent = damaged(daemon, transcript=PROMPTS)
    [file] = (daemon.home.state / "sessions" / agent.id / "data").glob("*.jsonl")
    with open(file, "a") as transcript:  # as a daemon reads it at the end
        transcript.write('{"type": "user", "text": "remember 42"}\n')
    before = file.read_text()
    agent.write("ctl", "restart")
    assert agent.wait("error")
    told = errors(agent)[-1]
    assert f"cannot resume its conversation: no conversation found; its file '{file}' is kept" in told
    assert "'restart log'" in told and "'restart fresh'" in told
    assert len(errors(agent)) <= 2
    agent.write("ctl", "restart log")
    assert agent.wait("idle")
    assert file.read_text() == before
    agent.prompt("what was it?")
    agent.out()
    [first, second] = scripted.seen(daemon.home.work, "turn")
    assert second["text"].endswith("\n\nwhat was it?")
    assert "USER" in second["text"] and "\tremember 42" in second["text"] and "ASSISTANT" in second["text"]
    agent.ask("and now?")
    assert scripted.seen(daemon.home.work, "turn")[-1]["text"] == "and now?"
    assert first["text"] == "remember 42"
    assert "what was it?\n" in agent.client.open(f"{agent.id}/log").read(1 << 16).decode()


def test_a_file_that_has_lost_its_beginning_is_told_and_kept_and_the_agent_goes_on_with_the_rest(
    daemon: Daemon,
) -> None:
    scripted.install(daemon.home.config, transcript=PROMPTS)
    agent = Session.new(daemon, "scripted")
    agent.ask("remember 42")
    [file] = (daemon.home.state / "sessions" / agent.id / "data").glob("*.jsonl")
    file.write_text('{"type": "user", "text": "remember 42"}\n' + '{"type": "user", "text": "remember 43"}\n' * 9)
    agent.ask("what was it?")

    def again() -> list[str]:
        agent.write("ctl", "restart")
        wait_until(lambda: agent.state != "idle", "it does not end")
        assert agent.wait("idle")
        return errors(agent)

    assert again() == []
    left = "".join(file.read_text().splitlines(keepends=True)[8:])
    file.write_text(left)
    told = f"the file of its conversation is shorter than it was: '{file}', which is kept; the agent continues with what is left"
    assert [told in one and "'restart log'" in one for one in again()] == [True]
    assert told in agent.client.open(f"{agent.id}/log").read(1 << 16).decode()
    assert file.read_text().startswith(left)
    agent.ask("and now?")
    assert scripted.seen(daemon.home.work, "turn")[-1]["text"] == "and now?"


def test_a_conversation_that_was_never_written_down_begins_anew_with_the_log(daemon: Daemon) -> None:
    agent = damaged(daemon)
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: any("a new one begins, with the log" in one for one in errors(agent)), "it is not told")
    assert agent.wait("idle")
    agent.ask("what was it?")
    assert "\tremember 42" in scripted.seen(daemon.home.work, "turn")[-1]["text"]


def test_restart_fresh_carries_nothing_over_and_stays_resumable_only_after_a_prompt(daemon: Daemon) -> None:
    agent = damaged(daemon)
    agent.write("ctl", "restart fresh")
    for _ in range(2):
        wait_until(lambda: len(scripted.seen(daemon.home.work, "start")) > 1, "it does not start")
        assert agent.wait("idle")
        agent.write("ctl", "restart")  # no prompt yet: nothing to resume
        wait_until(lambda: agent.state != "idle", "it does not end")
    assert agent.wait("idle")
    agent.ask("what was it?")
    assert scripted.seen(daemon.home.work, "turn")[-1]["text"] == "what was it?"
    assert errors(agent) == []


def test_what_has_no_conversation_has_no_log_to_go_on_with(daemon: Daemon) -> None:
    agent = Session.new(daemon)
    with pytest.raises(AnvilError, match="backend 'shell' cannot begin with a log"):
        agent.write("ctl", "restart log")


def test_of_a_long_log_the_end_is_carried_over_in_short_lines(daemon: Daemon) -> None:
    agent = damaged(daemon)
    scripted.script(daemon.home.work, turns=[{"say": "x" * 5000}])
    for n in range(25):
        agent.ask(f"prompt {n}")
    agent.write("ctl", "restart log")
    wait_until(lambda: agent.state != "idle", "it does not end")
    assert agent.wait("idle")
    agent.ask("go on")
    text = scripted.seen(daemon.home.work, "turn")[-1]["text"]
    assert "\tprompt 24" in text and "\tprompt 1\n" not in text
    assert max(map(len, text.splitlines())) <= 2001
    assert len(text) < 110_000
