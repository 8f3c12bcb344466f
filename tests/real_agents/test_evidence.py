"""What real agents leave as proof of what became of a prompt: the facts on which ``evidence`` in their files stands."""

import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.agents import transcript
from anvilsrv.backends.rules import Report
from anvilsrv.errors import AnvilError
from tests.real_agents.conftest import Bench, Benches, wait_until
from tests.real_agents.directives import command
from tests.real_agents.golden import SHIPPED
from tests.real_agents.model import heard
from tests.session import Session

pytestmark = pytest.mark.timeout(300)
each = pytest.mark.parametrize(
    "name", ["claude", "codex", "gemini", pytest.param("opencode", marks=pytest.mark.slow(30))], scope="module"
)


@pytest.fixture
def bench(name: str, at: Benches) -> Bench:
    return at(name)


def directory(agent: Session) -> Path:
    """Return the session's own directory, which its agent writes."""
    found = (top for top, names, _ in os.walk(agent.daemon.home.top) if top.endswith("/sessions") and agent.id in names)
    return Path(next(found)) / agent.id / "data"


def proofs(agent: Session, backend: str, *kinds: str) -> list[Report]:
    """Return what the lines of its transcript mean, oldest first."""
    top = directory(agent)
    lines: list[dict[str, Any]] = [
        line for path in sorted(top.rglob("*.jsonl")) for line in transcript.lines(top, str(path))
    ]
    found = [one for line in lines for one in SHIPPED.get(backend).transcript_reports(line) if one.kind in kinds]
    return sorted(found, key=lambda one: float(one.fields["mono"]))


@pytest.mark.slow(8)
@each
def test_a_line_proves_each_prompt_and_tells_when_it_was_taken(bench: Bench) -> None:
    agent = bench.agent()
    times = []
    for text in ("first", "second\nof two lines", "second\nof two lines"):
        began = time.monotonic()
        assert agent.ask(text) == heard(text)
        times.append((text, began, time.monotonic()))
    found = wait_until(lambda: len(taken := proofs(agent, bench.backend, "taken")) >= 3 and taken, "three lines")
    assert isinstance(found, list)
    for report, (text, began, ended) in zip(found[-3:], times, strict=True):
        assert report.fields["text"].strip() == text
        assert began <= report.fields["mono"] <= ended


WHILE_A_TOOL_RUNS = {
    "claude": ("joined", "turn"),
    "codex": ("taken", "turn"),
    "gemini": ("taken", "own"),
    "opencode": ("joined", "turn"),
}


@pytest.mark.slow(14)
@each
def test_what_a_person_types_while_a_tool_runs_is_known_to_join_or_to_be_a_turn_of_its_own(bench: Bench) -> None:
    agent = bench.agent()
    kind, where = WHILE_A_TOOL_RUNS[bench.backend]
    gate = bench.daemon.home.work / "gate"
    agent.prompt(command(bench.backend, f"echo $$ > started; until [ -e {gate} ]; do sleep 0.1; done"))
    wait_until(lambda: (bench.daemon.home.work / "started").exists(), "the tool runs")
    agent.keys("-l", "typed meanwhile")
    wait_until(lambda: "typed meanwhile" in agent.screen, "it stands in the input")
    time.sleep(0.5)  # an Enter that comes with the text is a part of it
    agent.keys("Enter")
    if kind == "joined" and bench.backend == "claude":
        wait_until(lambda: proofs(agent, "claude", "queued"), "Claude keeps it in its queue")
    elif kind == "joined":
        wait_until(lambda: proofs(agent, bench.backend, "joined"), "the journal has it")
    gate.touch()

    def told() -> Report | None:
        found = proofs(agent, bench.backend, "taken", "joined")
        return next((one for one in found if one.fields["text"].strip() == "typed meanwhile"), None)

    report = wait_until(told, "a line proves it")
    assert isinstance(report, Report)
    assert report.kind == kind
    agent.wait("idle")
    [first] = [one for one in proofs(agent, bench.backend, "taken") if "until" in one.fields["text"]]
    assert agent.out(), "the prompt that ran has its answer"
    if "turn" in report.fields:
        assert (report.fields["turn"] == first.fields["turn"]) == (where == "turn")


@pytest.mark.slow(5)
@pytest.mark.parametrize("name", ["gemini"], scope="module")
def test_a_turn_that_was_broken_off_has_no_answer_least_of_all_that_of_the_prompt_before(bench: Bench) -> None:
    agent = bench.agent()
    assert agent.ask("before") == heard("before")
    agent.prompt("@@hold gate one two three four")
    bench.model.wait(2)
    wait_until(lambda: "one two" in agent.screen, "words of the answer are shown")
    agent.keys("Escape")
    with pytest.raises(AnvilError, match="no response"):
        agent.out()
    assert agent.ask("after") == heard("after")


GUARD = """
import json, sys
if "FORBIDDEN" in json.load(sys.stdin)["prompt"]:
    sys.stderr.write("no such words here")
    sys.exit(2)
"""


@pytest.mark.slow(6)
def test_a_prompt_that_a_hook_of_the_users_refuses_has_failed_with_the_reason(fresh: Benches) -> None:
    bench = fresh("claude")
    settings = bench.daemon.home.home / ".claude" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    hook = {"type": "command", "command": shlex.join(["python3", "-c", GUARD])}
    settings.write_text(json.dumps({"hooks": {"UserPromptSubmit": [{"hooks": [hook]}]}}))
    agent = bench.new()
    assert "no such words here" in agent.refused("a FORBIDDEN word")
    agent.wait("idle")
    assert agent.ask("next") == heard("next")
    assert bench.model.prompts() == ["next"]


GO_ON = """
import json, sys
if not json.load(sys.stdin)["stop_hook_active"]:
    print(json.dumps({{"decision": "block", "reason": "not yet\\n" + {more!r}}}))
"""


@pytest.mark.slow(10)
def test_a_prompt_that_waits_while_a_stop_hook_of_the_users_makes_the_turn_go_on_is_given_once(fresh: Benches) -> None:
    """We hear of an end, and Claude takes what is typed then into the turn that goes on."""
    bench = fresh("claude")
    home, work = bench.daemon.home.home, bench.daemon.home.work
    settings = home / ".claude" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    more = command("claude", f"touch started; until [ -e {work}/gate ]; do sleep 0.1; done")
    hook = {"type": "command", "command": shlex.join(["python3", "-c", GO_ON.format(more=more)])}
    settings.write_text(json.dumps({"hooks": {"Stop": [{"hooks": [hook]}]}}))
    agent = bench.new()
    agent.prompt("@@say first words")
    agent.prompt("the second prompt")
    wait_until(lambda: (work / "started").exists(), "the turn goes on")
    wait_until(lambda: "the second prompt" in agent.screen, "it is typed")
    (work / "gate").touch()
    assert agent.out().startswith("tool said:")
    agent.wait("idle")
    assert [line.split("\t")[1] for line in agent.read("turns/list").splitlines()] == ["done", "done"]
    assert json.dumps(bench.model.last.raw["messages"]).count("the second prompt") == 1
