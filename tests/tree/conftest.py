"""The tree over a domain of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.tree.table import Tree
from tests.tree.world import World, a_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


@pytest.fixture
def tree(world: World) -> Tree:
    return Tree(world)
