"""The real Claude Code with a conversation whose file is damaged: that is told, the file is kept, and there is a way on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real_agents.conftest import Bench, wait_until
from tests.real_agents.model import heard
from tests.session import Session

pytestmark = pytest.mark.timeout(300)  # a busy machine starts agents slowly

BINARY = bytes(range(256)) * 40
DAMAGE: dict[str, Callable[[bytes], bytes]] = {"binary": lambda data: BINARY, "empty": lambda data: b""}


def transcript(bench: Bench, agent: Session) -> Path:
    """Return the file of its first conversation."""
    data = bench.daemon.home.state / "sessions" / agent.id / "data"
    return min((data / "claude/projects").glob("*/*.jsonl"), key=lambda path: path.stat().st_mtime)


def damaged(bench: Bench, damage: Callable[[bytes], bytes]) -> tuple[Session, Path]:
    """A session that was stopped after a prompt, and the file of its conversation, which was damaged then."""
    agent = bench.new()
    agent.ask("remember 42")
    agent.write("ctl", "stop")
    agent.wait("stopped")
    file = transcript(bench, agent)
    file.write_bytes(damage(file.read_bytes()))
    return agent, file


@pytest.mark.slow(30)
@pytest.mark.parametrize("how", DAMAGE)
def test_a_conversation_of_which_nothing_can_be_read_is_told_kept_and_goes_on_with_its_log(
    claude: Bench, how: str
) -> None:
    agent, file = damaged(claude, DAMAGE[how])
    before = file.read_bytes()
    agent.write("ctl", "restart")
    wait_until(lambda: "a new one begins, with the log" in agent.row["error"], "it is not told")
    assert f"nothing is written down in its file '{file}', which is kept" in agent.row["error"]
    assert "No conversation found" in agent.row["error"]
    agent.wait("idle")
    agent.ask("what was it?")
    asked = claude.model.prompts()[-1]
    assert "\n    remember 42\n" in asked.replace("\t", "    ")
    assert asked.endswith("what was it?")
    assert file.read_bytes() == before
    for way in ("log", "fresh"):  # neither needs the damaged file
        agent.write("ctl", f"restart {way}")
        wait_until(lambda: agent.state == "starting", "it does not end")
        agent.wait("idle")
        agent.ask(f"after {way}")
        assert ("what was it?" in claude.model.prompts()[-1]) == (way == "log")
    assert file.read_bytes() == before


@pytest.mark.slow(20)
def test_a_conversation_that_lost_its_first_half_goes_on_with_the_rest_and_that_is_told(claude: Bench) -> None:
    agent = claude.new()
    for number in range(40, 44):
        agent.ask(f"remember {number}")
    agent.write("ctl", "stop")
    agent.wait("stopped")
    file = transcript(claude, agent)
    lines = file.read_bytes().splitlines(keepends=True)
    left = b"".join(lines[len(lines) // 2 :])
    file.write_bytes(left)
    agent.write("ctl", "restart")
    wait_until(lambda: agent.state in ("starting", "idle"), "it does not start")
    agent.wait("idle")
    assert f"the file of its conversation is shorter than it was: '{file}', which is kept" in agent.row["error"]
    assert agent.ask("what was it?") == heard("what was it?")
    assert file.read_bytes()[: len(left)] == left


@pytest.mark.slow(15)
def test_a_conversation_whose_last_line_is_cut_goes_on(claude: Bench) -> None:
    agent, file = damaged(claude, lambda data: data[:-40])
    before = file.read_bytes()
    agent.write("ctl", "restart")
    wait_until(lambda: agent.state in ("starting", "idle"), "it does not start")
    agent.wait("idle")
    assert agent.ask("what was it?") == heard("what was it?")
    assert "remember 42" in json.dumps(claude.model.last.raw)
    assert file.read_bytes()[: len(before)] == before
    assert agent.row["error"] == ""
