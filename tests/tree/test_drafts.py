"""What one fid writes in pieces: a text takes effect whole or not at all, JSON is taken when it is whole."""

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anvilsrv.errors import AnvilError, Conflict, Invalid, Unavailable
from anvilsrv.p9.wire import ORDWR, OTRUNC, OWRITE
from anvilsrv.sessions import drafts
from anvilsrv.store.store import Tx
from anvilsrv.tree.access import Who
from anvilsrv.tree.drafts import JsonPieces
from anvilsrv.tree.table import Tree
from tests.tree.world import USER, Request, World, call, open_file

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), st.booleans(), st.integers(1, 9))
def test_an_object_in_pieces_is_complete_at_its_last_byte_and_not_before(
    value: dict[str, object], escaped: bool, size: int
) -> None:
    data = b" \n" + json.dumps(value, ensure_ascii=escaped).encode("utf-8", "replace")
    pieces = JsonPieces("mail")
    for start in range(0, len(data) - 1, size):
        assert pieces.add(data[start : min(start + size, len(data) - 1)]) is None
    assert pieces.add(data[-1:]) == json.loads(data)


@pytest.mark.parametrize(
    "data", [b"[1]", b"hello", b'{"a" 1}', b'{"a":1}}', b'{"a":\xff}', b"{" + b'"a":{' * 5000 + b"}" * 5001]
)
def test_what_can_never_become_an_object_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match=r"^mail: "):
        JsonPieces("mail").add(data)


def test_a_large_object_in_small_writes_is_looked_at_once() -> None:
    data = json.dumps({"body": '\\"x' * 1_000_000}).encode()
    pieces = JsonPieces("mail")
    answers = [pieces.add(data[at : at + 4096]) for at in range(0, len(data), 4096)]
    assert answers[-1] == json.loads(data)
    assert not any(answers[:-1])


ONE, TWO = "00000001", "00000002"


@pytest.fixture
def prompt(tree: Tree, world: World) -> Any:
    """An open ``in``."""
    world.add(ONE)
    world.add(TWO)
    return open_file(tree, f"{ONE}/in", ORDWR | OTRUNC)


def accepted(world: World) -> list[tuple[Any, ...]]:
    return [one for one in world.done if one[0] == "accept"]


def left(world: World) -> int:
    """Return drafts that are on disk."""
    return world.store.call(lambda tx: len(drafts.left(tx)))


def test_a_text_takes_effect_at_the_clunk_and_leaves_no_draft(prompt: Any, world: World) -> None:
    assert call(prompt.write, 0, b"x" * 4096) == 4096
    assert call(prompt.write, 4096, b"y") == 1
    assert accepted(world) == []
    call(prompt.clunk)
    assert accepted(world) == [("accept", ONE, "x" * 4096 + "y", "user")]
    assert left(world) == 0


def test_an_empty_write_accepts_it_and_the_same_open_file_then_gives_its_number(prompt: Any, world: World) -> None:
    call(prompt.write, 0, b"one")
    assert call(prompt.write, 3, b"") == 0
    assert call(prompt.read, 3, 100) == b"1\n"  # the kernel goes on reading after what it wrote
    assert call(prompt.read, 5, 100) == b""
    call(prompt.write, 0, b"two")
    call(prompt.write, 3, b"")
    assert call(prompt.read, 0, 100) == b"2\n"
    call(prompt.clunk)
    assert [one[2] for one in accepted(world)] == ["one", "two"]


def test_nothing_of_a_text_is_taken_when_one_of_its_writes_was_refused(prompt: Any, world: World) -> None:
    call(prompt.write, 0, b"rm -r x" + b" " * 4089)
    world.refuse(Unavailable("disk is full"))
    with pytest.raises(AnvilError, match="disk is full"):
        call(prompt.write, 4096, b"/tmp/x")
    world.refuse(None)
    call(prompt.clunk)
    assert accepted(world) == [] and left(world) == 0
    assert not [one for one in world.done if one[0] == "error"], "its client was told on the write"


def test_a_text_that_is_refused_at_the_end_is_gone_for_good(tree: Tree, prompt: Any, world: World) -> None:
    """Not even the next daemon finds it."""
    call(prompt.write, 0, b"echo ghost")
    world.refuse(Conflict("session is gone"))
    with pytest.raises(AnvilError, match="session is gone"):
        call(prompt.clunk)
    world.refuse(None)
    assert left(world) == 0
    world.store.call(lambda tx: tree.recover(tx))
    assert accepted(world) == []


def test_a_write_whose_commit_failed_lends_its_draft_to_nobody(tree: Tree, prompt: Any, world: World) -> None:
    """What a job that was rolled back had made is not known to anybody."""

    def full(*given: object) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    world.on_write = full
    with pytest.raises(AnvilError):
        call(prompt.write, 0, b"echo of one")
    world.on_write = None
    other = open_file(tree, f"{TWO}/in", OWRITE | OTRUNC)
    call(other.write, 0, b"echo of two")
    call(prompt.clunk)
    call(other.clunk)
    assert accepted(world) == [("accept", TWO, "echo of two", "user")]


def test_writes_sent_before_the_first_is_answered_are_one_text(prompt: Any, world: World) -> None:
    requests = [Request() for _ in range(5)]
    for number, req in enumerate(requests):
        prompt.write(number, b"%d" % number, req)
    for req in requests:
        assert req.answer == 1
    call(prompt.clunk)
    assert accepted(world) == [("accept", ONE, "01234", "user")]


def test_bytes_that_are_no_text_are_refused_on_the_write(prompt: Any, world: World) -> None:
    call(prompt.write, 0, b"a")
    with pytest.raises(AnvilError, match="invalid UTF-8"):
        call(prompt.write, 1, b"\xff")
    call(prompt.write, 1, b"b")
    call(prompt.clunk)
    assert accepted(world) == [("accept", ONE, "ab", "user")]


def test_a_character_may_be_cut_between_writes_and_is_replaced_where_it_has_no_end(prompt: Any, world: World) -> None:
    for piece in (b"\xc3", b"\xa9", b"\xf0\x9f"):
        call(prompt.write, 0, piece)
    call(prompt.clunk)
    assert accepted(world) == [("accept", ONE, "\u00e9\ufffd", "user")]


def test_a_client_that_hangs_up_takes_its_text_back(prompt: Any, world: World) -> None:
    call(prompt.write, 0, b"echo never")
    assert left(world) == 1
    prompt.hangup()
    assert left(world) == 0 and accepted(world) == []


def test_a_queued_prompt_is_read_and_written_anew(tree: Tree, world: World) -> None:
    world.add(ONE)
    world.prompts[2] = "echo two"
    file = open_file(tree, f"{ONE}/turns/2/prompt", ORDWR | OTRUNC)
    assert call(file.read, 0, 100) == b"echo two"
    call(file.write, 0, b"echo three")
    call(file.clunk)
    assert world.done[-1] == ("edit", 2, "echo three")


@pytest.mark.parametrize("name", ["0", "5", "01", "-1", "x", "1" * 30])
def test_a_number_that_was_never_given_names_no_prompt(tree: Tree, world: World, name: str) -> None:
    world.add(ONE)
    with pytest.raises((AnvilError, AssertionError)):
        open_file(tree, f"{ONE}/turns/{name}/out", 0)


def test_the_last_prompt_has_a_name_of_its_own(tree: Tree, world: World) -> None:
    world.add(ONE)
    world.prompts[3] = "echo last"
    assert call(open_file(tree, f"{ONE}/turns/last/prompt", 0).read, 0, 100) == b"echo last"


@pytest.mark.parametrize("name", ["9" * 5000, "9" * 11])
def test_a_number_of_any_length_is_a_name_that_is_not_there(tree: Tree, world: World, name: str) -> None:
    world.add(ONE)
    turns = tree.lookup(USER, ONE).lookup(USER, "turns")  # type: ignore[union-attr]
    assert turns.lookup(USER, name) is None


@pytest.mark.parametrize(
    ("mode", "offset", "expected"),
    [(OWRITE | OTRUNC, 3, "new"), (OWRITE, 7, "be kindnew"), (OWRITE, 2, "benew")],
)
def test_a_context_is_replaced_or_written_on_from_the_offset_of_the_first_write(
    tree: Tree, world: World, mode: int, offset: int, expected: str
) -> None:
    world.add(ONE)
    handle = open_file(tree, f"{ONE}/context", mode)
    assert call(handle.read, 0, 100) == b"be kind"
    call(handle.write, offset, b"new")
    call(handle.clunk)
    assert world.done == [("context", ONE, expected)]


def test_drafts_that_a_killed_daemon_left_take_effect_as_the_users_or_are_reported(tree: Tree, world: World) -> None:
    world.add(ONE)

    def job(tx: Tx) -> None:
        for file, data in (("in", b"whole"), ("context", b"kindly"), ("in", b"x" * 4096), ("mail", b"{")):
            drafts.add(tx, drafts.fresh(), ONE, file, 1, data, len(data))

    world.store.call(job)
    world.store.call(tree.recover)
    assert world.done == [
        ("accept", ONE, "whole", "user"),
        ("context", ONE, "kindly"),
        ("error", ONE, "in: the daemon ended while it was being written; it was dropped"),
        ("error", ONE, "mail: its file is gone; what was written to it was dropped"),
    ]
    assert left(world) == 0


def test_a_message_is_sent_at_its_last_byte_and_half_a_one_is_reported(tree: Tree, world: World) -> None:
    world.add(ONE)
    handle = open_file(tree, f"{ONE}/mail", OWRITE, Who(ONE))
    for piece in (b'{"to":', b'"user"', b"}"):
        assert not world.done
        assert call(handle.write, 0, piece) == len(piece)
    assert world.done == [("send", ONE, {"to": "user"})]
    call(handle.write, 0, b'{"to"')
    with pytest.raises(Invalid, match="mail: incomplete JSON"):
        call(handle.clunk)
    assert world.done[-1] == ("report", ONE, "mail: incomplete JSON")


def test_a_refused_message_leaves_room_for_the_next_one(tree: Tree, world: World) -> None:
    handle = open_file(tree, "user/mail", ORDWR)
    assert handle.read(0, 100, Request()) == b""
    world.refuse(Invalid("bad type"))
    with pytest.raises(AnvilError, match="bad type"):
        call(handle.write, 0, b"{}")
    world.refuse(None)
    call(handle.write, 0, b'{"to":"bob"}')
    assert world.done == [("send", "user", {"to": "bob"})]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("NaN", "NaN is not a number"),
        ("1e999", "a number is too large"),
        ('"\\ud800"', "unpaired surrogate"),
        ("[" * 65 + "]" * 65, "nested more than 64 levels"),
        ('{"a":1,"a":2}', "duplicate key 'a'"),
    ],
)
def test_mail_that_is_not_one_value_to_every_program_is_refused_to_its_writer(
    tree: Tree, world: World, value: str, why: str
) -> None:
    mail = open_file(tree, "user/mail", OWRITE)
    with pytest.raises(Invalid, match=f"mail: invalid JSON: {why}"):
        call(mail.write, 0, b'{"to":"x","metadata":{"x":%s}}' % value.encode())
    call(mail.write, 0, b'{"to":"x","body":"fine"}')
    assert [one for one in world.done if one[0] == "send"] == [("send", "user", {"to": "x", "body": "fine"})]
