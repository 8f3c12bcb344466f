"""The file ``editor``: what an agent asks reaches the editors that are attached, and the first result comes back."""

import json
from typing import Any

import pytest

from anvilsrv.allowance import Allowance
from anvilsrv.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from anvilsrv.p9 import wire
from anvilsrv.p9.tree import LATER, Handle
from anvilsrv.tree.access import Who
from anvilsrv.tree.table import Tree
from tests.tree.world import Request, World, call, flush, open_file

ONE, TWO = "00000001", "00000002"


class Desk:
    """Opens ``editor`` from both ends."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def emacs(self, session: str = ONE, mode: int = wire.ORDWR) -> Any:
        return open_file(self.tree, f"{session}/editor", mode)

    def agent(self, tool: str = "buffers", session: str = ONE, **arguments: Any) -> Any:
        handle = open_file(self.tree, f"{session}/editor", wire.ORDWR, Who(session))
        ask(handle, tool, **arguments)
        return handle


@pytest.fixture
def desk(tree: Tree, world: World) -> Desk:
    world.add(ONE)
    world.add(TWO)
    return Desk(tree)


def ask(agent: Handle, tool: str = "buffers", **arguments: Any) -> None:
    data = json.dumps({"tool": tool, "arguments": arguments}).encode()
    assert call(agent.write, 0, data) == len(data)


def waits(handle: Handle) -> Request:
    """Begin a read that waits."""
    req = Request()
    assert handle.read(0, 8192, req) is LATER
    return req


def line(handle: Handle) -> Any:
    """Return the next line that there is."""
    return json.loads(call(handle.read, 0, 8192))


def give(editor: Handle, **answer: Any) -> None:
    call(editor.write, 0, json.dumps(answer).encode())


def test_an_editor_reads_what_is_asked_and_its_answer_is_read_where_it_was_asked(desk: Desk) -> None:
    editor = desk.emacs()
    before = waits(editor)
    agent = desk.agent("definitions", file="a.py")
    asked = json.loads(before.answer)
    number = asked.pop("id")
    assert asked == {"tool": "definitions", "arguments": {"file": "a.py"}, "cwd": "/w",
                     "paths": ["/w"], "hidden": ["/w/secret"]}  # fmt: skip
    reply = waits(agent)
    give(editor, id=number, result={"found": ["ä"]})
    assert json.loads(reply.answer) == {"result": {"found": ["ä"]}}
    with pytest.raises(NotFound, match="no such question"):
        give(editor, id=number, result=1)


def test_an_answer_may_be_written_to_another_open_file_which_is_asked_nothing(desk: Desk) -> None:
    editor, writes = desk.emacs(mode=wire.OREAD), desk.emacs(mode=wire.OWRITE | wire.OTRUNC)
    agent = desk.agent()
    give(writes, id=line(editor)["id"], result={})
    assert line(agent) == {"result": {}}
    writes.clunk(Request())
    assert call(writes.read, 0, 10) == b""


def test_a_long_line_comes_in_the_pieces_that_are_read(desk: Desk) -> None:
    editor = desk.emacs()
    desk.agent(file="x" * 500)
    desk.agent(file="y")
    data = b""
    while data.count(b"\n") < 2:
        data += call(editor.read, len(data), 100)
    first, second = map(json.loads, data.splitlines())
    assert (first["arguments"], second["arguments"]) == ({"file": "x" * 500}, {"file": "y"})


def test_without_an_editor_the_agent_is_told_so(desk: Desk) -> None:
    desk.emacs(TWO)
    with pytest.raises(Unavailable, match="no editor is attached"):
        desk.agent()
    editor = desk.emacs()
    editor.clunk(Request())
    with pytest.raises(Unavailable, match="no editor is attached"):
        desk.agent()


@pytest.mark.parametrize("end", ["clunk", "hangup"])
def test_an_editor_that_goes_answers_what_it_was_asked(desk: Desk, end: str) -> None:
    editor = desk.emacs()
    agent = desk.agent()
    line(editor)
    reply = waits(agent)
    editor.clunk(Request()) if end == "clunk" else editor.hangup()
    assert json.loads(reply.answer) == {"error": "the editor that was asked is gone"}


def test_of_several_editors_the_first_result_counts_and_the_others_hear_that_it_is_over(desk: Desk) -> None:
    first, second, late = desk.emacs(), desk.emacs(), desk.emacs()
    agent = desk.agent()
    one, two = line(first)["id"], line(second)["id"]
    assert one != two
    give(first, id=one, error="a.py is not open here")
    give(second, id=two, result={"who": "second"})
    assert line(agent) == {"result": {"who": "second"}}
    desk.agent("definitions")
    assert [line(one)["tool"] for one in (first, second, late)] == ["definitions"] * 3  # late never reads the first


def test_an_editor_that_has_read_a_question_hears_that_another_has_answered(desk: Desk) -> None:
    first, second = desk.emacs(), desk.emacs()
    desk.agent()
    number = line(first)["id"]
    give(second, id=line(second)["id"], result={})
    assert line(first) == {"id": number, "over": True}


def test_what_an_editor_has_read_and_nobody_waits_for_is_over(desk: Desk) -> None:
    editor = desk.emacs()
    agent = desk.agent()
    number = line(editor)["id"]
    after = waits(editor)
    agent.clunk(Request())
    assert json.loads(after.answer) == {"id": number, "over": True}
    other = desk.agent()
    other.hangup()  # before it was read
    desk.agent("definitions")
    assert line(editor)["tool"] == "definitions"


def test_when_all_refuse_the_agent_hears_why(desk: Desk) -> None:
    first, second = desk.emacs(), desk.emacs()
    agent = desk.agent()
    reply = waits(agent)
    give(first, id=line(first)["id"], error="not open here")
    give(second, id=line(second)["id"], error="the user is typing")
    assert json.loads(reply.answer) == {"error": "not open here; the user is typing"}


def test_a_fid_asks_again_when_it_has_its_answer(desk: Desk) -> None:
    editor = desk.emacs()
    agent = desk.agent()
    with pytest.raises(Conflict, match="one question at a time"):
        ask(agent)
    give(editor, id=line(editor)["id"], result={"n": 1})
    assert line(agent) == {"result": {"n": 1}}
    ask(agent)
    give(editor, id=line(editor)["id"], result={"n": 2})
    assert line(agent) == {"result": {"n": 2}}


def test_only_what_a_role_grants_can_be_asked(desk: Desk) -> None:
    desk.emacs()
    with pytest.raises(Denied, match=r"emacs: \[open_diff\]"):
        desk.agent("open_diff", file="a", content="b")
    with pytest.raises(Invalid, match="invalid tool"):
        desk.agent("eval", form="(delete-file)")
    with pytest.raises(Invalid, match="invalid tool"):
        call(open_file(desk.tree, f"{ONE}/editor", wire.ORDWR, Who(ONE)).write, 0, b'{"tool":["buffers"]}')
    with pytest.raises(Invalid, match="invalid arguments"):
        desk.agent("buffers", more="x" * (1 << 20))


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"id":1}', b'{"id":"1","result":1}', b'{"id":1,"error":2}', b'{"id":1,"result":1,"error":"x"}']
)
def test_an_answer_that_is_none_is_refused(desk: Desk, answer: bytes) -> None:
    editor = desk.emacs()
    desk.agent()
    with pytest.raises(Invalid, match="invalid answer"):
        call(editor.write, 0, answer)


def test_too_large_an_answer_is_an_error(desk: Desk) -> None:
    editor = desk.emacs()
    agent = desk.agent()
    give(editor, id=line(editor)["id"], result="x" * (1 << 20))
    assert line(agent) == {"error": "the editor's answer has more than 1 MiB"}


def test_a_session_has_so_many_questions_open_and_no_more(desk: Desk) -> None:
    desk.emacs()
    agents = [desk.agent() for _ in range(16)]
    with pytest.raises(Conflict, match="16 questions"):
        desk.agent()
    agents[0].clunk(Request())
    desk.agent()


def test_a_read_of_an_editor_that_is_flushed_loses_nothing(desk: Desk) -> None:
    editor = desk.emacs()
    read = waits(editor)
    assert flush(editor, read)
    desk.agent()
    assert line(editor)["tool"] == "buffers"


def test_what_agents_ask_counts_as_theirs_until_it_is_closed(desk: Desk) -> None:
    who = Who(ONE, allowance=Allowance())
    desk.emacs()
    agent = open_file(desk.tree, f"{ONE}/editor", wire.ORDWR, who)
    ask(agent, file="x" * 1000)
    agent.clunk(Request())
    assert who.allowance.has("open") == 0
    assert who.allowance.has("streams") == 0
