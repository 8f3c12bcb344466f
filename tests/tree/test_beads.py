"""``beads/`` in the tree: commands as their caller, texts of the graph."""

import json
from typing import Any

import pytest

from anvilsrv.errors import AnvilError
from anvilsrv.p9 import wire
from anvilsrv.tree.access import Who
from anvilsrv.tree.table import Tree
from tests.tree.world import USER, World, call, open_file

ONE = Who("00000001")


def command(tree: Tree, text: str, who: Who = USER) -> str:
    """Run a command; what reading the file then gives."""
    handle = open_file(tree, "beads/ctl", wire.ORDWR, who)
    call(handle.write, 0, text.encode())
    said: bytes = call(handle.read, 0, 100)
    return said.decode().strip()


def read(tree: Tree, path: str, who: Who = USER) -> Any:
    return call(open_file(tree, f"beads/{path}", 0, who).read, 0, 1 << 20)


def test_a_command_gives_the_id_and_acts_as_its_caller(tree: Tree) -> None:
    bead = command(tree, "new 'a bead'")
    assert command(tree, f"claim {bead}", ONE) == bead
    assert read(tree, f"{bead}/assignee", ONE) == b"00000001\n"
    assert read(tree, f"{bead}/title") == b"a bead\n"
    assert [one["id"] for one in json.loads(read(tree, "list"))] == [bead]


def test_import_and_export_are_the_users(tree: Tree, tmp_path: Any) -> None:
    command(tree, "new 'a bead'")
    target = tmp_path / "out.jsonl"
    with pytest.raises(AnvilError, match="user"):
        command(tree, f"export {target}", ONE)
    command(tree, f"export {target}")
    assert "a bead" in target.read_text()


def test_a_bead_is_found_without_being_listed_first_and_others_are_not(tree: Tree, world: World) -> None:
    beads = tree.lookup(USER, "beads")
    assert beads is not None
    bead = command(tree, "new x")
    assert beads.lookup(USER, bead) is not None  # type: ignore[attr-defined]
    assert beads.lookup(USER, bead + "x") is None  # type: ignore[attr-defined]
