"""The client: whole files, streams, many threads on one connection, timeouts, and servers that misbehave."""

import contextlib
import socket
import threading
import time

import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Cancelled, Client, ConnectionLost, P9Error, TimedOut, dial
from tests.p9.conftest import Raw


def test_whole_files_are_read_and_written(served, client):
    assert client.read("hello") == b"hello world\n"
    assert client.read("/dir//inner/") == b"inside\n"
    assert client.read("empty") == b""
    assert client.read("big") == served.sample.big
    client.write("stream", b"x" * 200_000)
    assert served.sample.record.seen[-1] == "clunk 200000"
    client.write("stream", b"")
    assert served.sample.record.seen[-2:] == ["write 0", "clunk 0"]
    assert client.write_read("ctl", b"abc") == b"ABC"


def test_stat_ls_and_wstat_do_what_they_say(served, client):
    assert client.stat("hello").length == 12
    assert [stat.name for stat in client.ls("many")] == [f"file-{n:04}" for n in range(500)]
    assert [stat.name for stat in client.ls()] == list(served.sample.nodes)
    client.wstat("ctl", wire.UNTOUCHED._replace(length=0))
    assert served.sample.ctl.truncated == 1


def test_paths_of_any_depth_are_walked(client):
    assert client.read("/".join([*map(str, range(1, 21)), "bottom", "treasure"])) == b"gold\n"
    with pytest.raises(P9Error, match="20/nope'"):
        client.read("/".join([*map(str, range(1, 21)), "nope", "treasure"]))


def test_the_servers_words_are_the_error(client):
    for do, words in [
        (lambda: client.read("nope"), "file does not exist: 'nope'"),
        (lambda: client.read("dir/nope"), "file does not exist: 'dir/nope'"),
        (lambda: client.write("hello", b"x"), "permission denied: 'hello'"),
        (lambda: client.write("ctl", b"bad"), "invalid: bad command: 'bad'"),
        (lambda: client.write("ctl", b"late"), "invalid: too late"),
        (lambda: client.remove("hello"), "permission denied: cannot remove 'hello'"),
        (lambda: client.create("dir/new", 1), "permission denied: cannot create 'new'"),
    ]:
        with pytest.raises(P9Error) as caught:
            do()
        assert str(caught.value) == words


def test_the_words_of_an_error_begin_with_the_reason():
    error = P9Error("not permitted: prompt 1 is running")
    assert (str(error), error.ename) == ("prompt 1 is running", "not permitted: prompt 1 is running")
    assert str(P9Error("i/o error: the role cannot be read")) == "the role cannot be read"
    assert str(P9Error("busy: i/o error: 2")) == "busy: i/o error: 2"


def test_errors_leave_no_fids_behind(served, client):
    for _ in range(50):
        for path in ("nope", "dir/nope", "secret", "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/x"):
            with pytest.raises(P9Error):
                client.read(path)
        with pytest.raises(P9Error):
            client.remove("hello")
    assert [conn.fids for conn in served.server.usage()] == [1]


def test_a_file_keeps_its_offset(client):
    with client.open("hello") as file:
        assert (file.read(5), file.read(1), file.read(), file.read()) == (b"hello", b" ", b"world\n", b"")
        assert file.read(3, offset=2) == b"llo"
        file.offset = 6
        assert file.read_all() == b"world\n"


def test_lines_come_as_they_are_published_and_end_with_the_stream(served, client):
    got = []
    file = client.open("stream")
    reader = threading.Thread(target=lambda: got.extend(file.lines()))
    reader.start()
    for turn, data in enumerate([b"one\ntw", b"o\n\nthr", b"ee", b""], 1):
        served.sample.record.wait("parked", times=turn)
        served.sample.stream.publish(data)
    reader.join(10)
    assert got == [b"one\n", b"two\n", b"\n", b"three"]
    file.close()


@pytest.mark.parametrize("end", ["cancel", "close"])
@pytest.mark.parametrize("name", ["stream", "slowstream"])
def test_lines_end_when_another_thread_cancels_or_closes(served, client, end, name):
    got = []
    file = client.open(name)
    reader = threading.Thread(target=lambda: got.extend(file.lines()))
    reader.start()
    served.sample.record.wait("parked")
    getattr(file, end)()
    reader.join(10)
    assert not reader.is_alive()
    served.sample.record.wait("cancel")
    assert client.read("hello") == b"hello world\n"
    file.close()
    with pytest.raises(Cancelled):
        file.read()


def test_others_are_served_while_one_thread_waits(served, client):
    file = client.open("stream")
    reader = threading.Thread(target=lambda: list(file.lines()))
    reader.start()
    served.sample.record.wait("parked")
    for _ in range(20):
        assert client.read("hello") == b"hello world\n"
    file.cancel()
    reader.join(10)


def test_many_threads_share_one_connection(served, client):
    failures = []

    def work(number):
        for turn in range(30):
            text = f"thread {number} turn {turn}".encode()
            if client.write_read("ctl", text) != text.upper():
                failures.append(text)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [(conn.fids, conn.calls) for conn in served.server.usage()] == [(1, 0)]


def test_a_request_without_an_answer_times_out_and_is_flushed(served, client):
    file = client.open("stream")
    began = time.monotonic()
    with pytest.raises(TimedOut, match=r"0\.1 seconds"):
        file.read(timeout=0.1)
    assert time.monotonic() - began < 5
    served.sample.record.wait("cancel")
    assert client.read("hello") == b"hello world\n"
    reader = threading.Thread(
        target=lambda: served.sample.record.wait("parked", 2) or served.sample.stream.publish(b"x")
    )
    reader.start()
    assert file.read(timeout=10) == b"x"
    reader.join()
    file.close()


def test_when_the_server_goes_all_who_wait_hear_it(serve):
    served = serve("other")
    client = Client(served.path, timeout=10)
    errors = []

    def wait():
        try:
            with client.open("stream") as file:
                file.read(timeout=None)
        except Unavailable as error:
            errors.append(type(error))

    threads = [threading.Thread(target=wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    served.sample.record.wait("parked", times=5)
    served.server.unlisten(served.path)
    for thread in threads:
        thread.join(10)
    assert errors == [ConnectionLost] * 5
    with pytest.raises(ConnectionLost, match="the server hung up"):
        client.read("hello")
    client.close()


def test_closing_the_client_ends_those_who_wait(served, client):
    errors = []

    def wait():
        try:
            list(client.open("stream").lines())
        except ConnectionLost as error:
            errors.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    served.sample.record.wait("parked")
    client.close()
    thread.join(10)
    assert errors == ["connection is closed"]
    served.sample.record.wait("hangup 0")


def test_nobody_there_is_said_with_the_path(place):
    with pytest.raises(Unavailable, match=f"cannot connect to '{place}/nobody': no such file"):
        Client(place / "nobody")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place / "dead"))
    with pytest.raises(Unavailable, match="connection refused"):
        Client(place / "dead")


def test_the_service_in_the_namespace_is_dialled(served, place, monkeypatch):
    monkeypatch.setenv("NAMESPACE", str(place))
    with dial() as client:
        assert client.read("hello") == b"hello world\n"
    with dial("agent", timeout=5, aname="/") as client:
        assert client.read("who") == b"me"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "hung up"),
        (b"\x00\x00\x00\x00", "bad frame of 0 bytes"),
        (b"\xff\xff\xff\xff", "bad frame of 4294967295 bytes"),
        (wire.encode(wire.Rclunk(wire.NOTAG)), "answers Tversion by Rclunk"),
        (wire.encode(wire.Rversion(5, 8192, "9P2000")), "answer to no request"),
        (wire.encode(wire.Rversion(wire.NOTAG, 8192, "9P1999")), "server offers 9P1999"),
        (wire.encode(wire.Rversion(wire.NOTAG, 2**31, "9P2000")), "server offers 9P2000 with msize"),
        (wire.encode(wire.Rversion(wire.NOTAG, 8192, "9P2000"))[:-1] + b"\xff", "not UTF-8"),
        (wire.encode(wire.Rerror(wire.NOTAG, "go away")), "go away"),
    ],
)
def test_a_server_that_talks_nonsense_is_left(answer, error):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answer)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises((ConnectionLost, P9Error), match=error):
            Client(ours, timeout=5)
        assert ours.fileno() == -1


def test_a_server_that_never_answers_is_given_up():
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimedOut):
        Client(ours, timeout=0.1)


QID = wire.Qid(0, 0, 0)
ANSWERS = {
    wire.Tversion: lambda m: [wire.Rversion(m.tag, 8192, "9P2000")],
    wire.Tattach: lambda m: [wire.Rattach(m.tag, QID)],
    wire.Twalk: lambda m: [wire.Rwalk(m.tag, (QID,) * len(m.names))],
    wire.Topen: lambda m: [wire.Ropen(m.tag, QID, 0)],
    wire.Tclunk: lambda m: [wire.Rclunk(m.tag)],
}


@contextlib.contextmanager
def answering(**answers):
    """A client of a server that answers as ``ANSWERS`` and these say."""
    ours, theirs = socket.socketpair()
    raw = Raw.__new__(Raw)
    raw.sock, raw.buffer = theirs, b""
    table = ANSWERS | {getattr(wire, name): answer for name, answer in answers.items()}

    def serve():
        while (msg := raw.receive()) is not None:
            raw.send(*table[type(msg)](msg))

    thread = threading.Thread(target=serve)
    with theirs:
        thread.start()
        with Client(ours, timeout=5) as client:
            yield client
        thread.join(10)


def test_a_server_that_takes_no_bytes_is_an_error_not_a_loop():
    with answering(Twrite=lambda m: [wire.Rwrite(m.tag, 0)]) as client:
        with pytest.raises(P9Error, match="server took 0 of 3 bytes"):
            client.write("x", b"abc")


def test_an_answer_that_crosses_its_flush_is_dropped_and_its_tag_is_kept_until_the_rflush():
    seen = []

    def read(msg):
        seen.append(msg.tag)
        return [] if len(seen) == 1 else [wire.Rread(msg.tag, b"second")]

    def flush(msg):
        assert msg.tag != msg.oldtag == seen[0]
        return [wire.Rread(msg.oldtag, b"late"), wire.Rflush(msg.tag)]

    with answering(Tread=read, Tflush=flush) as client, client.open("x") as file:
        with pytest.raises(TimedOut):
            file.read(timeout=0.05)
        assert file.read() == b"second"
        assert file.read() == b"second"
    assert len(seen) == 3


def test_a_server_that_takes_less_gets_the_rest():
    got = []

    def write(msg):
        got.append((msg.offset, msg.data[:2]))
        return [wire.Rwrite(msg.tag, min(2, len(msg.data)))]

    with answering(Twrite=write) as client:
        client.write("x", b"abcde")
    assert got == [(0, b"ab"), (2, b"cd"), (4, b"e")]


def test_the_client_never_opens_a_fid_that_was_not_walked_to(serve):
    """plan9port's 9pserve, and so acme, dies of such a Topen."""
    lines: list[str] = []
    served = serve("traced", trace=lines.append)
    with Client(served.path, timeout=10) as client:
        for path in ("nope", "dir/nope", "hello/x"):
            with pytest.raises(P9Error):
                client.open(path)
    assert not [line for line in lines if "Topen" in line or "Tclunk" in line]


def test_traces_show_both_ways(served):
    lines: list[str] = []
    with Client(served.path, timeout=10, trace=lines.append) as client:
        client.read("hello")
    assert lines[0] == '-> Tversion tag 65535 msize 65536 version "9P2000"'
    assert '<- Rread tag 0 data "hello world\\n"' in lines
