"""The server as a whole: sockets, threads, traces, and what becomes of errors."""

import os
import socket
import stat
import threading

import pytest

from anvilsrv.errors import Conflict, NotFound, Unavailable
from anvilsrv.p9 import text, wire
from anvilsrv.p9.client import Client, P9Error
from anvilsrv.p9.server import Server
from anvilsrv.p9.tree import Dir, File, Handle, SnapshotHandle, StaticDir, TextFile, stable_path
from tests.p9.sample import Sample


def test_the_socket_is_the_owners_alone(served):
    assert stat.S_IMODE(os.stat(served.path).st_mode) == 0o600


def test_each_socket_has_its_tree_and_its_who(served, place):
    served.server.listen(f"{place}/second", served.sample.root, {"session": 7})
    served.server.listen(f"{place}/third", StaticDir("/", [TextFile("only", lambda who: repr(who).encode())]), "x")
    for name, path, content in [
        ("agent", "who", b"me"),
        ("second", "who", b"{'session': 7}"),
        ("third", "only", b"'x'"),
    ]:
        with Client(f"{place}/{name}", timeout=10) as client:
            assert client.read(path) == content


def test_a_path_longer_than_an_address_works(served, place):
    deep = place / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    served.server.listen(f"{deep}/agent", served.sample.root, "deep")
    with Client(f"{deep}/agent", timeout=10) as client:
        assert client.read("who") == b"deep"
    served.server.unlisten(f"{deep}/agent")
    assert not (deep / "agent").exists()


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(served, place):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{place}/dead")
    served.server.listen(f"{place}/dead", served.sample.root, "again")
    with Client(f"{place}/dead", timeout=10) as client:
        assert client.read("who") == b"again"
    with pytest.raises(Conflict, match=f"another process listens at '{place}/agent'"):
        served.server.listen(served.path, served.sample.root, "me")
    (place / "file").write_text("precious")
    with pytest.raises(Conflict, match="is not a socket"):
        served.server.listen(f"{place}/file", served.sample.root, "me")
    assert (place / "file").read_text() == "precious"
    with pytest.raises(Unavailable, match=f"cannot listen at '{place}/no/where': No such file"):
        served.server.listen(f"{place}/no/where", served.sample.root, "me")


def test_unlisten_takes_the_socket_away_and_hangs_up(served, place):
    served.server.listen(f"{place}/second", served.sample.root, "me")
    with Client(f"{place}/second", timeout=10) as second, Client(served.path, timeout=10) as first:
        second.open("stream")
        served.server.unlisten(f"{place}/second")
        assert not (place / "second").exists()
        served.sample.record.wait("hangup 0")
        with pytest.raises(Unavailable):
            second.read("hello")
        assert first.read("hello") == b"hello world\n"
    served.server.listen(f"{place}/second", served.sample.root, "me")


class Leave(File):
    """A write takes the socket away that it came through."""

    mode = 0o200
    server: Server

    def open(self, who, mode, req):
        return LeaveHandle(self.server)


class LeaveHandle(Handle):
    def __init__(self, server):
        self.server = server

    def write(self, offset, data, req):
        self.server.unlisten(data.decode())
        return len(data)


def test_who_takes_its_own_socket_away_still_gets_the_answer(served, place, dial):
    served.sample.nodes["leave"] = leave = Leave("leave")
    leave.server = served.server
    path = f"{place}/second"
    served.server.listen(path, served.sample.root, "me")
    raw = dial(path).start().open(1, "leave", wire.OWRITE)
    raw.ok(wire.Twrite(1, 1, 0, path.encode()))
    assert raw.receive() is None


def test_unlisten_leaves_a_socket_that_somebody_else_has_put_there(served, place):
    served.server.listen(f"{place}/second", served.sample.root, "me")
    with socket.socket(socket.AF_UNIX) as other:
        os.rename(f"{place}/second", f"{place}/moved")
        other.bind(f"{place}/second")
        served.server.unlisten(f"{place}/second")
    assert (place / "second").exists()


def test_stop_ends_all_threads_and_sockets_whatever_goes_on(place):
    before, threads = set(os.listdir("/proc/self/fd")), threading.active_count()
    sample = Sample()
    server = Server()
    server.start()
    server.listen(f"{place}/s", sample.root, "me")
    client = Client(f"{place}/s", timeout=10)
    reader = threading.Thread(target=lambda: list(client.open("stream", wire.ORDWR).lines()))
    waiting = threading.excepthook
    threading.excepthook = lambda args: None  # the reader's ConnectionLost
    try:
        reader.start()
        sample.record.wait("parked")
        kept = list(sample.stream.waiting)
        server.stop()
        reader.join(10)
    finally:
        threading.excepthook = waiting
    client.close()
    assert sample.record.seen == ["parked"]  # neither clunk nor hangup: as if the process had ended
    assert [req.done(b"late") for req in kept] in ([True], [False])  # and nothing comes of it
    assert threading.active_count() == threads
    assert set(os.listdir("/proc/self/fd")) == before
    assert not (place / "s").exists()


def test_a_server_that_was_never_started_stops(place):
    server = Server()
    server.listen(f"{place}/s", Sample().root)
    server.stop()
    assert not (place / "s").exists()


def test_every_message_is_traced_in_a_form_that_parses(serve):
    lines: list[str] = []
    served = serve("traced", trace=lines.append)
    with Client(served.path, timeout=10) as client:
        client.ls("dir")
        client.write("ctl", b"\x00\xff\n")
    assert len(lines) >= 20
    for line in lines:
        way, number, message = line.split(" ", 2)
        kind = type(text.parse(message)).__name__[0]
        assert (way, kind) in (("<-", "T"), ("->", "R")) and number.isdigit()


def test_an_unexpected_exception_is_reported_and_told_as_an_internal_error(served, client):
    with pytest.raises(P9Error, match=r"^internal error$"):
        client.read("boom")
    assert [repr(error) for error in served.errors] == ["ZeroDivisionError('boom')"]
    served.errors.clear()
    assert client.read("hello") == b"hello world\n"


class Odd(File):
    """What a handle must not return."""

    mode = 0o600
    value: object = None

    def open(self, who, mode, req):
        return self if isinstance(self.value, Odd) else OddHandle(b"")


class OddHandle(SnapshotHandle):
    def read(self, offset, count, req):
        return "text"

    def write(self, offset, data, req):
        return None


def test_values_that_cannot_be_sent_are_internal_errors(served, client):
    served.sample.nodes["odd"] = odd = Odd("odd")
    served.sample.nodes["slow"] = slow = Odd("slow")
    slow.slow = True
    for name in ("odd", "slow"):
        with client.open(name, wire.ORDWR) as file:
            for do in (file.read, lambda: file.write(b"x")):
                with pytest.raises(P9Error, match=r"^internal error$"):
                    do()
    odd.value = odd
    with pytest.raises(P9Error, match=r"^internal error$"):
        client.open("odd")
    assert len(served.errors) == 5
    served.errors.clear()


def test_a_name_that_cannot_be_sent_is_an_internal_error(served, client):
    served.sample.nodes["void"].nodes["bad"] = TextFile("a\0b", lambda who: b"")
    for do in (client.stat, client.read):
        with pytest.raises(P9Error, match=r"^internal error$"):
            do("void/bad" if do == client.stat else "void")
    assert [str(error) for error in served.errors] == ["string holds a NUL"] * 2
    served.errors.clear()


class Verbose(Dir):
    def lookup(self, who, name):
        raise NotFound(f"no such session '{name}': " + "é" * 100_000 + "\0")


def test_a_long_error_is_cut_to_fit_and_stays_text(served, place, dial):
    served.server.listen(f"{place}/verbose", Verbose("/"), "me")
    for msize in (256, 8192):
        raw = dial(f"{place}/verbose").start(msize=msize)
        words = raw.error(wire.Twalk(1, 0, 1, ("x",)))
        assert words.startswith("no such session 'x': é") and len(wire.encode(wire.Rerror(1, words))) <= min(
            msize, 1033
        )


def test_a_listing_longer_than_a_message_comes_in_whole_entries(served, dial):
    raw = dial().start(msize=300).open(1, "many")
    names, offset = [], 0
    while data := raw.ok(wire.Tread(1, 1, offset, 8192)).data:
        names += [entry.name for entry in wire.unpack_stats(data)]
        offset += len(data)
    assert names == [f"file-{n:04}" for n in range(500)]


def test_a_listing_is_one_snapshot_until_it_is_rewound(served, raw):
    raw.open(1, "void")
    files = served.sample.nodes["void"].nodes
    files["new"] = TextFile("new", lambda who: b"")
    assert len(wire.unpack_stats(raw.ok(wire.Tread(1, 1, 0, 8168)).data)) == 1
    first = raw.ok(wire.Tread(1, 1, 0, 8168)).data
    files["newer"] = TextFile("newer", lambda who: b"")
    assert raw.ok(wire.Tread(1, 1, len(first), 8168)).data == b""
    assert len(wire.unpack_stats(raw.ok(wire.Tread(1, 1, 0, 8168)).data)) == 2


def test_a_text_file_is_one_snapshot_per_open_with_true_length_and_version(served, client):
    content = [b"old"]
    served.sample.nodes["text"] = TextFile("text", lambda who: content[0])
    old = client.stat("text")
    with client.open("text") as file:
        content[0] = b"newer"
        assert file.read(2) + file.read() == b"old"
    new = client.stat("text")
    assert (old.length, new.length) == (3, 5) and old.qid.vers != new.qid.vers and old.qid.path == new.qid.path
    assert client.read("text") == b"newer"


class Private(TextFile):
    def permissions(self, who):
        return 0o600 if who == "owner" else 0


def test_permissions_may_depend_on_who_asks(served, place):
    root = StaticDir("/", [Private("diary", lambda who: b"dear")])
    served.server.listen(f"{place}/owner", root, "owner")
    served.server.listen(f"{place}/other", root, "other")
    with Client(f"{place}/owner", timeout=10) as owner, Client(f"{place}/other", timeout=10) as other:
        assert owner.read("diary") == b"dear" and owner.stat("diary").mode == 0o600
        assert other.stat("diary").mode == 0
        with pytest.raises(P9Error, match="permission denied: 'diary'"):
            other.read("diary")


def test_stable_paths_are_the_same_for_the_same_place_and_differ_elsewhere():
    assert stable_path("a", "in") == stable_path("a", "in") != stable_path("a", "out")
    assert 0 <= stable_path("x") < 2**63
