"""A listing is made as it is read, so that a long one keeps nobody waiting."""

from collections.abc import Iterator
from typing import Any

from anvilsrv.p9 import wire
from anvilsrv.p9.tree import Dir, DirHandle, Node


class Endless(Dir):
    """More files than anybody reads."""

    made = 0

    def children(self, who: Any) -> Iterator[Node]:
        while True:
            self.made += 1
            yield Node(f"file{self.made:08}")


def test_only_what_is_read_of_a_listing_is_made() -> None:
    node = Endless("d")
    handle, req = DirHandle(node, None, wire.pack_stat), None
    first = handle.read(0, 8192, req)  # type: ignore[arg-type]
    made = node.made
    assert first and made < 200
    second = handle.read(len(first), 8192, req)  # type: ignore[arg-type]
    assert b"file%08d" % made in second and b"file%08d" % made not in first
    assert handle.read(0, 8192, req) != first  # type: ignore[arg-type]
