"""Files that are made and removed: Tcreate and Tremove."""

import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.errors import Exists, NotFound
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client, P9Error
from anvilsrv.p9.server import Server
from anvilsrv.p9.tree import Dir, File, Handle, Node, Request, StaticDir, TextFile
from tests.p9.conftest import Raw


class Leaf(File):
    """A file in a drawer."""

    mode = 0o600

    def __init__(self, name: str, drawer: "Drawer") -> None:
        super().__init__(name)
        self.drawer = drawer
        self.slow = drawer.slow
        self.data = b""

    def length(self, who: Any) -> int:
        return len(self.data)

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return Open(self)

    def removable(self, who: Any) -> bool:
        return self.name != "nailed"

    def remove(self, who: Any) -> None:
        if self.drawer.files.pop(self.name, None) is None:
            raise NotFound(f"file does not exist: '{self.name}'")


class Open(Handle):
    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return self.leaf.data[offset : offset + count]

    def write(self, offset: int, data: bytes, req: Request) -> int:
        self.leaf.data = self.leaf.data[:offset] + data
        return len(data)

    def clunk(self, req: Request) -> None:
        self.leaf.drawer.ended.append("clunk")

    def hangup(self) -> None:
        self.leaf.drawer.ended.append("hangup")
        self.leaf.drawer.over.set()


class Drawer(Dir):
    """A directory in which files can be made. ``gate``: what one that is made waits for."""

    mode = 0o755

    def __init__(self, name: str, slow: bool) -> None:
        super().__init__(name)
        self.slow = slow
        self.files: dict[str, Leaf] = {}
        self.ended: list[str] = []
        self.over = threading.Event()
        self.began, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def lookup(self, who: Any, name: str) -> Node | None:
        return self.files.get(name)

    def children(self, who: Any) -> list[Leaf]:
        return list(self.files.values())

    def create(self, who: Any, name: str, mode: int, req: Request) -> tuple[File, Handle]:
        self.began.set()
        assert self.gate.wait(10)
        if name in self.files:
            raise Exists(f"file exists: '{name}'")
        made = self.files[name] = Leaf(name, self)
        return made, Open(made)


@pytest.fixture(params=[False, True], ids=["quick", "slow"])
def drawer(request: pytest.FixtureRequest) -> Drawer:
    return Drawer("drawer", request.param)


@pytest.fixture
def path(place: Path, drawer: Drawer) -> Iterator[str]:
    errors: list[BaseException] = []
    server = Server(on_error=errors.append)
    server.start()
    locked = Drawer("locked", False)
    locked.mode = 0o555
    root = StaticDir("/", [drawer, TextFile("plain", lambda who: b"", mode=0o644), locked])
    server.listen(str(place / "s"), root, "me")
    yield str(place / "s")
    server.stop()
    assert errors == []


@pytest.fixture
def client(path: str) -> Iterator[Client]:
    with Client(path, timeout=10) as made:
        yield made


@pytest.fixture
def raw(path: str) -> Iterator[Raw]:
    made = Raw(path).start()
    yield made
    made.close()


def test_a_file_is_made_written_read_and_removed(client: Client, drawer: Drawer) -> None:
    with client.create("drawer/a", wire.ORDWR) as file:
        file.write(b"hello")
        assert file.read(10, offset=0) == b"hello"
    assert [(one.name, one.length) for one in client.ls("drawer")] == [("a", 5)]
    assert client.read("drawer/a") == b"hello"
    client.remove("drawer/a")
    assert (client.ls("drawer"), drawer.files) == ([], {})
    assert drawer.ended.count("clunk") == 2


def test_the_fid_of_the_directory_stands_for_the_new_file_and_is_open(raw: Raw, drawer: Drawer) -> None:
    raw.ok(wire.Twalk(1, 0, 1, ("drawer",)))
    made = raw.ok(wire.Tcreate(1, 1, "a", 0o666, wire.OWRITE))
    assert made.qid == raw.ok(wire.Tstat(1, 1)).stat.qid and made.iounit == 8192 - wire.IOHDRSZ
    assert raw.ok(wire.Tstat(1, 1)).stat.name == "a"
    assert "not open for reading" in raw.error(wire.Tread(1, 1, 0, 10))
    assert "open already" in raw.error(wire.Twalk(1, 1, 2, ("..",)))
    assert "open already" in raw.error(wire.Tcreate(1, 1, "b", 0o666, wire.OWRITE))
    assert raw.ok(wire.Twrite(1, 1, 0, b"x")).count == 1
    raw.ok(wire.Tremove(1, 1))
    assert (drawer.files, drawer.ended) == ({}, ["clunk"])
    assert "unknown fid" in raw.error(wire.Tstat(1, 1))


@pytest.mark.parametrize(
    ("name", "perm", "mode", "why"),
    [
        ("", 0o666, 1, "invalid name ''"), (".", 0o666, 1, "invalid name '.'"), ("..", 0o666, 1, "invalid name '..'"),
        ("a/b", 0o666, 1, "invalid name 'a/b'"), ("a", wire.DMDIR | 0o777, 0, "permission denied: cannot create 'a'"),
        ("a", wire.DMAPPEND | 0o666, 0, "permission denied: cannot create 'a'"),
        ("a", 0o666, wire.ORCLOSE, "permission denied: cannot create 'a'"), ("a", 0o666, 3, "invalid open mode 0x3"),
        ("a", 0o666, 0x81, "invalid open mode 0x81"), ("there", 0o666, 1, "file exists: 'there'"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_and_the_fid_stays(
    raw: Raw, drawer: Drawer, name: str, perm: int, mode: int, why: str
) -> None:
    drawer.files["there"] = Leaf("there", drawer)
    raw.ok(wire.Twalk(1, 0, 1, ("drawer",)))
    assert why in raw.error(wire.Tcreate(1, 1, name, perm, mode))
    assert list(drawer.files) == ["there"]
    raw.ok(wire.Tcreate(1, 1, "good", 0o666, wire.OREAD))


def test_nothing_is_made_where_one_may_not_write_or_in_a_file(client: Client) -> None:
    for where, why in (("plain/x", "not a directory"), ("locked/x", "permission denied"), ("x", "permission denied")):
        with pytest.raises(P9Error, match=why):
            client.create(where, wire.OWRITE)


def test_what_cannot_be_removed_stays_and_its_fid_is_gone(raw: Raw, drawer: Drawer) -> None:
    drawer.files["nailed"] = Leaf("nailed", drawer)
    raw.open(1, "drawer/nailed", wire.ORDWR)
    assert "cannot remove 'nailed'" in raw.error(wire.Tremove(1, 1))
    assert (list(drawer.files), drawer.ended) == (["nailed"], ["clunk"])
    assert "unknown fid" in raw.error(wire.Tstat(1, 1))


def test_of_two_who_remove_a_file_one_is_told(raw: Raw, drawer: Drawer) -> None:
    drawer.files["a"] = Leaf("a", drawer)
    for fid in (1, 2):
        raw.ok(wire.Twalk(1, 0, fid, ("drawer", "a")))
    raw.ok(wire.Tremove(1, 1))
    assert "does not exist" in raw.error(wire.Tremove(1, 2))


def test_a_file_that_is_made_for_a_client_that_has_gone_is_closed(path: str, drawer: Drawer) -> None:
    if not drawer.slow:
        pytest.skip("it is made at once")
    drawer.gate.clear()
    gone = Raw(path).start()
    gone.ok(wire.Twalk(1, 0, 1, ("drawer",)))
    gone.send(wire.Tcreate(1, 1, "a", 0o666, wire.OWRITE))
    assert drawer.began.wait(10)
    gone.close()
    drawer.gate.set()
    assert drawer.over.wait(10)
    assert (list(drawer.files), drawer.ended) == (["a"], ["hangup"])


def test_the_dialect_of_linux_makes_files_too(path: str, drawer: Drawer) -> None:
    raw = Raw(path)
    raw.sock.sendall(frame(100, 0xFFFF, struct.pack("<I", 8192) + text(b"9P2000.u")))
    assert raw.receive().version == "9P2000.u"
    raw.sock.sendall(frame(104, 1, struct.pack("<II", 0, wire.NOFID) + text(b"") * 2 + struct.pack("<I", 0)))
    raw.receive()
    raw.ok(wire.Twalk(1, 0, 1, ("drawer",)))
    raw.sock.sendall(frame(114, 1, struct.pack("<I", 1) + text(b"a") + struct.pack("<IB", 0o644, 1) + text(b"")))
    assert isinstance(raw.receive(), wire.Rcreate)
    assert list(drawer.files) == ["a"]
    raw.close()


def frame(kind: int, tag: int, body: bytes) -> bytes:
    return struct.pack("<IBH", 7 + len(body), kind, tag) + body


def text(value: bytes) -> bytes:
    return struct.pack("<H", len(value)) + value
