"""The tools do what they say over a real daemon, in both versions of the protocol, as the user and as a session."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from mcp import Client as McpClient

from anvilsrv.inside.mcpserver import TOOLS, build
from anvilsrv.inside.mcptools import Tools
from anvilsrv.p9.client import Client
from tests.conftest import ROOT, run_async
from tests.inside.conftest import MODES, Desk, Result
from tests.session import Session

Call = Callable[..., Result]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_every_tool_has_schemas_and_says_whether_it_changes_anything(mode: str) -> None:
    async def listed() -> list:
        async with McpClient(build(Tools(session="")), mode=mode) as client:
            return (await client.list_tools()).tools

    tools = run_async(listed())
    assert [tool.name for tool in tools] == list(TOOLS)
    for tool in tools:
        assert tool.description
        assert tool.title
        Draft202012Validator.check_schema(tool.input_schema)
        Draft202012Validator.check_schema(tool.output_schema)
        assert tool.annotations.open_world_hint is False
        assert tool.annotations.read_only_hint is not None
    assert {"read_inbox", "send_message", "list_sessions", "set_state"} < {tool.name for tool in tools}


def test_the_sessions_are_listed_with_who_is_asking(desk: Desk, call: Call) -> None:
    seen = call("list_sessions", desk.one).value
    assert seen["me"] == desk.one
    rows = {row["id"]: row for row in seen["sessions"]}
    assert (rows[desk.one]["alias"], rows[desk.one]["me"], rows[desk.one]["backend"]) == ("one", True, "shell")
    assert (rows[desk.two]["me"], rows[desk.two]["cwd"]) == (False, str(desk.daemon.home.work))
    assert call("list_sessions").value["me"] == "user"


def test_a_message_reaches_the_other_and_is_given_out_once(desk: Desk, call: Call) -> None:
    fields = {"to": "two", "type": "QUERY_REQUEST", "subject": "s", "body": "ä\n'\"", "metadata": {"k": [1]}}
    sent = call("send_message", desk.one, **fields).value
    (message,) = call("read_inbox", desk.two).value["messages"]
    assert sent == {"sent": True, "from": desk.one, "to": "two", "id": message["id"]}
    assert (message["from"], message["to"], message["type"]) == (desk.one, desk.two, "QUERY_REQUEST")
    assert (message["body"], message["metadata"]) == ("ä\n'\"", {"k": [1]})
    assert call("read_inbox", desk.two).value == {"messages": []}
    assert message["id"] in desk.user.read(f"{desk.two}/archive").decode()


def test_a_limit_leaves_the_rest_in_the_inbox(desk: Desk, call: Call) -> None:
    for text in ("first", "second"):
        call("send_message", desk.one, to="two", type="LOG_ERROR", body=text)
    assert [m["body"] for m in call("read_inbox", desk.two, limit=1).value["messages"]] == ["first"]
    assert [m["body"] for m in call("read_inbox", desk.two).value["messages"]] == ["second"]


def test_the_user_reads_and_writes_from_outside(desk: Desk, call: Call) -> None:
    call("send_message", desk.one, to="user", type="LOG_ERROR", body="look")
    assert [m["body"] for m in call("read_inbox").value["messages"]] == ["look"]
    call("send_message", to="one", type="PROMPT_REQUEST", body="do")
    assert [m["from"] for m in call("read_inbox", desk.one).value["messages"]] == ["user"]


@pytest.mark.parametrize("key", ["from", "agent_id"])
def test_nobody_can_pass_for_another(desk: Desk, call: Call, key: str) -> None:
    message = {"to": "two", "type": "LOG_ERROR", "body": "x"}
    assert (
        f"you are '{desk.one}', not '{desk.two}'" in call("send_message", desk.one, **message, **{key: desk.two}).error
    )
    assert "not 'user'" in call("send_message", desk.one, **message, **{key: "user"}).error
    assert "you are 'user'" in call("send_message", **message, **{key: desk.one}).error
    for own in (desk.one, "one"):
        assert not call("send_message", desk.one, **message, **{key: own}).error
    call("read_inbox", desk.two)


def test_another_inbox_and_another_state_are_refused(desk: Desk, call: Call) -> None:
    assert "not 'two'" in call("read_inbox", desk.one, agent_id="two").error
    assert "not 'two'" in call("set_state", desk.one, state="idle", agent_id="two").error


def test_a_session_named_in_the_environment_gives_no_rights(desk: Desk) -> None:
    """Identity is the socket: the claim of being `two` over the socket of `one` is not believed."""
    tools = Tools(lambda: Client(desk.address(desk.one)), desk.two)
    assert tools.list_sessions()["me"] == desk.one
    assert Tools(lambda: Client(desk.address(None)), desk.two).list_sessions()["me"] == "user"


def test_a_state_that_is_not_legal_is_refused_in_words(desk: Desk, call: Call) -> None:
    assert "dancing" in call("set_state", desk.one, state="dancing").error
    assert "give agent_id" in call("set_state", state="idle").error


def test_errors_of_the_tree_reach_the_model_as_sentences(desk: Desk, call: Call) -> None:
    assert "no such session 'nobody'" in call("send_message", desk.one, to="nobody", type="LOG_ERROR").error
    assert "type: must be one of PROMPT_REQUEST, " in call("send_message", desk.one, to="two", type="GREETING").error
    assert "permission denied" in call("read_output", desk.one, session="two").error.lower()
    assert "does not exist" in call("read_diff", desk.one, session="two").error  # it may not even look
    assert "works in no git repository" in call("read_diff", desk.one).error
    assert "does not exist" in call("review", desk.one, session="two", comments="a:1: b").error
    assert "give session" in call("read_diff").error
    assert "no such bead 'bd-none'" in call("bead_claim", desk.one, bead="bd-none").error
    assert "not a bead id" in call("bead_show", desk.one, bead="../ctl").error


def test_without_a_daemon_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    tools = Tools(lambda: Client(str(tmp_path / "agent")), "")

    async def run() -> str:
        async with McpClient(build(tools)) as client:
            return (await client.call_tool("list_sessions", {})).content[0].text

    assert "anvilsrv start" in run_async(run())


def test_beads_go_through_their_life(desk: Desk, call: Call) -> None:
    first = call("bead_new", desk.one, title="it's first", description="a\n'b'", labels=["x"]).value["bead"]
    second = call("bead_new", desk.one, title="second", priority=0, waits_for=[first]).value["bead"]
    third = call("bead_new", desk.one, title="third").value["bead"]
    call("bead_dep", desk.one, child=second, parent=third)
    mine = {first, second, third}
    ready = [b["id"] for b in call("beads_ready", desk.two).value["beads"] if b["id"] in mine]
    assert ready == [first]
    call("bead_claim", desk.one, bead=first)
    assert f"is not open: in_progress by {desk.one}" in call("bead_claim", desk.two, bead=first).error
    assert f"is claimed by {desk.one}" in call("bead_complete", desk.two, bead=first).error
    call("bead_comment", desk.two, bead=first, text="well")
    assert not call("bead_complete", desk.one, bead=first, reason="done").error
    found = call("bead_show", desk.two, bead=first).value
    assert (found["description"], found["assignee"], found["close_reason"]) == ("a\n'b'", desk.one, "done")
    assert found["comments"][0]["author"] == desk.two
    call("bead_claim", desk.two, bead=second)
    call("bead_fail", desk.two, bead=second, reason="no way")
    assert call("bead_show", desk.one, bead=second).value["status"] == "blocked"
    closed = call("beads_list", desk.one, status="closed", assignee=desk.one).value["beads"]
    assert first in [b["id"] for b in closed]


@pytest.mark.parametrize("command", ["import", "export"])
def test_no_title_can_become_another_command(desk: Desk, call: Call, tmp_path: Path, command: str) -> None:
    made = call("bead_new", desk.one, title=f"x' priority=9\n{command} {tmp_path}/f")
    assert "one line" in made.error
    assert not list(tmp_path.iterdir())


def answer(desk: Desk, question: str, text: str) -> None:
    """Answer as the user, as a front-end does."""
    inbox = json.loads(desk.user.read("user/inbox"))
    asked = next(m for m in inbox if m["subject"] == question)
    desk.user.write("user/ctl", f"complete {asked['id']}\n".encode())
    reply = {"to": asked["from"], "type": "QUERY_RESPONSE", "subject": "Re", "body": text}
    desk.user.write("user/mail", json.dumps(reply | {"metadata": {"in_reply_to": asked["id"]}}).encode())


def test_a_question_to_the_user_is_an_ask_that_any_front_end_answers(desk: Desk, call: Call) -> None:
    said = []
    thread = threading.Thread(
        target=lambda: said.append(call("ask_user", desk.one, question="Which port?", choices=["80", "81"], wait=30))
    )
    thread.start()
    asked = Session(desk.daemon, desk.one).question()
    assert (asked["text"], asked["choices"], asked["free"]) == ("Which port?", ["80", "81"], True)
    desk.user.write(f"{desk.one}/answer", f"{asked['id']} 2\n".encode())
    thread.join(30)
    assert said[0].value["answer"] == "81"
    assert desk.user.read(f"{desk.one}/ask") == b""
    assert call("read_inbox", desk.one).value["messages"] == []


def test_a_question_without_an_answer_ends_and_says_where_it_will_come(desk: Desk, call: Call) -> None:
    assert "will come to your inbox" in call("ask_user", desk.one, question="Anybody?", wait=0.2).error
    assert desk.user.read(f"{desk.one}/ask") == b""
    answer(desk, "Anybody?", "yes")
    assert [m["body"] for m in call("read_inbox", desk.one).value["messages"]] == ["yes"]
    assert "as the user" in call("ask_user", question="Me?").error


def test_an_unknown_argument_is_refused_with_those_that_are_known(desk: Desk, call: Call) -> None:
    refused = call("read_inbox", desk.one, limt=5)
    assert refused.error.endswith("read_inbox: unknown argument 'limt' (known: limit, agent_id)")


def test_what_sloppy_clients_send_is_read_as_it_is_meant(desk: Desk, call: Call) -> None:
    assert call("read_inbox", desk.one, limit="5", agent_id=None).value == {"messages": []}
    made = call("bead_new", title="sloppy", priority="1", labels="[]", waits_for=None, parent=None)
    assert made.error == ""
    shown = call("bead_show", bead=made.value["bead"]).value
    assert (shown["priority"], shown.get("labels", [])) == (1, [])


def test_beads_of_a_status_that_none_can_have_are_refused_with_those_there_are(desk: Desk, call: Call) -> None:
    assert "status: must be one of open, in_progress, " in call("beads_list", status="done").error
    assert call("beads_list", status="hooked").value == {"beads": []}


@pytest.mark.parametrize("mode", MODES)
def test_inbox_beads_and_conversations_are_resources_and_reading_them_changes_nothing(desk: Desk, mode: str) -> None:
    agent = Session.new(desk.daemon)
    agent.ask("echo said")
    bead = desk.user.write_read("beads/ctl", b"new 'a resource'\n").decode().strip()
    desk.user.write(f"{desk.two}/mail", b'{"to":"one","type":"LOG_ERROR","subject":"stays","body":"b"}')

    async def run() -> dict[str, str]:
        async with (
            McpClient(build(desk.tools()), mode=mode) as user,
            McpClient(build(desk.tools(desk.one)), mode=mode) as one,
        ):
            listed = {str(found.uri) for found in (await one.list_resources()).resources}
            assert listed == {"anvillm://inbox", "anvillm://beads", "anvillm://beads/ready"}
            read = {str(uri): (await one.read_resource(uri)).contents[0].text for uri in sorted(listed)}
            address = f"anvillm://sessions/{agent.id}/conversation"
            read["said"] = (await user.read_resource(address)).contents[0].text
            with pytest.raises(Exception, match="does not exist"):
                await one.read_resource(address)
            return read

    for _ in range(2):
        read = run_async(run())
        assert [one["subject"] for one in json.loads(read["anvillm://inbox"])] == ["stays"]
        assert bead in {one["id"] for one in json.loads(read["anvillm://beads/ready"])}
        assert "echo said" in read["said"]
        assert "### answer\n\nsaid\n" in read["said"]
    assert len(call_inbox(desk)) == 1


def call_inbox(desk: Desk) -> list[dict[str, object]]:
    """Return the messages of the first session, which are done then."""
    found: list[dict[str, object]] = desk.call("read_inbox", desk.one).value["messages"]
    return found


def test_each_workflow_has_a_prompt_with_its_parts(desk: Desk) -> None:
    async def run() -> dict[str, tuple[list[str], str]]:
        async with McpClient(build(desk.tools(desk.one))) as client:
            found = {}
            for one in (await client.list_prompts()).prompts:
                given = {argument.name: f"<{argument.name}>" for argument in one.arguments}
                said = await client.get_prompt(one.name, given)
                found[one.name] = (list(given), said.messages[0].content.text)
            return found

    prompts = run_async(run())
    scripts = {path.name.lower() for path in (ROOT / "workflows").iterdir() if "." not in path.name}
    assert {name.replace("_", "") for name in prompts} == scripts - {"attempts"}  # nobody leads there
    for arguments, words in prompts.values():
        assert arguments[0] == "task"
        assert all(f"<{name}>" in words for name in arguments)
