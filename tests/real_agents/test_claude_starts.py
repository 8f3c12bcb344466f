"""The real Claude Code where its start goes otherwise than planned: dialogs, warnings, hooks that are switched off."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.real_agents.conftest import Bench, careful, wait_until
from tests.real_agents.model import heard

pytestmark = pytest.mark.timeout(300)  # a busy machine starts agents slowly


def project(claude: Bench, name: str, **files: object) -> Path:
    """Return a directory with these files of JSON; a text is written as it is."""
    made = claude.daemon.home.work / name
    for path, content in files.items():
        file = made / {"settings": ".claude/settings.json", "servers": ".mcp.json"}[path]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return made


@pytest.mark.slow(5)
def test_settings_that_are_no_json_are_told_and_the_user_decides_from_anywhere(claude: Bench) -> None:
    agent = claude.launch(cwd=project(claude, "malformed", settings="{"))
    wait_until(lambda: "a settings file of Claude Code has an error" in agent.row["held"], "it is not told")
    assert (agent.state, agent.row["error"]) == ("starting", "")
    agent.write("ctl", "keys Down Down Enter")
    agent.wait("idle")
    assert agent.row["held"] == ""
    assert agent.ask("hello") == heard("hello")


@pytest.mark.slow(5)
def test_a_hook_event_that_claude_does_not_know_is_passed_over_and_told(claude: Bench) -> None:
    row = {"hooks": [{"type": "command", "command": "true"}]}
    agent = claude.new(cwd=project(claude, "unknown", settings={"hooks": {"Nonsense": [row]}}))
    wait_until(lambda: "passed over a part of the settings" in agent.row["error"], "it is not told")
    assert agent.ask("hello") == heard("hello")


def test_servers_of_the_project_are_the_users_decision_where_permissions_are_asked(claude: Bench) -> None:
    cwd = project(claude, "servers", servers={"mcpServers": {"x": {"command": "true"}}})
    agent = claude.launch(careful(claude.daemon.home), cwd=cwd)
    wait_until(lambda: ".mcp.json names MCP servers" in agent.row["held"], "it is not told")
    agent.write("ctl", "keys Down Down Enter")
    agent.wait("idle")


@pytest.mark.slow(65)
def test_hooks_that_are_switched_off_are_told_as_that_and_no_agent_is_started_again(claude: Bench) -> None:
    agent = claude.launch(cwd=project(claude, "silent", settings={"disableAllHooks": True}))
    wait_until(lambda: "none of its hooks has reported" in agent.row["held"], "it is not told")
    assert "disableAllHooks" in agent.row["held"]
    agent.wait("error")
    assert "none of its hooks has reported" in agent.row["error"]
    wait_until(lambda: agent.read("pid") == "0\n", "it runs on")


@pytest.mark.slow(25)
def test_claude_killed_the_moment_its_first_answer_is_out_comes_back(claude: Bench) -> None:
    agent = claude.new()
    agent.ask("remember 42")
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: agent.state == "starting", "it did not die")
    agent.wait("idle")
    agent.ask("what was it?")
    assert "remember 42" in json.dumps(claude.model.last.raw)  # from the log, if Claude had not saved it


@pytest.mark.slow(9)
def test_claude_goes_on_with_the_log_of_a_conversation_where_that_is_asked(claude: Bench) -> None:
    agent = claude.new()
    agent.ask("remember 42")
    agent.write("ctl", "restart log")
    wait_until(lambda: agent.state == "starting", "it does not end")
    agent.wait("idle")
    agent.ask("what was it?")
    asked = claude.model.prompts()[-1]
    assert "\n    remember 42\n" in asked.replace("\t", "    ")
    assert asked.endswith("what was it?")
    assert agent.row["error"] == ""
