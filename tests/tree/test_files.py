"""Plain kinds of file: texts, queries, words, actions, commands."""

from typing import Any

import pytest

from anvilsrv.errors import AnvilError, Conflict, Invalid
from anvilsrv.p9 import wire
from anvilsrv.tree.access import Who
from anvilsrv.tree.files import FULL, reason
from anvilsrv.tree.table import Tree
from tests.tree.world import USER, Request, World, call, node, open_file

ONE = "00000001"


@pytest.fixture(autouse=True)
def session(world: World) -> None:
    world.add(ONE)


def contents(handle: Any) -> bytes:
    data: bytes = call(handle.read, 0, 1 << 20)
    return data


def commands(world: World) -> list[tuple[str, ...]]:
    return [done[2:] for done in world.done if done[0] == "root"]


def test_a_command_ends_at_a_newline_outside_quotes_and_at_the_end_of_a_short_write(tree: Tree, world: World) -> None:
    handle = open_file(tree, "ctl", wire.OWRITE)
    call(handle.write, 0, b"new shell '/a\nb'\nnew shell /c")
    assert commands(world) == [("new", "shell", "/a\nb"), ("new", "shell", "/c")]


def test_a_command_that_a_full_write_cuts_waits_for_its_rest_wherever_it_is_cut(tree: Tree, world: World) -> None:
    command = ("new shell /" + "ü" * 30 + "\n").encode()
    data = command * (3 * FULL // len(command))
    handle = open_file(tree, "ctl", wire.OWRITE)
    for start in range(0, len(data), FULL):
        call(handle.write, start, data[start : start + FULL])
    assert commands(world) == [tuple(command.decode().split())] * data.count(b"\n")


def test_what_a_full_write_left_runs_at_the_close_and_is_reported_when_it_is_refused(tree: Tree, world: World) -> None:
    for rest in ("x", "'"):
        handle = open_file(tree, "ctl", wire.OWRITE)
        call(handle.write, 0, f"new shell /{'a' * FULL}".encode()[: FULL - 1] + rest.encode())
        if rest == "x":
            call(handle.clunk)
            assert [len(words[2]) for words in commands(world)] == [FULL - len("new shell ")]
        else:
            with pytest.raises(AnvilError, match="quote"):
                call(handle.clunk)
            assert world.done[-1][:2] == ("report", None) and world.done[-1][2].startswith("ctl: ")


def test_reading_a_ctl_file_gives_what_its_last_command_returned(tree: Tree) -> None:
    handle = open_file(tree, "ctl", wire.ORDWR)
    assert contents(handle) == b""
    call(handle.write, 0, b"new shell /a")
    assert contents(handle) == b"made\n"


def test_a_command_without_an_end_is_refused_before_it_fills_the_memory(tree: Tree) -> None:
    handle = open_file(tree, "ctl", wire.OWRITE)
    with pytest.raises(Invalid, match="ctl: command larger than 1 MiB"):
        for at in range(0, 2 << 20, FULL):
            call(handle.write, at, b"x" * FULL)


def test_a_word_is_read_as_a_line_and_each_write_is_one_value(tree: Tree, world: World) -> None:
    assert contents(open_file(tree, f"{ONE}/state")) == b"idle\n"
    assert contents(open_file(tree, f"{ONE}/alias")) == b""
    handle = open_file(tree, f"{ONE}/alias", wire.OWRITE)
    call(handle.write, 0, b" bob\n")
    call(handle.write, 5, b"")
    assert world.done == [("alias", ONE, "bob"), ("alias", ONE, "")]


@pytest.mark.parametrize("name", ["alias", "state"])
def test_a_file_of_one_line_refuses_two_and_what_is_no_text(tree: Tree, world: World, name: str) -> None:
    for data, why in ((b"a\nb", "single line"), (b"\xff", "invalid UTF-8")):
        with pytest.raises(Invalid, match=why):
            call(open_file(tree, f"{ONE}/{name}", wire.OWRITE).write, 0, data)
    assert not world.done


def test_a_refusal_of_the_domain_is_the_answer_to_the_write(tree: Tree, world: World) -> None:
    world.refuse(Conflict("not now"))
    for name in ("alias", "state", "answer"):
        with pytest.raises(AnvilError, match="not now"):
            call(open_file(tree, f"{ONE}/{name}", wire.OWRITE).write, 0, b"x")


def test_versions_follow_the_content(tree: Tree, world: World) -> None:
    for name in ("alias", "backend", "context"):
        before = node(tree, USER, f"{ONE}/{name}").version(USER)
        assert before == node(tree, USER, f"{ONE}/{name}").version(USER)
        view = world.get(ONE)
        setattr(view, name, b"other" if name == "context" else "other")
        assert before != node(tree, USER, f"{ONE}/{name}").version(USER), name


def test_one_open_of_a_text_shows_one_content(tree: Tree, world: World) -> None:
    handle = open_file(tree, "list")
    world.add("00000002")
    assert contents(handle) == b"00000001\n"
    assert contents(open_file(tree, "list")) == b"00000001\n00000002\n"


def test_mailboxes_are_those_of_the_session_or_of_the_user(tree: Tree) -> None:
    assert contents(open_file(tree, "user/archive")) == b"archive of user"
    mine = open_file(tree, f"{ONE}/archive", who=Who(ONE))
    assert mine.read(0, 7, Request()) == b"archive" and contents(mine) == b"archive of 00000001"


def test_only_our_own_errors_are_told_to_a_client() -> None:
    ours = Conflict("busy")
    assert reason(ours) is ours
    assert reason(KeyError("secret")) == "internal error"
