"""Files that block: ``events``, the logs and ``out``, without a daemon."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from anvilsrv.errors import AnvilError, Conflict
from anvilsrv.p9.tree import LATER
from anvilsrv.tree.access import Who
from anvilsrv.tree.table import Tree
from tests.tree.world import Request, World, call, flush, open_file

ONE = "00000001"


@pytest.fixture
def session(world: World) -> str:
    world.add(ONE)
    return ONE


def emit(world: World, session: str = ONE) -> None:
    world.store.call(lambda tx: world.stream.emit(tx, "error", session, error="x"))


def parked(handle: Any, count: int = 8192, offset: int = 0) -> Request:
    req = Request()
    assert handle.read(offset, count, req) is LATER
    return req


def numbers(data: bytes) -> list[int]:
    return [json.loads(line)["seq"] for line in data.splitlines()]


def test_reads_of_one_open_of_events_each_get_other_events_and_a_flushed_one_none(tree: Tree, world: World) -> None:
    handle = open_file(tree, "events")
    first, second, third = parked(handle), parked(handle), parked(handle)
    emit(world)
    assert numbers(first.answer) == [1]
    assert second.claim()  # flushed, and its cancel is on the way
    emit(world)
    handle.cancel(second)
    assert numbers(third.answer) == [2]
    emit(world)
    assert numbers(handle.read(0, 8192, Request())) == [3]


def test_an_open_of_events_starts_now_or_after_its_number(tree: Tree, world: World) -> None:
    for _ in range(3):
        emit(world)
    waits = parked(open_file(tree, "events"))
    assert numbers(open_file(tree, "events.1").read(0, 8192, Request())) == [2, 3]
    emit(world)
    assert numbers(waits.answer) == [4]


def test_a_session_reads_the_events_that_concern_it(tree: Tree, world: World, session: str) -> None:
    req = parked(open_file(tree, "events", who=Who(session)))
    emit(world, "00000002")
    emit(world, session)
    assert numbers(req.answer) == [2]


def test_an_open_of_events_that_ends_is_not_woken_any_more(tree: Tree, world: World) -> None:
    handle = open_file(tree, "events")
    woken: list[bool] = []
    handle.wake = lambda: woken.append(True)
    req = parked(handle)
    assert len(woken) == 1  # its own
    flush(handle, req)
    handle.hangup()
    emit(world)
    assert len(woken) == 1
    assert numbers(handle.read(0, 8192, Request())) == [1]  # nobody took it


def test_an_event_between_the_look_and_the_wait_is_not_missed(tree: Tree, world: World) -> None:
    handle = open_file(tree, "events")
    stream, real = world.stream, world.stream.wait

    def wait(key: object, wake: Callable[[], bool]) -> None:
        emit(world)
        real(key, wake)

    stream.wait = wait  # type: ignore[method-assign]
    assert numbers(parked(handle).answer) == [1]


def test_a_log_gives_everything_from_the_beginning_and_then_what_comes(tree: Tree, world: World, session: str) -> None:
    world.said(session, b"a\n", b"b\n", b"c\n", b"d\n")
    handle = open_file(tree, f"{session}/log")
    assert call(handle.read, 0, 3) == b"a\nb"
    assert call(handle.read, 0, 100) == b"\nc\n"  # the end of the page
    assert call(handle.read, 0, 100) == b"d\n"
    req = parked(handle)
    world.said(session, b"e\n")
    assert req.answer == b"e\n"


def test_the_end_of_a_session_is_the_end_of_its_log(tree: Tree, world: World, session: str) -> None:
    req = parked(open_file(tree, f"{session}/log"))
    world.store.call(lambda tx: None)
    del world.sessions[session]
    world.said(session)
    with pytest.raises(AnvilError, match="no such session"):
        _ = req.answer


def test_the_log_of_the_root_shows_a_session_what_concerns_it(tree: Tree, world: World, session: str) -> None:
    world.said("", b"user -> other\n", b"00000001 -> user\n")
    assert call(open_file(tree, "log").read, 0, 100) == b"user -> other\n00000001 -> user\n"
    mine = open_file(tree, "log", who=Who(session))
    assert call(mine.read, 0, 100) == b"00000001 -> user\n"
    req = parked(mine)
    world.said("", b"user -> other\n")
    world.said("", b"00000001 -> other\n")
    assert req.answer == b"00000001 -> other\n"


def test_a_long_page_is_read_in_small_pieces_at_a_cost_that_grows_with_its_length_alone(
    tree: Tree, world: World, session: str
) -> None:
    """A copy of what is left for each piece makes it 32 GB and half a minute."""
    page = b"x" * (64 << 20)
    world.said(session, page)
    handle = open_file(tree, f"{session}/log")
    size = len(call(handle.read, 0, 1))
    began = time.process_time()
    while size < len(page):
        size += len(handle.read(0, 65536, Request()))
    assert time.process_time() - began < 3


def test_a_page_that_comes_before_the_last_one_is_read_goes_after_it(tree: Tree, session: str) -> None:
    handle = open_file(tree, f"{session}/log")
    for page, read in ((b"abc", b"a"), (b"def", b"bcde"), (b"ghi", b"fghi")):
        with handle.lock:
            handle.keep(page)
        assert handle.read(0, len(read), Request()) == read


def test_out_waits_for_the_answer_of_the_prompt_that_was_last_at_the_open(
    tree: Tree, world: World, session: str
) -> None:
    world.answers[1] = b""
    handle = open_file(tree, f"{session}/out")
    world.answers[2] = b"of another"
    first, second = parked(handle, 3), parked(handle, 100, 3)
    world.answered(1, b"abcdef")
    assert (first.answer, second.answer) == (b"abc", b"def")
    assert handle.read(5, 100, Request()) == b"f"
    assert handle.read(6, 100, Request()) == b""


def test_out_of_a_session_without_a_prompt_is_empty(tree: Tree, world: World, session: str) -> None:
    assert open_file(tree, f"{session}/out").read(0, 100, Request()) == b""


def test_an_answer_that_cannot_come_is_an_error_to_every_read_and_one_that_comes_after_all_is_given(
    tree: Tree, world: World, session: str
) -> None:
    world.answers[1] = b""
    handle = open_file(tree, f"{session}/out")
    waiting = [parked(handle), parked(handle)]
    world.answered(1, Conflict("no response now: the session is stopped"))
    for req in [*waiting, parked(handle)]:
        with pytest.raises(AnvilError, match="the session is stopped"):
            _ = req.answer
    world.answers[1] = b"after all"
    assert call(handle.read, 0, 100) == b"after all"
