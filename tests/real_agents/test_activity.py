"""What real agents do, as ``activity`` tells it: the kinds of objects are those that the model was scripted to bring about."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real_agents.conftest import Benches, wait_until
from tests.session import Session

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow(20)]

Object = dict[str, Any]
WORDS = "one two three\\nfour five six"
SCRIPTS: dict[str, list[tuple[str, list[str]]]] = {  # to each agent its prompts, and the kinds of its records
    "claude": [
        ('@@call Bash {"command":"echo hi; echo a > a.py","description":"x"}\n@@call Read {"file_path":"a.py"}\n'
         '@@call Edit {"file_path":"a.py","old_string":"a","new_string":"b"}\n@@say done',
         ["prompt", "tool", "output", "tool", "output", "tool", "edit", "output", "text", "end"]),
        ("@@fail 529 times=1 overloaded\n@@say after", ["prompt", "retry", "text", "end"]),
        ('@@call Agent {"description":"look","prompt":"@@say sub","subagent_type":"general-purpose"}\n@@say all',
         ["prompt", "tool", "subagent", "text", "subagent", "output", "text", "end"]),
    ],
    "codex": [('@@call exec_command {"cmd":"echo hi"}\n@@say done', ["prompt", "tool", "output", "text", "end"])],
    "gemini": [('@@call write_file {"file_path":"n.txt","content":"one"}\n@@say done',
                ["prompt", "tool", "edit", "output", "text", "end"])],
    "opencode": [
        ('@@call bash {"command":"echo hi; sleep 1; echo there","description":"x"}\n@@say done',
         ["prompt", "tool", "output", "text", "end"]),
        ('@@call write {"filePath":"n.txt","content":"one"}\n'
         '@@call edit {"filePath":"n.txt","oldString":"one","newString":"two"}\n@@say done',
         ["prompt", "tool", "edit", "output", "tool", "edit", "output", "text", "end"]),
    ],
}  # fmt: skip


def of_turn(agent: Session, n: int) -> list[Object]:
    """Return the records of a turn that is over, each thing once, at the place where it was told first."""
    lines = agent.client.read(f"{agent.id}/turns/{n}/activity", timeout=agent.patience).decode().splitlines()
    found: dict[tuple[str, str], Object] = {}
    for one in map(json.loads, lines):
        if one["kind"] not in ("usage", "session", "note"):
            state = one.get("state", "") if one["kind"] == "subagent" else ""
            found[one["kind"], f"{one.get('id', len(found))} {state}"] = one
    made = list(found.values())
    for at, (one, after) in enumerate(itertools.pairwise(made)):
        if (one["kind"], after["kind"]) == ("output", "edit"):  # hooks run side by side
            made[at], made[at + 1] = after, one
    return made


def kinds_of(told: list[Object]) -> list[str]:
    return [one["kind"] for one in told]


def in_order(kind: str) -> bool:
    """Return whether it comes where it belongs. What comes of a tool, and of a subagent, is told when it is known."""
    return kind not in ("output", "edit", "subagent")


def told_whole(agent: Session, n: int, kinds: list[str]) -> list[Object]:
    """Return the records of a turn once all are there: hooks run side by side, and some end after the turn."""
    try:
        wait_until(lambda: sorted(kinds_of(of_turn(agent, n))) == sorted(kinds), f"turn {n} is told: {kinds}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{of_turn(agent, n)}") from None
    return of_turn(agent, n)


@pytest.mark.slow(5)
@pytest.mark.parametrize("kind", [*SCRIPTS, "claude-beside"])
def test_an_agent_tells_what_its_model_brings_about(at: Benches, kind: str) -> None:
    bench = at(kind)
    agent = bench.new()
    for n, (prompt, kinds) in enumerate(SCRIPTS[kind.removesuffix("-beside")], 1):
        answer = agent.ask(prompt)
        told = told_whole(agent, n, kinds)
        assert list(filter(in_order, kinds_of(told))) == list(filter(in_order, kinds))
        places = {one["id"]: at for at, one in enumerate(told) if one["kind"] == "tool"}
        assert all(places[one["id"]] < at for at, one in enumerate(told) if one["kind"] == "output")
        assert [one["text"] for one in told if one["kind"] == "text" and "parent" not in one] == [answer]
        assert all(one["turn"] == n for one in told)
        assert [one["how"] for one in told if one["kind"] == "end"] == ["answer"]
        for one in (one for one in told if one["kind"] == "subagent"):
            used = told[places[one["tool"]]]
            assert (used["name"], one["name"], one["title"]) == ("Agent", "general-purpose", "look")
        for edit in (one for one in told if one["kind"] == "edit"):
            assert edit["path"].endswith((".py", ".txt"))
    assert " " in agent.read("turns/list")


def lines(agent: Session) -> Iterator[Object]:
    """Yield objects of ``activity`` as they come, from the beginning."""
    rest = b""
    with agent.client.open(f"{agent.id}/activity") as file:
        while data := file.read(timeout=agent.patience):
            *whole, rest = (rest + data).split(b"\n")
            yield from map(json.loads, whole)


def everything(agent: Session, last: str) -> list[Object]:
    """Return all that is told until the turn with that answer has ended."""
    found: list[Object] = []
    for one in lines(agent):
        found.append(one)
        if one["kind"] == "end" and any(said.get("text") == last for said in found):
            break
    return found


def counted(told: list[Object], kind: str) -> list[str]:
    """Return what of a kind was told, each thing once: a record that says more of it has the same id."""
    named = {
        one["id"]: one.get("text", one.get("name", "")) for one in told if one["kind"] == kind and "part" not in one
    }
    return list(named.values())


RUNS = {
    "claude": '@@call Bash {"command":"echo hi","description":"x"}\n@@say one',
    "gemini": '@@call write_file {"file_path":"n.txt","content":"one"}\n@@say one',
}


@pytest.mark.parametrize("kind", ["claude", "claude-beside", "gemini"])
def test_a_conversation_that_goes_on_does_not_tell_again_what_it_told(at: Benches, kind: str) -> None:
    agent = at(kind).new()
    agent.ask(RUNS[kind.removesuffix("-beside")])
    agent.write("ctl", "restart")
    wait_until(lambda: agent.state == "starting", "it does not end")
    agent.wait("idle")
    agent.ask("@@say two")
    told = everything(agent, "two")
    assert counted(told, "text") == ["one", "two"]
    assert len(counted(told, "prompt")) == 2
    assert len(counted(told, "tool")) == 1


@pytest.mark.parametrize("kind", ["claude", "claude-beside"])
def test_after_clear_what_is_told_is_of_the_new_conversation(at: Benches, kind: str) -> None:
    agent = at(kind).new()
    agent.ask(RUNS["claude"])
    agent.prompt("/clear")
    agent.ask(RUNS["claude"].replace("one", "two"))
    told = everything(agent, "two")
    assert counted(told, "text") == ["one", "two"]
    assert counted(told, "tool") == ["Bash", "Bash"]
    assert any(one["what"] == "cleared" for one in told if one["kind"] == "session")


@pytest.mark.slow(7)
@pytest.mark.parametrize("kind", ["claude", "claude-beside"])
def test_a_fork_tells_what_is_its_own(at: Benches, kind: str) -> None:
    bench = at(kind)
    agent = bench.new()
    agent.ask(RUNS["claude"])
    saved = bench.daemon.home.home.rglob
    wait_until(lambda: any('"one"' in one.read_text() for one in saved("claude/projects/*/*.jsonl")), "it is saved")
    made = agent.client.write_read(f"{agent.id}/ctl", b"fork").decode().strip()
    other = Session(bench.daemon, made, patience=agent.patience)
    assert other.wait("idle", "error") == "idle", other.row["error"]
    other.ask("@@say two")
    told = everything(other, "two")
    assert counted(told, "text") == ["two"]
    assert counted(told, "prompt") == ["@@say two"]
    assert counted(told, "tool") == []


@pytest.mark.parametrize("kind", ["claude", "claude-beside"])
def test_a_command_shows_what_it_prints_while_it_runs(at: Benches, kind: str) -> None:
    bench = at(kind)
    agent = bench.new()
    gate = bench.daemon.home.work / "gate"
    line = f"echo begun; until [ -e {gate} ]; do sleep 0.1; done; echo over"
    agent.prompt(f'@@call Bash {{"command":"{line}","description":"x"}}\n@@say done')
    told = lines(agent)
    first = next(one for one in told if one["kind"] == "output")
    assert "begun" in first.get("part", first.get("text"))
    assert "end" not in first
    gate.touch()
    whole = next(one for one in told if "end" in one)
    assert (whole["id"], whole["end"]) == (first["id"], "ok")
    assert whole["text"].split() == ["begun", "over"]
    assert agent.out() == "done"
