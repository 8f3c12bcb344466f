"""An agent of the Agent Client Protocol that means harm: what it tells acts on no terminal, and it stops no one else."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Daemon, wait_until
from tests.scripted.acp import install, script, seen
from tests.session import Session

EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31m\u202eb\u2066c\u2028d\ne\r\x00\ufeff\x85\x7ff"
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
FILES = (
    "log.now",
    "turns/list",
    "turns/1/activity",
    "turns/1/prompt",
    "commands",
    "options",
    "usage",
    "sandbox",
    "limits",
)


@pytest.fixture
def acp(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon that has the fake agent."""
    install(daemon.home.config)
    yield daemon
    print(daemon.words())
    print("\n".join(str(one)[:400] for one in seen(daemon.home.work)))


def update(kind: str, /, **fields: Any) -> dict[str, Any]:
    return {"update": {"sessionUpdate": kind, **fields}}


def line(kind: str, /, **fields: Any) -> str:
    """As the agent sends it."""
    told = {"sessionId": "s", "update": {"sessionUpdate": kind, **fields}}
    return json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": told})


DOES = [
    update("available_commands_update", availableCommands=[{"name": EVIL, "description": EVIL}, {"name": [1]}]),
    update("tool_call", toolCallId=EVIL, title=EVIL, kind=EVIL, status=EVIL, rawInput={EVIL: [EVIL]}, _meta={"toolName": EVIL},
           locations=[{"path": EVIL, "line": 10**299}, {"path": "/x"}]),
    update("tool_call_update", toolCallId=EVIL, status="completed", rawOutput=EVIL,
           content=[{"type": "diff", "path": EVIL, "oldText": EVIL, "newText": EVIL * 2}],
           _meta={"terminal_exit": {"exit_code": 10**200}}),
    update("tool_call", toolCallId=["list"], title={}, kind=7), update("tool_call", toolCallId={"a": 1}, locations=7),
    update("plan", entries=[{"content": EVIL, "status": EVIL}, 7]),
    update("notice", title=EVIL, description=EVIL), update("compaction_update", status=EVIL, error=EVIL),
    update(EVIL), {"notify": EVIL, "params": {}}, {"request": EVIL, "params": {}},
    {"notify": "_session/retrying", "params": {"message": EVIL}},
    update("usage_update", used=10**299, size=-1, cost={"amount": 1e308}),
    {"notify": "_kiro.dev/metadata", "params": {"meteringUsage": [{"value": 1e308}, {"value": 1e308}]}},
    update("config_option_update", configOptions=[{"id": EVIL, "currentValue": EVIL, "options": [{"value": EVIL}]}]),
    update("current_mode_update", currentModeId=EVIL), {"text": EVIL, "message": EVIL}, {"thought": EVIL},
]  # fmt: skip


def harmless(name: str, found: str) -> None:
    """It acts on no terminal, and nothing that was said begins a line of its own."""
    assert not ACTS.search(found), (name, ACTS.search(found))
    assert not re.search("^(d$|e\\W)", found, re.MULTILINE), (name, found)


def test_nothing_that_it_tells_acts_on_a_terminal_or_makes_a_line_of_its_own(acp: Daemon) -> None:
    modes = {"currentModeId": EVIL, "availableModes": [{"id": EVIL}]}
    script(acp.home.work, {"do": [*DOES, {"text": "done", "message": "last"}]}, session={"modes": modes})
    agent = Session.new(acp, "fake-acp")
    assert agent.ask("go") == "done"
    for name in FILES:
        found = agent.read(name)
        harmless(name, found)
    for name in ("sessions", "log.now", "list"):
        harmless(name, acp.client().read(name).decode())
    with acp.client().open("events.0") as file:
        harmless("events", file.read(1 << 20).decode())
    assert "owned" not in agent.tmux("display-message", "-p", "-t", agent.id, "#{pane_title} #{window_name}")
    assert not ACTS.search(agent.tmux("capture-pane", "-p", "-S", "-", "-t", agent.id))


CALL = {"toolCallId": EVIL, "title": EVIL, "kind": "edit", "locations": [{"path": EVIL}],
        "content": [{"type": "diff", "path": EVIL, "oldText": EVIL, "newText": EVIL + EVIL}]}  # fmt: skip
MODE = {"id": "mode", "currentValue": "x", "options": [{"value": "auto"}]}


def asks(acp: Daemon, *actions: dict[str, Any]) -> Session:
    """Start an agent that is to ask, and does these."""
    install(acp.home.config, bypass="mode=auto")
    script(acp.home.work, {"do": list(actions)}, session={"configOptions": [MODE]})
    return Session.new(acp, "fake-acp")


@pytest.mark.slow(2)
def test_a_question_is_read_and_answered_whatever_its_choices_are_called(acp: Daemon) -> None:
    choices = [
        [EVIL, "allow_once"],
        [EVIL, "allow_always"],
        ["1", "reject_once"],
        ["x" * 100_000, EVIL],
        ["allow", "x"],
        [["l"], "x"],
    ]
    agent = asks(acp, {"ask": choices, "call": CALL}, {"text": "{answer}"})
    agent.prompt("go")
    question = agent.question()
    harmless("ask", agent.read("ask"))
    assert question["text"].count("\n") == 5 and question["diff"].startswith("--- a")
    assert [one[0] for one in question["diff"].splitlines()[:3]] == ["-", "+", "@"]
    assert question["choices"] == ["choice 1", "deny", "choice 4", "allow"]
    assert not ACTS.search(agent.tmux("capture-pane", "-p", "-S", "-", "-t", agent.id))
    agent.write("answer", "1")
    assert agent.out() == EVIL


@pytest.mark.slow(5)
def test_questions_without_end_are_answered_by_themselves(acp: Daemon) -> None:
    options = [{"optionId": "y", "name": "y", "kind": "allow_once"}]
    request = {"sessionId": "s", "toolCall": {"toolCallId": "n{n}", "title": "t"}, "options": options}
    raw = json.dumps({"jsonrpc": "2.0", "id": "{n}", "method": "session/request_permission", "params": request})
    agent = asks(acp, {"raw": raw, "of": 20_000}, {"until": "go"}, {"text": "end"})
    agent.prompt("go")
    wait_until(lambda: len(answers(acp)) == 20_000 - 32, "those beyond are cancelled")
    assert len(agent.read("ask").splitlines()) <= 32
    (acp.home.work / "go").touch()
    assert agent.out() == "end" and agent.read("ask") == ""
    assert agent.ask("go on") == "end"


def answers(acp: Daemon) -> list[dict[str, Any]]:
    return [one for one in seen(acp.home.work, "received") if "method" not in one["message"]]


LONG = "w" * 4_000_000
LARGE = [
    update("tool_call", toolCallId=LONG, title=LONG, kind=LONG, rawInput=LONG, name=LONG,
           locations=[{"path": LONG}] * 2, _meta={"toolName": LONG}),
    update("tool_call_update", toolCallId=LONG, status="completed", rawOutput=LONG,
           content=[{"type": "diff", "path": LONG, "newText": LONG}]),
    update("plan", entries=[{"content": LONG}, {"content": LONG}]), update("plan", entries=[{"content": "x"}] * 100_000),
    update("notice", title=LONG), {"notify": LONG}, update(LONG), {"text": LONG, "message": "m"}, {"thought": LONG},
    update("available_commands_update",
           availableCommands=[{"name": LONG, "description": LONG}, *({"name": f"c{n}"} for n in range(50_000))]),
    update("config_option_update",
           configOptions=[{"id": LONG, "currentValue": "x"}, *({"id": f"o{n}", "currentValue": LONG} for n in range(3))]),
    update("config_option_update", configOptions=[{"id": f"p{n}", "currentValue": "x"} for n in range(50_000)]),
    update("current_mode_update", currentModeId=LONG),
    {"raw": '{"method": "x", "params": {"_meta": ' + "[" * 10_000 + "]" * 10_000 + "}}"},
]  # fmt: skip


@pytest.mark.slow(8)
def test_nothing_is_told_or_shown_without_end(acp: Daemon) -> None:
    script(acp.home.work, {"match": "large", "do": [*LARGE, {"text": "done", "message": "last"}]})
    agent = Session.new(acp, "fake-acp")
    assert agent.ask("large") == "done"
    told = acp.home.state / "sessions" / agent.id / "data" / "told.jsonl"
    assert told.stat().st_size < 24 << 20
    assert len(agent.read("commands")) <= 300_000 and len(agent.read("options").splitlines()) <= 50
    assert agent.ask("next") == "you said: next"


@pytest.mark.slow(10)
def test_uses_of_tools_without_end_end_with_the_turn(acp: Daemon) -> None:
    script(
        acp.home.work,
        {
            "match": "many",
            "do": [{"raw": line("tool_call", toolCallId="{n}", title="t"), "of": 20_000}, {"text": "done"}],
        },
    )
    agent, other = Session.new(acp, "fake-acp"), Session.new(acp)
    agent.prompt("many")
    took = []
    while agent.state != "idle":
        began = time.monotonic()
        other.ask("echo x")
        took.append(time.monotonic() - began)
    assert agent.out() == "done" and took
    assert agent.ask("next") == "you said: next"


@pytest.mark.slow(1)
@pytest.mark.parametrize("ident", ["a\nb", "\u0000", "\u202e", "x" * 5000, ["list"], ""])
def test_a_conversation_whose_id_no_command_line_can_bear_does_not_begin(acp: Daemon, ident: Any) -> None:
    script(acp.home.work, session={"sessionId": ident})
    agent = Session.starting(acp, "fake-acp")
    agent.wait("error", "stopped")
    assert "the agent gave the session no id" in agent.row["error"]
