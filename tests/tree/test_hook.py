"""The file ``hook``: a report, and its reply from the same fid."""

import json
from typing import Any

import pytest

from anvilsrv.errors import AnvilError, Invalid
from anvilsrv.p9.tree import LATER
from anvilsrv.tree.access import Who
from anvilsrv.tree.table import Tree
from tests.tree.world import Request, World, call, flush, open_file

ONE = "00000001"
REPORT = b'{"report":"1"}'


@pytest.fixture
def hook(tree: Tree, world: World) -> Any:
    world.add(ONE)
    return open_file(tree, f"{ONE}/hook", 2, Who(ONE))


def read(hook: Any, offset: int = 0, count: int = 8192) -> Request:
    """Begin a read that waits."""
    req = Request()
    assert hook.read(offset, count, req) is LATER
    return req


def test_the_reply_is_read_from_the_fid_that_the_report_was_written_to(hook: Any, world: World) -> None:
    assert call(hook.write, 0, REPORT) == len(REPORT)
    reply = call(hook.read, 0, 8192)
    assert json.loads(reply) == {"report": {"report": "1"}} and reply.endswith(b"\n")
    assert call(hook.read, 3, 4) == reply[3:7]
    assert call(hook.read, len(reply), 8192) == b""


def test_before_a_report_there_is_nothing_to_wait_for(hook: Any) -> None:
    assert call(hook.read, 0, 8192) == b""


def test_a_read_that_is_sent_with_the_report_waits_for_its_reply(hook: Any, world: World) -> None:
    world.reports_wait = True
    assert call(hook.write, 0, REPORT) == len(REPORT)
    first, second = read(hook, 0, 5), read(hook, 5)
    flush(hook, second)
    third = read(hook)
    (waiting,) = world.asking
    world.store.call(lambda tx: waiting.answer({"stdout": "yes"}))
    assert (first.answer, third.answer) == (b'{"std', b'{"stdout":"yes"}\n')
    assert not second.answers


def test_a_refused_report_has_no_reply(hook: Any, world: World) -> None:
    world.refuse(Invalid("hook: what is this"))
    with pytest.raises(AnvilError, match="hook: what is this"):
        call(hook.write, 0, REPORT)
    assert call(hook.read, 0, 8192) == b""
    world.refuse(None)
    call(hook.write, 0, REPORT)
    assert json.loads(call(hook.read, 0, 8192)) == {"report": {"report": "1"}}


def test_a_report_that_is_refused_while_another_is_not_answered_leaves_that_ones_reply_to_come(
    hook: Any, world: World
) -> None:
    world.reports_wait = True
    call(hook.write, 0, REPORT)
    waits = read(hook)
    world.refuse(Invalid("no"))
    with pytest.raises(AnvilError, match=r"^no$"):
        call(hook.write, 0, REPORT)
    assert not waits.answers
    (waiting,) = world.asking
    world.store.call(lambda tx: waiting.answer({}))
    assert waits.answer == b"{}\n"


@pytest.mark.parametrize("end", ["clunk", "hangup"])
def test_whoever_goes_away_is_known_to_wait_no_more(hook: Any, world: World, end: str) -> None:
    world.reports_wait = True
    call(hook.write, 0, REPORT)
    _ = call(hook.clunk) if end == "clunk" else hook.hangup()
    world.store.call(lambda tx: None)
    assert world.done[-1] == ("abandoned", ONE)


def test_who_reported_nothing_is_not_told_to_be_gone(hook: Any, world: World) -> None:
    """Opening and closing costs the store nothing."""
    before = len(world.done)
    hook.hangup()
    assert world.done[before:] == []
