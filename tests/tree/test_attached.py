"""``<id>/attach/``: the user makes files there, the session and who controls it read them."""

import pytest

from anvilsrv.allowance import Allowance
from anvilsrv.errors import Conflict, Denied, NotFound
from anvilsrv.p9.wire import ORDWR, OREAD, OTRUNC, OWRITE
from anvilsrv.tree.access import Who
from anvilsrv.tree.table import Tree
from tests.tree.world import USER, World, call, node, open_file

ONE, TWO = "00000001", "00000002"


@pytest.fixture(autouse=True)
def sessions(world: World) -> None:
    world.add(ONE, alias="bob")
    world.add(TWO)


def test_a_file_is_made_written_anywhere_read_and_removed(tree: Tree, world: World) -> None:
    made, handle = call(node(tree, USER, "bob/attach").create, USER, "a.txt", ORDWR)
    assert call(handle.write, 0, b"hello") == 5 and call(handle.write, 1, b"a") == 1
    assert call(handle.read, 0, 100) == b"hallo" and call(handle.read, 3, 1) == b"l"
    assert (made.name, made.length(USER), made.slow) == ("a.txt", 5, True)
    assert [one.name for one in node(tree, USER, f"{ONE}/attach").children(USER)] == ["a.txt"]
    found = node(tree, USER, f"{ONE}/attach/a.txt")
    assert (found.path, found.version(USER)) == (made.path, made.version(USER))
    call(found.open, USER, OWRITE | OTRUNC)
    assert (found.length(USER), world.attachments.read(ONE, "a.txt", 0, 9)) == (0, b"")
    assert found.removable(USER)
    found.remove(USER)
    with pytest.raises(NotFound):
        node(tree, USER, f"{ONE}/attach/a.txt")
    with pytest.raises(NotFound):
        call(handle.write, 0, b"x")


def test_a_reader_sees_one_snapshot_which_counts_as_its_own(tree: Tree, world: World) -> None:
    world.attachments.create(ONE, "a")
    world.attachments.write(ONE, "a", 0, b"before")
    who = Who(ONE, allowance=Allowance())
    handle = open_file(tree, f"{ONE}/attach/a", OREAD, who)
    world.attachments.write(ONE, "a", 0, b"behind")
    assert handle.read(0, 100, None) == b"before" and who.allowance.has("open") == 6
    handle.hangup()
    assert who.allowance.has("open") == 0


def test_a_session_neither_makes_nor_removes_nor_writes(tree: Tree, world: World) -> None:
    world.attachments.create(ONE, "a")
    own = Who(ONE)
    assert node(tree, own, f"{ONE}/attach").permissions(own) == 0o500
    assert (node(tree, own, f"{ONE}/attach/a").permissions(own), node(tree, own, f"{ONE}/attach/a").removable(own)) == (
        0o400,
        False,
    )
    with pytest.raises(Denied):
        node(tree, Who(TWO), f"{ONE}/attach")


def test_files_are_made_there_alone(tree: Tree) -> None:
    for where in (ONE, f"{ONE}/turns", "beads"):
        directory = node(tree, USER, where)
        assert not directory.permissions(USER) & 0o200
        with pytest.raises(Denied, match="cannot create 'x'"):
            call(directory.create, USER, "x", OWRITE)


def test_what_exceeds_a_bound_is_refused_in_a_sentence(tree: Tree) -> None:
    _, handle = call(node(tree, USER, f"{ONE}/attach").create, USER, "a", OWRITE)
    with pytest.raises(Conflict, match=r"^busy: a file of attach has 8 MiB at most$"):
        call(handle.write, 8 << 20, b"x")
