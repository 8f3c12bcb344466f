"""A session whose agent speaks the Agent Client Protocol: a real daemon, the front in its pane, and an agent that follows a script."""

import base64
import json
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from anvilsrv import words as language
from anvilsrv.errors import AnvilError
from anvilsrv.p9 import wire
from tests.conftest import Daemon, wait_until
from tests.scripted.acp import COMMAND, HERE, install, script, seen, sent
from tests.scripted.acp_schema import deviations, schema
from tests.session import Session

BAD: list[dict[str, Any]] = [
    {"raw": "no JSON"}, {"raw": "[1,2]"}, {"zeros": 17 << 20}, {"update": {"sessionUpdate": "dream", "x": [1]}},
    {"notify": "some/thing", "params": {"a": 1}}, {"raw": '{"id": 77, "result": {}}'}, {"raw": '{"id": {"a": 1}, "method": "x/y"}'},
    {"request": "fs/read_text_file", "params": {"path": "/etc/passwd"}}, {"request": "elicitation/create", "params": {}},
    {"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "video"}}},
]  # fmt: skip


@pytest.fixture
def acp(shared: Daemon, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has the fake agent, with a directory to work in and a configuration of the test's own."""
    home, before = shared.home, shared.home.work
    home.work = home.top / tmp_path.name
    home.work.mkdir(mode=0o700)
    install(home.config)
    yield shared
    client = shared.client()
    for one in [one.name for one in client.ls("") if re.fullmatch("[0-9a-f]{8}", one.name)]:
        print(Session(shared, one).screen)
        client.write(f"{one}/ctl", b"kill")
    print(shared.words())
    assert deviations([one["message"] for one in seen(home.work, "received")]) == []
    print("\n".join(str(one)[:400] for one in seen(home.work)))
    home.work = before
    for path in home.config.rglob("*.yaml"):
        path.unlink()


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


@pytest.mark.slow(4)
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


@pytest.mark.parametrize(
    ("keys", "answer"),
    [(("3",), "deny"), (("y",), "allow"), (("allow", "Enter"), "allow"), (("always", "Enter"), "always")],
)
def test_a_permission_is_answered_by_a_key_or_a_word_and_is_gone_outside(
    acp: Daemon, keys: tuple[str, ...], answer: str
) -> None:
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
    agent.keys(*keys)
    assert agent.out() == f"answered {answer}"
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


def test_who_has_begun_a_line_when_it_asks_sees_where_keys_go(acp: Daemon) -> None:
    install(acp.home.config, bypass="mode=auto")
    script(acp.home.work, {"match": "ask", "do": [{"ask": []}, {"text": "answered {answer}"}]})
    agent = new(acp)
    agent.keys("begun ")
    agent.prompt("ask")
    agent.question()
    wait_until(lambda: "keys go into this line" in agent.screen, "the pane says so")
    agent.keys("n")
    wait_until(lambda: "> begun n" in agent.screen, "the key is in the line")
    assert agent.read("ask").strip()
    agent.keys("C-u")
    wait_until(lambda: "keys go into this line" not in agent.screen, "it says so no longer")
    agent.keys("n")
    assert agent.out() == "answered deny"


@pytest.mark.slow(4)
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


# -- what can be chosen -----------------------------------------------------------------------------------------------------

MODES = {
    "currentModeId": "auto",
    "availableModes": [{"id": one, "name": one} for one in ("auto", "careful", "plan", "free")],
}
MODELS = {
    "currentModelId": "m1",
    "availableModels": [{"modelId": "m1", "name": "one"}, {"modelId": "m2", "name": "two"}],
}
COMMANDS = {
    "sessionUpdate": "available_commands_update",
    "availableCommands": [{"name": "compact", "description": "make it short"}],
}


def options(agent: Session) -> dict[str, list[str]]:
    return {line.split("\t")[0]: line.split("\t")[1:] for line in agent.read("options").splitlines()}


def test_options_and_commands_are_files_and_what_was_chosen_is_kept_over_restarts(acp: Daemon) -> None:
    script(acp.home.work, {"do": [{"update": COMMANDS}, {"text": "ok"}]}, session={"modes": MODES, "models": MODELS})
    agent = new(acp, "mode=plan")
    assert agent.ask("one") == "ok"
    wait_until(lambda: agent.read("commands") == "compact\tmake it short\n", "the commands are there")
    assert options(agent) == {"mode": ["plan", "auto", "careful", "plan", "free"], "model": ["m1", "m1", "m2"]}
    assert (agent.row["model"], agent.row["mode"], agent.row["context_left"]) == ("m1", "plan", None)
    agent.write("options", "model m2")
    assert (agent.row["model"], agent.row["mode"]) == ("m2", "plan")
    wait_until(lambda: options(agent)["model"][0] == "m2", "it is chosen while the agent waits")
    for wrong, why in (
        ("model m3", "expected m1, m2"),
        ("colour red", "no option 'colour'"),
        ("model", "a name and a value"),
    ):
        with pytest.raises(AnvilError, match=why):
            agent.write("options", wrong)
    agent.write("ctl", "restart")
    wait_until(lambda: len(seen(acp.home.work, "start")) == 2, "it is started again")
    agent.wait("idle")
    assert [one["modelId"] for one in sent(acp.home.work, "session/set_model")] == ["m2", "m2"]
    assert [one["modeId"] for one in sent(acp.home.work, "session/set_mode")] == ["plan", "plan"]
    told = [one for one in map(json.loads, agent.read("turns/1/activity").splitlines()) if one["kind"] == "session"]
    assert [(one["what"], one["value"]) for one in told] in ([], [("model", "m2")])


def test_an_option_that_is_chosen_in_a_turn_holds_for_the_next_one(acp: Daemon) -> None:
    script(acp.home.work, {"match": "long", "do": [{"until": "go"}, {"text": "done"}]}, session={"models": MODELS})
    agent = new(acp)
    agent.prompt("long")
    wait_until(lambda: seen(acp.home.work, "turn"), "the turn runs")
    agent.write("options", "model m2")
    agent.prompt("next")
    (acp.home.work / "go").touch()
    assert agent.out() == "you said: next"
    methods = [one["message"].get("method", "") for one in seen(acp.home.work, "received")]
    assert methods[-3:] == ["session/prompt", "session/set_model", "session/prompt"]


def test_a_mode_in_which_it_is_to_ask_is_not_the_users_to_choose(acp: Daemon) -> None:
    install(acp.home.config, ask="careful")
    roles = acp.home.config / "roles"
    roles.mkdir(parents=True, exist_ok=True)
    (roles / "careful.yaml").write_text('permissions: ask\nfilesystem: {rwx: ["{CWD}", "{TMPDIR}"]}\n')
    script(acp.home.work, session={"modes": MODES})
    agent = new(acp, "role=careful", "mode=free")
    assert agent.ask("one") == "you said: one"
    with pytest.raises(AnvilError, match=r"invalid mode 'free' \(expected careful\)"):
        agent.write("options", "mode free")
    assert {one["modeId"] for one in sent(acp.home.work, "session/set_mode")} == {"careful"}


# -- what is told of a turn -----------------------------------------------------------------------------------------------

CALL = {"sessionUpdate": "tool_call", "toolCallId": "t1", "title": "make check", "kind": "execute", "status": "pending",
        "rawInput": {"command": "make check"}, "_meta": {"claudeCode": {"toolName": "Bash"}}}  # fmt: skip
EDIT = {"sessionUpdate": "tool_call_update", "toolCallId": "t2", "title": "Edit a.py", "kind": "edit", "status": "completed",
        "locations": [{"path": "/w/a.py", "line": 7}],
        "content": [{"type": "diff", "path": "/w/a.py", "oldText": "a\nb\n", "newText": "a\nc\n"}]}  # fmt: skip
PLAN = {
    "sessionUpdate": "plan",
    "entries": [{"content": "look", "status": "completed"}, {"content": "mend", "status": "in_progress"}],
}


def more(of: dict[str, Any], **news: Any) -> dict[str, Any]:
    return {"update": {"sessionUpdate": "tool_call_update", "toolCallId": of["toolCallId"], **news}}


def activity(agent: Session, turn: int = 1) -> list[dict[str, Any]]:
    """Return the records of a turn, each thing as it was in the end, at the place where it was told first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in map(json.loads, agent.read(f"turns/{turn}/activity").splitlines()):
        found[one["kind"], str(one.get("id", one["seq"]))] = one
    return list(found.values())


def test_what_an_agent_does_is_in_activity_and_in_the_log(acp: Daemon) -> None:
    delta = {"_meta": {"terminal_output_delta": {"data": "one\n"}}}
    turn: list[dict[str, Any]] = [
        {"thought": "hm"}, {"text": "I look. ", "message": "m1"}, {"text": "Then", "message": "m1"}, {"update": CALL},
        more(CALL, status="in_progress", **delta), more(CALL, _meta={"terminal_output_delta": {"data": "two\n"}}),
        more(CALL, status="failed", _meta={"terminal_exit": {"exit_code": 2}}), {"update": EDIT}, {"update": PLAN},
        {"update": {"sessionUpdate": "notice", "title": "Slow"}},
        {"update": {"sessionUpdate": "usage_update", "used": 5, "size": 100}},
        {"text": "a", "message": "m2"}, {"text": "b", "message": "m3"}, {"text": "c", "message": "m3"},
    ]  # fmt: skip
    script(acp.home.work, {"match": "look", "do": turn})
    agent = new(acp)
    assert agent.ask("look") == "bc"
    told = activity(agent)
    assert [one["kind"] for one in told] == [
        "prompt", "thinking", "text", "tool", "output", "tool", "edit", "output", "plan", "note", "text", "text", "usage", "end",
    ]  # fmt: skip
    assert [one["text"] for one in told if one["kind"] == "text"] == ["I look. Then", "a", "bc"]
    thinking, tool, output, edit, plan = told[1], told[3], told[4], told[6], told[8]
    assert (thinking["on"], thinking["text"]) == (False, "hm")
    assert (tool["name"], tool["type"], tool["title"]) == ("Bash", "execute", "make check")
    assert (output["text"], output["end"], output["exit"]) == ("one\ntwo\n", "failed", 2)
    assert (edit["path"], edit["op"], edit["added"], edit["removed"], edit["line"]) == ("/w/a.py", "change", 1, 1, 7)
    assert "-b\n+c" in edit["diff"]
    assert [(one["text"], one["state"]) for one in plan["items"]] == [("look", "done"), ("mend", "doing")]
    assert [(one["context"], one["window"]) for one in told if one["kind"] == "usage"] == [(5, 100)]
    assert agent.row["context_left"] == 95
    with agent.client.open(f"{agent.id}/log") as file:
        log = b""
        while b"make check" not in log:
            log += file.read(timeout=agent.patience)


def test_text_and_output_are_told_while_they_grow(acp: Daemon) -> None:
    growing = [
        more(CALL, content=[{"type": "content", "content": {"type": "text", "text": text}}])
        for text in ("1\n", "1\n2\n")
    ]
    turn = [
        {"text": "I begin"},
        {"update": CALL},
        *growing,
        {"until": "go"},
        more(CALL, status="completed"),
        {"text": "done"},
    ]
    script(acp.home.work, {"match": "grow", "do": turn})
    agent = new(acp)
    agent.prompt("grow")
    with agent.client.open(f"{agent.id}/activity") as file:
        told = b""
        while b'2\\n"' not in told:  # perhaps both lines as one part
            told += file.read(timeout=agent.patience)
    wait_until(lambda: agent.row["doing"] == "Bash: make check", "it says what it does")
    (acp.home.work / "go").touch()
    assert agent.out() == "done"
    assert [(one["text"], one["end"]) for one in activity(agent) if one["kind"] == "output"] == [("1\n2\n", "ok")]


def test_what_is_open_at_the_end_of_a_turn_has_an_end_too(acp: Daemon) -> None:
    asked = {"ask": [], "call": {"toolCallId": "t9", "title": "rm", "kind": "delete"}}
    script(acp.home.work, {"match": "leave", "do": [{"update": CALL}, asked, {"text": "{answer}"}]})
    install(acp.home.config, bypass="mode=auto")
    agent = new(acp)
    agent.prompt("leave")
    agent.question()
    agent.write("answer", "deny")
    assert agent.out() == "deny"
    told = activity(agent)
    assert {one["id"]: one["end"] for one in told if one["kind"] == "output"} == {"t1": "interrupted", "t9": "denied"}
    assert [(one["tool"], "parent" in one) for one in told if one["kind"] == "ask"] == [("t9", False)]


def test_a_question_about_an_edit_carries_its_diff_and_says_what_the_answers_mean(acp: Daemon) -> None:
    content = [{"type": "diff", "path": "/w/a.py", "oldText": "a\n", "newText": "b\n"}]
    call = {"toolCallId": "t5", "title": "Edit a.py", "kind": "edit", "content": content}
    script(acp.home.work, {"match": "edit", "do": [{"ask": [], "call": call}, {"text": "{answer}"}]})
    install(acp.home.config, bypass="mode=auto")
    agent = new(acp)
    agent.prompt("edit")
    asked = agent.question()
    assert asked["diff"] == "--- /w/a.py\n+++ /w/a.py\n@@\n-a\n+b\n"
    assert (asked["what"], asked["detail"]) == ("permission", "")
    assert asked["text"].startswith("Edit a.py\n\nallow")
    agent.write("answer", "deny")
    assert agent.out() == "deny"


def attach(agent: Session, name: str, data: bytes) -> str:
    """Make a file for the agent. Returns its path there."""
    with agent.client.create(f"{agent.id}/attach/{name}", wire.OWRITE) as file:
        file.write(data)
    return str(agent.daemon.home.state / "sessions" / agent.id / "run" / "attach" / name)


def test_files_that_a_prompt_names_go_with_it(acp: Daemon) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
    agent = new(acp)
    shot, note = attach(agent, "shot.png", png), attach(agent, "note.txt", b"remember")
    assert agent.ask("compare attach/shot.png with @attach/note.txt, not attach/none") == (
        f"you said: compare {shot} with @{note}, not attach/none"
    )
    agent.ask("and now none")
    first, second = (one["prompt"] for one in sent(acp.home.work, "session/prompt"))
    assert [one["type"] for one in first] == ["text", "image", "resource_link"] and len(second) == 1
    assert base64.b64decode(first[1]["data"]) == png and first[2]["uri"] == f"file://{note}"


# -- agents that do not behave ------------------------------------------------------------------------------------------


def alive(home: Path, agent: int) -> list[int]:
    """Return processes of the host that work in the session's directory and are its agent or what that has started."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(one / "cwd") == str(home) and (
                b"acp_agent" in (one / "cmdline").read_bytes() or b"98765" in (one / "cmdline").read_bytes()
            ):
                found.append(int(one.name))
        except OSError:
            continue
    return found


@pytest.mark.slow(10)
def test_an_agent_that_does_not_heed_a_cancel_is_ended_with_its_children_and_loaded_again(acp: Daemon) -> None:
    hangs = {"match": "hang", "do": [{"child": True}, {"text": "I hang"}, {"hang": True}]}
    script(acp.home.work, hangs, cancel="ignore", term="ignore", eof="ignore")
    agent = new(acp)
    agent.prompt("hang")
    wait_until(lambda: seen(acp.home.work, "hang"), "it hangs")
    agent.write("ctl", "interrupt")
    agent.wait("idle")
    assert agent.ask("next") == "you said: next"
    assert [one["sessionId"] for one in sent(acp.home.work, "session/load")] == [
        sent(acp.home.work, "session/prompt")[0]["sessionId"]
    ]
    assert len(alive(acp.home.work, agent.pid)) == 1


@pytest.mark.slow(6)
def test_an_agent_that_crashes_in_a_turn_goes_on_with_its_conversation(acp: Daemon) -> None:
    script(acp.home.work, {"match": "crash", "times": 1, "do": [{"child": True}, {"text": "half"}, {"kill": True}]})
    agent = new(acp)
    assert "agent ended" in agent.refused("crash")
    agent.wait("idle")
    assert agent.ask("after") == "you said: after"
    assert len(sent(acp.home.work, "session/load")) == 1
    assert len(alive(acp.home.work, agent.pid)) == 1


@pytest.mark.slow(6)
def test_what_is_not_of_the_protocol_does_no_harm(acp: Daemon) -> None:
    agent, call = new(acp), {"sessionUpdate": "tool_call", "toolCallId": "1", "title": "t"}
    for bad in BAD:
        script(acp.home.work, {"match": "bad", "do": [bad, {"update": call}, {"text": "fine"}]})
        assert agent.ask("bad") == "fine", bad
        assert agent.ask("next") == "you said: next", bad
    assert len(seen(acp.home.work, "start")) == 1


@pytest.mark.slow(12)
@pytest.mark.parametrize("cancel", ["heed", "ignore"])
def test_a_flood_of_news_is_answered_and_does_not_keep_an_interrupt_waiting(acp: Daemon, cancel: str) -> None:
    script(
        acp.home.work,
        {"match": "flood", "do": [{"flood": 5000}]},
        {"match": "drown", "do": [{"flood": 10_000_000}]},
        cancel=cancel,
    )
    agent = new(acp)
    assert agent.ask("flood").splitlines()[-1] == "4999"
    agent.prompt("drown")
    wait_until(lambda: len(seen(acp.home.work, "turn")) == 2, "the turn runs")
    agent.write("ctl", "interrupt")
    agent.wait("idle")


@pytest.mark.slow(4)
@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"initialize": {"protocolVersion": 2}}, "speaks version 2"),
        ({"on": {"session/new": [{"error": {"code": -32000, "message": "run `x login`"}}]}}, "run `x login`"),
        ({"on": {"initialize": [{"error": {"code": -32603, "message": "no"}}]}}, "initialize: no"),
    ],
)
def test_a_start_that_cannot_come_to_anything_is_an_error_with_words(
    acp: Daemon, keys: dict[str, Any], why: str
) -> None:
    script(acp.home.work, **keys)
    agent = Session.starting(acp, "fake-acp")
    agent.wait("error")
    assert why in agent.row["error"]


@pytest.mark.slow(5)
def test_an_agent_that_dies_as_it_loads_gets_a_new_conversation(acp: Daemon) -> None:
    agent = new(acp)
    agent.ask("one")
    script(acp.home.work, on={"session/load": [{"exit": 0}]})
    agent.write("ctl", "restart")
    wait_until(lambda: len(seen(acp.home.work, "start")) == 3, "it is started again")
    agent.wait("idle")
    assert agent.ask("two") == "you said: two"


@pytest.mark.slow(5)
def test_an_agent_that_does_not_know_the_resume_that_it_announces_loads(acp: Daemon) -> None:
    capabilities = {"loadSession": True, "sessionCapabilities": {"resume": {}}}
    refuses = [{"error": {"code": -32601, "message": "Method not found"}}]
    script(acp.home.work, initialize={"agentCapabilities": capabilities}, on={"session/resume": refuses})
    agent = new(acp)
    agent.ask("one")
    agent.write("ctl", "restart")
    wait_until(lambda: sent(acp.home.work, "session/load"), "it is loaded")
    agent.wait("idle")
    assert len(sent(acp.home.work, "session/new")) == 1


@pytest.mark.slow(5)
def test_an_agent_that_refuses_to_load_gets_a_new_conversation_loudly(acp: Daemon) -> None:
    agent = new(acp)
    agent.ask("one")
    script(acp.home.work, on={"session/load": [{"error": {"code": -32602, "message": "no such session"}}]})
    agent.write("ctl", "restart")
    wait_until(lambda: len(sent(acp.home.work, "session/new")) == 2, "a new one begins")
    agent.wait("idle")
    assert "no such session" in agent.screen


@pytest.mark.slow(5)
def test_history_is_no_answer_also_what_comes_after_the_answer_to_load(acp: Daemon) -> None:
    agent = new(acp)
    agent.ask("one")
    old = [{"user": "one"}, {"text": "OLD"}]
    script(acp.home.work, {"match": "two", "do": [{"text": "new"}]}, on={"session/load": [*old]})
    agent.write("ctl", "restart")
    wait_until(lambda: sent(acp.home.work, "session/load"), "it is loaded")
    agent.wait("idle")
    assert agent.ask("two") == "new"
    assert "OLD" not in agent.screen


def test_a_mode_in_which_it_asks_that_it_does_not_have_is_an_error(acp: Daemon) -> None:
    install(acp.home.config, ask="careful")
    roles = acp.home.config / "roles"
    roles.mkdir(parents=True, exist_ok=True)
    (roles / "careful.yaml").write_text('permissions: ask\nfilesystem: {rwx: ["{CWD}", "{TMPDIR}"]}\n')
    agent = Session.starting(acp, "fake-acp", "role=careful")
    agent.wait("error")
    assert "no option 'mode'" in agent.row["error"]


def test_a_program_that_is_not_there_is_named(acp: Daemon) -> None:
    install(acp.home.config, command=["/nonexistent/agent"])
    agent = Session.starting(acp, "fake-acp")
    agent.wait("error")
    assert "/nonexistent/agent" in agent.row["error"]


def test_a_reason_to_stop_that_is_not_known_is_noted_and_no_error(acp: Daemon) -> None:
    script(acp.home.work, {"match": "odd", "do": [{"text": "fine"}, {"result": {"stopReason": "dream"}}]})
    agent = new(acp)
    assert agent.ask("odd") == "fine"
    assert [one["text"] for one in activity(agent) if one["kind"] == "note"] == [
        "the agent stopped for a reason that is not known: 'dream'"
    ]


def test_an_error_of_the_service_fails_the_turn_with_its_words_and_a_limit_holds_the_queue(acp: Daemon) -> None:
    error = {"error": {"code": 429, "message": "limit reached, resets in 3600 s"}}
    script(acp.home.work, {"match": "fail", "do": [error]})
    agent = new(acp)
    assert "limit reached" in agent.refused("fail")
    agent.prompt("later")
    assert (agent.row["queued"], "resumes at" in agent.row["held"]) == (1, True)


# -- what is killed in between ------------------------------------------------------------------------------------------


@pytest.mark.slow(25)
def test_a_daemon_killed_again_and_again_gives_each_prompt_to_the_agent_once(acp: Daemon) -> None:
    agent = new(acp)
    count = 12
    for at in range(count):
        agent.prompt(f"prompt {at}")
        threading.Event().wait(0.02 * at)  # at another step each time
        acp.kill()
        acp.start()
        agent = agent.again()
    assert agent.out() == f"you said: prompt {count - 1}"
    given = [one["prompt"][0]["text"] for one in sent(acp.home.work, "session/prompt")]
    assert given == [f"prompt {at}" for at in range(count)]
    assert {line.split("\t")[1] for line in agent.read("turns/list").splitlines()} == {"done"}


@pytest.mark.slow(25)
def test_a_front_killed_again_and_again_gives_no_prompt_twice(acp: Daemon) -> None:
    agent = new(acp)
    for at in range(4):
        agent.prompt(f"prompt {at}")
        threading.Event().wait(0.03 * at)
        before = agent.pid
        os.kill(before, signal.SIGKILL)
        wait_until(lambda before=before: agent.pid not in (0, before), "it runs again")  # type: ignore[misc]
        agent.wait("idle", "running")
    wait_until(lambda: agent.state == "idle" and not agent.row["queued"], "nothing is left")
    given = [one["prompt"][0]["text"] for one in sent(acp.home.work, "session/prompt")]
    assert sorted(set(given)) == sorted(given)


def test_the_published_schema_is_there_to_check_every_message_against() -> None:
    if schema() is None:
        pytest.skip(
            "no @agentclientprotocol/sdk in node_modules: what the front sends is not checked against its schema"
        )
    good = {"jsonrpc": "2.0", "id": 1, "method": "session/new", "params": {"cwd": "/", "mcpServers": []}}
    assert deviations([good]) == []
    assert deviations([{**good, "params": {"cwd": "/"}}, {**good, "method": "session/dream"}, {"id": 2}]) != []


# -- any command ----------------------------------------------------------------------------------------------------------


def test_any_command_is_run_for_the_user_and_for_no_session(acp: Daemon) -> None:
    layer = {"filesystem": {"rox": [str(HERE)], "rwx": ["{CWD}"]}, "agents": {"spawn": True}}
    (acp.home.config / "roles").mkdir(exist_ok=True)
    (acp.home.config / "roles" / "mine.yaml").write_text(yaml.safe_dump(layer))
    command = f"command={shlex.join([*COMMAND, 'a b'])}"
    agent = Session.new(acp, "acp", command, "role=mine")
    assert agent.ask("hello") == "you said: hello"
    assert seen(acp.home.work, "start")[0]["argv"] == ["a b"]
    agent.write("ctl", "restart")
    wait_until(lambda: len(seen(acp.home.work, "start")) == 2, "it is started again")
    agent.wait("idle")
    for words, why in (
        (["acp"], "needs command="), (["acp", "command=/nonexistent/x"], "no program"), (["shell", command], "has its own"),
    ):  # fmt: skip
        with pytest.raises(AnvilError, match=why):
            Session.starting(acp, words[0], *words[1:])
    own = acp.client(agent.id)
    with pytest.raises(AnvilError, match="only the user"):
        own.write_read("ctl", language.join(["new", "acp", str(acp.home.work), command]).encode())


# -- another implementation of the protocol, and the terminal -------------------------------------------------------------


@pytest.mark.slow(5)
def test_an_agent_made_with_another_implementation_of_the_protocol_is_understood(acp: Daemon) -> None:
    pytest.importorskip("acp", reason="no agent-client-protocol")
    install(acp.home.config, command=[sys.executable, "-I", str(HERE / "sdk_agent.py")], bypass="mode=auto")
    agent = new(acp)
    for text in ("hello", "two\nlines \U0001f600 \u2028", "x" * 1_000_000):
        assert agent.ask(text) == text
    for choice, answer in (("allow", "yes"), ("no", "no")):  # a short word, or the option's own id
        agent.prompt("ask")
        assert agent.question()["choices"] == ["allow", "deny"]
        agent.write("answer", choice)
        assert agent.out() == answer
    assert [one["path"] for one in activity(agent, 4) if one["kind"] == "edit"] == ["/w/a.txt"]
    agent.prompt("wait")
    wait_until(lambda: "I wait" in agent.screen, "it waits")
    agent.write("ctl", "interrupt")
    agent.wait("idle")
    agent.write("ctl", "restart")
    wait_until(lambda: agent.state != "idle", "it ends")
    agent.wait("idle")
    assert agent.ask("again") == "again"
    assert "OLD" not in agent.screen


def test_where_nothing_may_be_redrawn_the_conversation_is_plain_lines(acp: Daemon) -> None:
    install(acp.home.config, env={}, bypass="mode=auto")
    path = acp.home.config / "backends" / "fake-acp.yaml"
    made = yaml.safe_load(path.read_text())
    made["backend"]["env"] = {"ANVILLM_PLAIN": "1"}
    path.write_text(yaml.safe_dump(made))
    script(
        acp.home.work, {"match": "ask", "do": [{"text": "I "}, {"text": "ask\n"}, {"ask": []}, {"text": "{answer}"}]}
    )
    agent = new(acp)
    agent.keys("ask", "Enter")
    wait_until(lambda: "3 deny" in agent.screen, "it asks")
    agent.keys("deny", "Enter")
    wait_until(lambda: agent.screen.rstrip().endswith("\ndeny"), "the answer is the last line")
    lines = [line for line in agent.screen.splitlines() if line.strip()]
    assert lines.count("I ask") == 1 and lines[1] == "ask" and not any(line.startswith(">  ") for line in lines)
    agent.wait("idle")
    assert agent.ask("next") == "you said: next"


@pytest.mark.slow(5)
def test_options_of_one_kind_are_answered_by_their_ids(acp: Daemon) -> None:
    options = [["once", "allow_once"], ["once_and_plan", "allow_once"], ["never_again", "reject_always"]]
    install(acp.home.config, bypass="mode=auto")
    script(acp.home.work, {"match": "ask", "do": [{"ask": options}, {"text": "{answer}"}]})
    agent = new(acp)
    for answer, given in (
        ("allow", "once"),
        ("once", "once"),
        ("once_and_plan", "once_and_plan"),
        ("never", "never_again"),
    ):
        agent.prompt("ask")
        assert agent.question()["choices"] == ["allow", "once_and_plan", "never"]
        agent.write("answer", answer)
        assert agent.out() == given


@pytest.mark.slow(8)
@pytest.mark.parametrize("method", ["initialize", "session/new"])
def test_an_agent_that_hangs_at_its_start_is_an_error_with_words(acp: Daemon, method: str) -> None:
    install(acp.home.config, start=5)
    script(acp.home.work, on={method: [{"hang": True}]})
    agent = Session.starting(acp, "fake-acp")
    wait_until(lambda: f"{method}: no answer within 5 s" in agent.row["error"], "it is given up")
    assert agent.state in ("error", "starting")  # it is tried again some times


@pytest.mark.slow(8)
def test_an_agent_that_hangs_as_it_loads_gets_a_new_conversation_loudly(acp: Daemon) -> None:
    install(acp.home.config, start=5)
    agent = new(acp)
    agent.ask("one")
    script(acp.home.work, on={"session/load": [{"hang": True}]})
    agent.write("ctl", "restart")
    wait_until(lambda: len(sent(acp.home.work, "session/new")) == 2, "a new one begins")
    agent.wait("idle")
    assert "load: no answer within 5 s: the conversation cannot be resumed, a new one begins" in " ".join(
        agent.screen.split()
    )
    assert agent.ask("two") == "you said: two"


@pytest.mark.slow(14)
def test_what_a_session_does_says_for_how_long_its_agent_has_told_nothing(acp: Daemon) -> None:
    turn = [{"text": "I begin"}, {"until": "go"}, {"text": " and end"}]
    script(acp.home.work, {"match": "long", "do": turn})
    agent = new(acp)
    agent.prompt("long")
    wait_until(lambda: agent.row["doing"] == "answering, nothing for 10 s", "it says so")
    (acp.home.work / "go").touch()
    assert agent.out() == "I begin and end"
    agent.wait("idle")
    assert agent.row["doing"] == ""


@pytest.mark.slow(5)
@pytest.mark.parametrize("how", [{"exit": 0}, {"exit": 3}, {"kill": True}])
def test_an_agent_that_dies_at_its_start_without_a_word_is_an_error(acp: Daemon, how: dict[str, Any]) -> None:
    script(acp.home.work, on={"session/new": [how]})
    agent = Session.starting(acp, "fake-acp")
    agent.patience = 100  # it is tried six times
    agent.wait("error")
    assert "the agent ended with status" in agent.row["error"]
    assert alive(acp.home.work, agent.pid) == []
