"""A listing is made as it is read, so that a long one keeps nobody waiting."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from anvilsrv.p9 import wire
from anvilsrv.p9.tree import Dir, DirHandle, File, Node, StaticDir


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


class Held(File):
    """A file whose length is known when it is let go."""

    slow_stat = True

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.go = threading.Event()
        self.threads: list[str] = []

    def length(self, who: Any) -> int:
        self.threads.append(threading.current_thread().name)
        assert self.go.wait(20)
        return 7


@pytest.fixture
def held(served: Any, place: str) -> Iterator[tuple[Held, str]]:
    file = Held("held")
    folder = StaticDir("slow", [file])
    folder.slow = True
    served.server.listen(f"{place}/slow", StaticDir("/", [folder, Node("quick")]))
    yield file, f"{place}/slow"
    file.go.set()


@pytest.mark.parametrize(
    ("walk", "request_"),
    [
        (("slow", "held"), lambda raw: raw.send(wire.Tstat(7, 1))),
        (("slow",), lambda raw: (raw.ok(wire.Topen(6, 1, 0)), raw.send(wire.Tread(7, 1, 0, 4000)))),
    ],
)
def test_what_takes_long_to_be_known_of_a_file_keeps_nobody_waiting(
    held: tuple[Held, str], dial: Any, walk: tuple[str, ...], request_: Any
) -> None:
    file, path = held
    raw = dial(path).start()
    raw.ok(wire.Twalk(1, 0, 1, walk))
    request_(raw)
    assert raw.ok(wire.Twalk(2, 0, 2, ("quick",))) and raw.ok(wire.Tstat(3, 2)).stat.name == "quick"
    assert dial(path).start().ok(wire.Twalk(2, 0, 2, ("quick",)))
    file.go.set()
    answer = raw.receive()
    stat = answer.stat if isinstance(answer, wire.Rstat) else wire.unpack_stats(answer.data)[0]
    assert (answer.tag, stat.name, stat.length) == (7, "held", 7)
    assert file.threads and all(name.startswith("9p-worker") for name in file.threads)


def test_a_flush_waits_for_a_stat_that_runs(held: tuple[Held, str], dial: Any) -> None:
    file, path = held
    raw = dial(path).start()
    raw.ok(wire.Twalk(1, 0, 1, ("slow", "held")))
    raw.send(wire.Tstat(7, 1))
    raw.send(wire.Tflush(8, 7))
    file.go.set()
    assert [type(raw.receive()), type(raw.receive())] == [wire.Rstat, wire.Rflush]
