"""Requests that wait: parked reads, workers, Tflush, clunk and hang-up in the middle of them."""

import threading

import pytest

from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client
from anvilsrv.p9.wire import Rerror, Rflush, Rread, Rwrite, Tclunk, Tflush, Topen, Tread, Tremove, Twalk, Twrite

STREAMS = ["stream", "slowstream"]


@pytest.fixture(params=STREAMS)
def stream(request, served):
    """A stream of the sample tree, quick or slow."""
    return served.sample.nodes[request.param]


def test_a_blocked_read_is_answered_when_something_comes(served, raw, stream):
    raw.open(1, stream.name)
    raw.send(Tread(5, 1, 0, 100))
    served.sample.record.wait("parked")
    assert stream.publish(b"news") == [True]
    assert raw.receive() == Rread(5, b"news")


def test_requests_on_the_same_connection_pass_a_blocked_read(served, raw, stream):
    raw.open(1, stream.name)
    raw.send(Tread(5, 1, 0, 100))
    served.sample.record.wait("parked")
    raw.open(2, "hello")
    assert raw.ok(Tread(6, 2, 0, 100)).data == b"hello world\n"
    stream.publish(b"x")
    assert raw.receive() == Rread(5, b"x")


def test_several_blocked_reads_of_one_fid_are_all_answered(served, raw, stream):
    raw.open(1, stream.name)
    raw.send(*(Tread(tag, 1, 0, 100) for tag in range(10, 20)))
    served.sample.record.wait("parked", times=10)
    assert stream.publish(b"x") == [True] * 10
    assert sorted(raw.receive().tag for _ in range(10)) == list(range(10, 20))


def test_a_flush_ends_a_blocked_read_which_then_gets_nothing(served, raw, stream):
    raw.open(1, stream.name)
    raw.send(Tread(5, 1, 0, 100))
    served.sample.record.wait("parked")
    waiting = list(stream.waiting)
    assert raw.call(Tflush(6, 5)) == Rflush(6)
    assert "cancel" in served.sample.record.seen
    assert [req.done(b"late") for req in waiting] == [False]
    raw.send(Tread(5, 1, 0, 100))  # the tag is free again
    served.sample.record.wait("parked", times=2)
    stream.publish(b"next")
    assert raw.receive() == Rread(5, b"next")


def test_an_answer_that_is_on_its_way_comes_before_the_rflush(served, raw):
    """Whoever is first decides; never an Rflush and then the answer."""
    stream = served.sample.stream
    raw.open(1, "stream")
    for turn in range(200):
        raw.send(Tread(5, 1, 0, 100))
        served.sample.record.wait("parked", times=turn + 1)
        answer = threading.Thread(target=stream.publish, args=(b"x",))
        answer.start()
        raw.send(Tflush(6, 5))
        answers = [raw.receive()]
        if answers[0].tag == 5:
            answers.append(raw.receive())
        answer.join()
        assert answers in ([Rread(5, b"x"), Rflush(6)], [Rflush(6)]), answers
    assert raw.ok(Twalk(1, 0, 2, ("hello",)))


def test_flushes_of_a_flush_are_answered_in_order(served, raw):
    gate = served.sample.slow_gate
    raw.open(1, "slowgate", wire.OWRITE)
    raw.send(Twrite(5, 1, 0, b"w"))
    served.sample.record.wait("begin w")
    raw.send(Tflush(6, 5), Tflush(7, 6), Tflush(8, 5))
    raw.send(Tread(9, 0, 0, 1))
    assert type(raw.receive()) is Rerror  # the flushes wait for what runs
    gate.let()
    assert [raw.receive() for _ in range(4)] == [Rwrite(5, 1), Rflush(6), Rflush(7), Rflush(8)]


def test_a_flush_takes_a_write_that_has_not_begun_out_of_its_queue(served, raw):
    gate = served.sample.slow_gate
    raw.open(1, "slowgate", wire.OWRITE)
    raw.send(Twrite(5, 1, 0, b"a"), Twrite(6, 1, 1, b"b"), Twrite(7, 1, 2, b"c"))
    served.sample.record.wait("begin a")
    assert raw.call(Tflush(8, 6)) == Rflush(8)
    gate.let()
    gate.let()
    assert [raw.receive(), raw.receive()] == [Rwrite(5, 1), Rwrite(7, 1)]
    assert [entry for entry in served.sample.record.seen if "begin" in entry] == ["begin a", "begin c"]


def test_writes_and_the_clunk_of_a_slow_file_keep_their_order(served, raw):
    gate = served.sample.slow_gate
    raw.open(1, "slowgate", wire.OWRITE)
    raw.send(*(Twrite(10 + n, 1, n, str(n).encode()) for n in range(5)), Tclunk(20, 1))
    for _ in range(5):
        gate.let()
    assert [raw.receive().tag for _ in range(6)] == [10, 11, 12, 13, 14, 20]
    wanted = [f"{what} {n}" for n in range(5) for what in ("begin", "end")]
    assert served.sample.record.seen == [*wanted, "clunk"]


def test_a_parked_write_keeps_later_writes_and_the_clunk_waiting(served, raw):
    gate = served.sample.gate
    raw.open(1, "gate", wire.OWRITE)
    raw.send(Twrite(5, 1, 0, b"a"), Twrite(6, 1, 1, b"b"), Tclunk(7, 1))
    served.sample.record.wait("begin a")
    assert served.sample.record.seen == ["begin a"]
    assert gate.let(1)
    served.sample.record.wait("begin b")
    assert gate.let(1)
    assert [raw.receive() for _ in range(3)] == [Rwrite(5, 1), Rwrite(6, 1), wire.Rclunk(7)]
    assert served.sample.record.seen == ["begin a", "begin b", "clunk"]


def test_a_parked_write_may_fail(served, raw):
    raw.open(1, "gate", wire.OWRITE)
    raw.send(Twrite(5, 1, 0, b"a"))
    served.sample.record.wait("begin a")
    assert served.sample.gate.waiting.popleft().fail("disk full")
    assert raw.receive() == Rerror(5, "i/o error: disk full")


def test_a_clunk_ends_the_reads_that_wait_on_its_fid(served, raw, stream):
    raw.open(1, stream.name, wire.ORDWR)
    raw.send(Tread(5, 1, 0, 100), Twrite(6, 1, 0, b"four"))
    served.sample.record.wait("parked")
    assert raw.receive() == Rwrite(6, 4)
    raw.send(Tclunk(7, 1))
    assert [raw.receive(), raw.receive()] == [Rerror(5, "i/o error: fid was clunked"), wire.Rclunk(7)]
    assert served.sample.record.seen[-2:] == ["cancel", "clunk 4"]


def test_a_clunk_ends_a_read_that_was_still_running_and_then_parks(served, raw):
    stream = served.sample.slow_stream
    stream.hold = threading.Semaphore(0)
    raw.open(1, "slowstream")
    raw.send(Tread(5, 1, 0, 100))
    served.sample.record.wait("reading")
    raw.send(Tclunk(6, 1), wire.Tstat(7, 0))
    assert raw.receive().tag == 7
    stream.hold.release()
    assert [raw.receive(), raw.receive()] == [Rerror(5, "i/o error: fid was clunked"), wire.Rclunk(6)]
    assert served.sample.record.seen == ["reading", "parked", "cancel", "clunk 0"]


def test_a_flush_ends_a_read_that_was_still_running_and_then_parks(served, raw):
    stream = served.sample.slow_stream
    stream.hold = threading.Semaphore(0)
    raw.open(1, "slowstream")
    raw.send(Tread(5, 1, 0, 100))
    served.sample.record.wait("reading")
    raw.send(Tflush(6, 5), wire.Tstat(7, 0))
    assert raw.receive().tag == 7
    stream.hold.release()
    assert raw.receive() == Rflush(6)
    assert served.sample.record.seen == ["reading", "parked", "cancel"]


def test_a_fid_number_is_free_as_soon_as_its_clunk_was_sent(served, raw):
    """9fans/go clients use it again before they have the Rclunk."""
    gate = served.sample.slow_gate
    raw.open(1, "slowgate", wire.OWRITE)
    raw.send(Twrite(5, 1, 0, b"a"), Tclunk(6, 1), Twalk(7, 0, 1, ("hello",)), Topen(8, 1, 0), Tread(9, 1, 0, 5))
    assert [raw.receive().tag for _ in range(3)] == [7, 8, 9]
    gate.let()
    assert [raw.receive().tag for _ in range(2)] == [5, 6]


def test_remove_clunks_the_handle_too(served, raw):
    raw.open(1, "stream", wire.ORDWR)
    raw.ok(Twrite(2, 1, 0, b"ab"))
    assert "cannot remove" in raw.error(Tremove(3, 1))
    assert served.sample.record.seen[-1] == "clunk 2"


def test_a_hang_up_cancels_what_waits_and_lets_go_of_every_handle_once(served, raw, stream):
    raw.open(1, stream.name, wire.ORDWR)
    raw.open(2, stream.name)
    raw.send(Twrite(5, 1, 0, b"draft"), Tread(6, 2, 0, 100))
    served.sample.record.wait("parked")
    waiting = list(stream.waiting)
    raw.close()
    served.sample.record.wait("hangup 0")
    served.sample.record.wait("hangup 5")
    assert [req.done(b"late") for req in waiting] == [False]
    assert not [entry for entry in served.sample.record.seen if entry.startswith("clunk")]
    assert served.sample.record.seen.count("hangup 5") == 1


def test_what_was_sent_before_a_hang_up_is_still_done_in_order(served, raw):
    gate = served.sample.slow_gate
    raw.open(1, "slowgate", wire.OWRITE)
    raw.open(2, "slowgate", wire.OWRITE)
    raw.send(Twrite(5, 1, 0, b"a"), Twrite(6, 1, 1, b"b"), Tclunk(7, 1), Twrite(8, 2, 0, b"c"))
    raw.close()
    for _ in range(3):
        gate.let()
    served.sample.record.wait("clunk")
    served.sample.record.wait("hangup")
    seen = served.sample.record.seen
    assert seen.index("begin a") < seen.index("end a") < seen.index("begin b") < seen.index("end b")
    assert seen.index("end b") < seen.index("clunk") and seen.index("end c") < seen.index("hangup")


def test_a_new_version_ends_requests_silently_and_hangs_up_on_handles(served, raw, stream):
    raw.open(1, stream.name, wire.ORDWR)
    raw.send(Tread(5, 1, 0, 100))
    served.sample.record.wait("parked")
    assert raw.ok(wire.Tversion(wire.NOTAG, 8192, wire.VERSION))
    served.sample.record.wait("cancel")
    served.sample.record.wait("hangup 0")
    stream.publish(b"late")
    raw.ok(wire.Tattach(5, 0, wire.NOFID, "", ""))
    raw.open(1, "hello")  # nothing old comes in between


def test_a_running_write_of_the_old_session_is_not_answered_in_the_new_one(served, raw):
    gate = served.sample.slow_gate
    raw.open(1, "slowgate", wire.OWRITE)
    raw.send(Twrite(5, 1, 0, b"a"))
    served.sample.record.wait("begin a")
    raw.ok(wire.Tversion(wire.NOTAG, 8192, wire.VERSION))
    gate.let()
    served.sample.record.wait("hangup")
    raw.ok(wire.Tattach(5, 0, wire.NOFID, "", ""))
    raw.open(1, "hello")


def test_a_tag_in_use_is_refused_and_the_first_request_lives_on(served, raw, stream):
    raw.open(1, stream.name)
    raw.send(Tread(5, 1, 0, 100))
    served.sample.record.wait("parked")
    assert raw.error(wire.Tstat(5, 1)) == "busy: duplicate tag 5"
    stream.publish(b"x")
    assert raw.receive() == Rread(5, b"x")


def test_a_blocked_reader_costs_the_others_nothing(served, dial):
    readers = [dial().start().open(1, "stream") for _ in range(50)]
    for reader in readers:
        reader.send(Tread(5, 1, 0, 100))
    served.sample.record.wait("parked", times=50)
    with Client(served.path, timeout=10) as client:
        assert client.read("hello") == b"hello world\n"
    served.sample.stream.publish(b"all")
    assert all(reader.receive() == Rread(5, b"all") for reader in readers)


def test_sixty_four_clients_at_once_each_get_their_own_answers(served):
    failures = []

    def work(number):
        with Client(served.path, timeout=30) as client:
            for turn in range(10):
                if client.read("big") != served.sample.big:
                    failures.append((number, turn))
                text = f"client {number} turn {turn}".encode()
                if client.write_read("ctl", text) != text.upper():
                    failures.append((number, turn))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
