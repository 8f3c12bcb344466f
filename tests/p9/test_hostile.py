"""Broken and hostile clients: each costs a bounded amount, and only its own connection."""

import os
import random
import resource
import select
import socket
import struct
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client
from anvilsrv.p9.connection import MAXCALLS
from anvilsrv.p9.fids import MAXFIDS
from anvilsrv.p9.stream import HIGH
from tests.conftest import wait_until
from tests.p9.conftest import Raw, Served
from tests.p9.test_wire import messages


@pytest.fixture(autouse=True)
def others_are_served(served):
    """Whatever the test does, afterwards an ordinary client is served as ever."""
    yield
    with Client(served.path, timeout=10) as client:
        assert client.read("hello") == b"hello world\n"


def gone(raw: Raw) -> bool:
    """Return whether the server closed this connection."""
    while (msg := raw.receive()) is not None:
        assert isinstance(msg, tuple)
    return True


@pytest.mark.parametrize("size", [0, 1, 6, 8193, 2**31, 2**32 - 1])
def test_a_frame_with_an_impossible_size_ends_the_connection_at_once(raw, size):
    raw.sock.sendall(struct.pack("<I", size))
    assert gone(raw)


def test_before_a_version_is_agreed_on_frames_are_small(dial):
    raw = dial()
    raw.sock.sendall(struct.pack("<I", 100_000))
    assert gone(raw)


def test_a_size_field_allocates_nothing(served, dial):
    """A hundred clients that announce 128 KiB and send no more."""
    with open("/proc/self/statm") as file:
        before = int(file.read().split()[1])
    clients = [dial().start(msize=131072) for _ in range(100)]
    for raw in clients:
        raw.sock.sendall(struct.pack("<I", 131072) + b"\x76")
    with Client(served.path, timeout=10) as client:
        client.read("hello")
    with open("/proc/self/statm") as file:
        grown = (int(file.read().split()[1]) - before) * resource.getpagesize()
    assert grown < 8_000_000, grown


def test_bytes_that_come_one_by_one_are_put_together(raw):
    for byte in wire.encode(wire.Twalk(1, 0, 1, ("hello",))) + wire.encode(wire.Topen(2, 1, 0)):
        raw.sock.sendall(bytes([byte]))
    assert raw.receive().tag == 1 and raw.receive().tag == 2


def test_a_large_message_in_pieces_of_any_size_is_put_together(served, dial):
    raw = dial().start(msize=131072).open(1, "ctl", wire.ORDWR)
    data = random.Random(1).randbytes(60_000).lower()
    frames = b"".join(wire.encode(wire.Twrite(tag, 1, 0, data)) for tag in range(5))
    pieces, pos = random.Random(2), 0
    while pos < len(frames):
        step = pieces.choice([1, 2, 3, 7, 1000, 40_000])
        raw.sock.sendall(frames[pos : pos + step])
        pos += step
    assert [raw.receive() for _ in range(5)] == [wire.Rwrite(tag, len(data)) for tag in range(5)]
    assert raw.ok(wire.Tread(9, 1, 0, 100_000)).data == data.upper()


def test_a_client_that_hangs_up_in_the_middle_of_a_message_is_forgotten_and_so_is_the_message(served, dial):
    raw = dial().start().open(1, "stream", wire.ORDWR)
    half = wire.encode(wire.Twrite(5, 1, 0, b"draft"))[:-3]
    raw.sock.sendall(wire.encode(wire.Tstat(4, 0)) + half)
    assert raw.receive().tag == 4  # so the half that was sent with it has come
    assert [conn.fids for conn in served.server.usage()] == [2]
    raw.close()
    served.sample.record.wait("hangup 0")
    assert served.sample.record.seen == ["hangup 0"]  # nothing was written
    assert served.server.usage() == []


def test_a_client_that_stops_sending_still_gets_its_answers(served, raw):
    """Half open: it has shut its sending side."""
    raw.send(wire.Twalk(1, 0, 1, ("hello",)), wire.Topen(2, 1, 0), wire.Tread(3, 1, 0, 100))
    raw.sock.shutdown(socket.SHUT_WR)
    assert [raw.receive().tag for _ in range(3)] == [1, 2, 3]
    assert gone(raw)


def test_a_message_that_is_wrong_inside_is_an_rerror_and_no_more(raw):
    raw.sock.sendall(bytes.fromhex("0b000000 78 0500 020000") + b"\0")  # Tclunk of fid 2, tag 5
    assert raw.receive() == wire.Rerror(5, "unknown fid 2")
    raw.sock.sendall(bytes.fromhex("0d000000 6e 0600 00000000 0000"))
    assert raw.receive() == wire.Rerror(6, "protocol error: Twalk of the wrong size")
    raw.sock.sendall(bytes.fromhex("11000000 6e 0600 00000000 02000000 1100"))
    assert raw.receive() == wire.Rerror(6, "protocol error: walk of 17 names, 16 at most")
    raw.sock.sendall(bytes.fromhex("07000000 6a 0700"))
    assert raw.receive() == wire.Rerror(7, "protocol error: unknown message type 106")
    raw.open(1, "hello")


def test_a_client_has_a_bounded_number_of_fids(raw):
    raw.send(*(wire.Twalk(1, 0, fid, ()) for fid in range(1, MAXFIDS + 10)))
    answers = [raw.receive() for _ in range(1, MAXFIDS + 10)]
    assert all(type(answer) is wire.Rwalk for answer in answers[: MAXFIDS - 1])
    assert {answer.ename for answer in answers[MAXFIDS - 1 :]} == {f"busy: too many fids: at most {MAXFIDS}"}
    raw.ok(wire.Tclunk(1, 7))
    raw.ok(wire.Twalk(1, 0, 7, ("hello",)))


def test_a_client_has_a_bounded_number_of_waiting_requests(served, raw):
    raw.open(1, "stream")
    raw.send(*(wire.Tread(tag, 1, 0, 100) for tag in range(MAXCALLS + 1)))
    assert raw.receive() == wire.Rerror(MAXCALLS, f"busy: too many outstanding requests: at most {MAXCALLS}")
    assert raw.call(wire.Tflush(60000, 5)) == wire.Rflush(60000)
    served.sample.stream.publish(b"x")
    assert len({raw.receive().tag for _ in range(MAXCALLS - 1)}) == MAXCALLS - 1


def heaviest(served: Served) -> int:
    """Return the most that the server keeps for one connection, in bytes."""
    return max(conn.load for conn in served.server.usage())


def flood(raw: Raw, request: bytes, patience: float = 0.5) -> int:
    """Send without ever reading until nothing more is taken for a while; how many bytes went."""
    raw.sock.setblocking(False)
    sent, chunk = 0, request * max(1, 60_000 // len(request))
    while select.select([], [raw.sock], [], patience)[1]:
        at = sent % len(request)  # go on where the last send ended within a request
        sent += raw.sock.send(chunk[at:])
    raw.sock.setblocking(True)
    raw.sock.settimeout(10)
    return sent


def test_a_client_that_never_reads_is_not_read_either_and_loses_nothing(served, dial):
    raw = dial().start(msize=131072).open(1, "big")
    request = wire.encode(wire.Tread(7, 1, 0, 100_000))
    requests, last = divmod(flood(raw, request), len(request))
    assert requests * 100_000 > 2 * HIGH  # far more was asked for than is kept
    assert HIGH < heaviest(served) < HIGH + 200_000
    with Client(served.path, timeout=10) as client:
        assert client.read("hello") == b"hello world\n"
    for _ in range(requests):
        assert raw.receive() == wire.Rread(7, served.sample.big[:100_000])
    raw.sock.sendall(request[last:] if last else request)
    assert type(raw.receive()) is wire.Rread
    wait_until(lambda: heaviest(served) == 0, "something is kept of what was answered")


def test_a_client_that_never_reads_and_hangs_up_is_forgotten(served, dial):
    raw = dial().start(msize=131072).open(1, "big")
    flood(raw, wire.encode(wire.Tread(7, 1, 0, 100_000)), patience=0.2)
    raw.close()
    with Client(served.path, timeout=10) as client:
        client.read("hello")
        wait_until(lambda: len(served.server.usage()) == 1, "the connection is still there")


def test_writes_to_a_file_that_does_not_keep_up_are_held_back_not_kept(served, dial):
    raw = dial().start(msize=131072).open(1, "slowgate", wire.OWRITE)
    data = b"x" * 50_000
    frames = [wire.encode(wire.Twrite(tag, 1, 0, data)) for tag in range(200)]
    writer = threading.Thread(target=raw.sock.sendall, args=(b"".join(frames),))
    writer.start()
    served.sample.record.wait("begin " + "x" * 50_000)
    for _ in range(20):
        with Client(served.path, timeout=10) as client:
            client.read("hello")
    assert HIGH < heaviest(served) < HIGH + 100_000 + 50 * 256
    for _ in range(200):
        served.sample.slow_gate.let()
    assert [raw.receive().tag for _ in range(200)] == list(range(200))
    writer.join()
    wait_until(lambda: heaviest(served) == 0, "something is kept of what was answered")


def test_more_connections_than_allowed_are_closed_at_once(served, place, dial):
    served.server.listen(str(place / "few"), served.sample.root, "me", limit=2)
    first, second, third = (dial(str(place / "few")) for _ in range(3))
    first.start()
    second.start()
    assert "busy: 2 connections are open" in third.receive().ename and gone(third)
    first.close()
    for _ in range(100):
        again = dial(str(place / "few"))
        again.send(wire.Tversion(wire.NOTAG, 8192, wire.VERSION))
        if again.receive() is not None:
            break
    else:
        pytest.fail("no room for another")


def test_without_descriptors_the_server_waits_for_some(served, dial):
    """Out of file descriptors nobody new is served, those who are go on, and later all is well."""
    raw = dial().start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(5)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 2, hard))
    try:
        for sock in waiting:
            sock.connect(served.path)
        for _ in range(20):
            raw.ok(wire.Tstat(1, 0))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for sock in waiting:
        sock.settimeout(10)
        sock.sendall(wire.encode(wire.Tversion(wire.NOTAG, 8192, wire.VERSION)))
        assert sock.recv(100)
        sock.close()


@given(st.lists(messages, max_size=30), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_messages_in_any_order_are_answered(served, msgs, seed):
    """Every T-message but a blocked one gets exactly one answer with its tag; nothing else comes."""
    raw = Raw(served.path)
    try:
        raw.start(msize=65536)
        names = [*served.sample.nodes, "inner", "..", "nope"]
        pick = random.Random(seed)
        for msg in msgs:
            if "fid" in msg._fields and pick.random() < 0.9:  # mostly fids that exist
                msg = msg._replace(fid=pick.randrange(4))
            if type(msg) is wire.Twalk:
                msg = msg._replace(newfid=pick.randrange(4), names=tuple(pick.sample(names, pick.randrange(3))))
            if type(msg) is wire.Topen:
                msg = msg._replace(mode=pick.randrange(4))
            raw.send(msg)
            if type(msg) is wire.Tread or type(msg) is wire.Twrite:
                raw.send(wire.Tflush(msg.tag ^ 1, msg.tag))
                answers = [raw.receive()]
                if answers[0].tag == msg.tag:
                    answers.append(raw.receive())
                assert answers[-1] == wire.Rflush(msg.tag ^ 1)
            else:
                assert raw.receive().tag == msg.tag
            if type(msg) is wire.Tversion:
                raw.start(msize=65536)
    finally:
        raw.close()
        served.errors[:] = [
            error for error in served.errors if not isinstance(error, ZeroDivisionError | AssertionError)
        ]
        served.sample.slow_gate.let()


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_costs_its_sender_the_connection_at_most(served, garbage):
    raw = Raw(served.path)
    try:
        raw.start()
        try:
            raw.sock.sendall(garbage)
            raw.sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert gone(raw)
    finally:
        raw.close()
