"""The loop by itself: commands, deadlines, descriptors and real processes."""

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.linux.reactor import Reactor

PATIENCE = 20.0  # s; the bound of every wait


class Loop:
    """A Reactor whose calls (``said``) and errors can be waited for."""

    def __init__(self) -> None:
        self.calls: queue.Queue[object] = queue.Queue()
        self.errors: queue.Queue[BaseException] = queue.Queue()
        self.reactor = Reactor("test loop", self.errors.put)

    def say(self, what: object) -> None:
        self.calls.put(what)

    def said(self) -> object:
        return self.calls.get(timeout=PATIENCE)

    def settle(self) -> list[object]:
        """Return what was said until the loop has run everything that is due, and looked at its descriptors."""
        for _ in range(2):  # the first may be in a round that has looked already
            done = threading.Event()
            self.reactor.do(done.set)
            assert done.wait(PATIENCE)
        return [self.calls.get() for _ in range(self.calls.qsize())]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    made.reactor.start()
    yield made
    made.reactor.close()
    assert made.errors.empty()


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "1000"]) as made:
        yield made
        made.kill()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_commands_run_in_their_order_on_the_loops_own_thread(loop: Loop) -> None:
    names: set[str] = set()
    for number in range(100):
        loop.reactor.do(lambda number=number: loop.say(number))  # type: ignore[misc]
    loop.reactor.do(lambda: names.add(threading.current_thread().name))
    assert loop.settle() == list(range(100))
    assert names == {"test loop"}


def test_what_is_given_before_the_start_runs_at_the_start() -> None:
    loop = Loop()
    loop.reactor.do(lambda: loop.say("command"))
    loop.reactor.at(0, lambda: loop.say("deadline"))
    loop.reactor.start()
    assert [loop.said(), loop.said()] == ["command", "deadline"]
    loop.reactor.close()


def test_deadlines_run_in_the_order_in_which_they_are_due(loop: Loop) -> None:
    began = time.monotonic()
    for name, delay in (("third", 0.1), ("first", 0.0), ("second", 0.05), ("fourth", 0.1)):
        loop.reactor.at(delay, lambda name=name: loop.say(name))  # type: ignore[misc]
    assert [loop.said() for _ in range(4)] == ["first", "second", "third", "fourth"]
    assert time.monotonic() - began >= 0.1


def test_a_nearer_deadline_wakes_a_loop_that_waits_for_a_far_one(loop: Loop) -> None:
    far = loop.reactor.at(1e9, lambda: loop.say("far"))  # longer than one epoll_wait can take
    loop.settle()
    loop.reactor.at(0.01, lambda: loop.say("near"))
    assert loop.said() == "near"
    far.cancel()


def test_a_cancelled_deadline_does_not_run_even_when_it_was_due_together_with_what_cancelled_it(loop: Loop) -> None:
    def both() -> None:
        first = loop.reactor.at(0, lambda: second.cancel())
        second = loop.reactor.at(0, lambda: loop.say("second"))
        third = loop.reactor.at(0, lambda: loop.say("third"))
        assert first < second < third

    loop.reactor.do(both)
    assert loop.said() == "third"


def test_an_error_is_told_and_the_loop_goes_on(loop: Loop) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    read, write = os.pipe()
    os.write(write, b"x")
    try:
        loop.reactor.do(fails)
        loop.reactor.at(0, fails)
        loop.reactor.watch(read, lambda: (os.read(read, 1), fails()))
        for _ in range(3):
            assert isinstance(loop.errors.get(timeout=PATIENCE), ZeroDivisionError)
        loop.reactor.do(lambda: loop.say("still here"))
        assert loop.said() == "still here"
        loop.reactor.unwatch(read)
    finally:
        os.close(read)
        os.close(write)


def test_an_error_in_the_error_handler_does_not_end_the_loop(capfd: pytest.CaptureFixture[str]) -> None:
    def handler(error: BaseException) -> None:
        raise OSError("disk full") from error

    reactor, done = Reactor("test loop", handler), threading.Event()
    reactor.start()
    reactor.do(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    reactor.do(done.set)
    assert done.wait(PATIENCE)
    reactor.close()
    assert "disk full" in capfd.readouterr().err


def test_a_descriptor_is_told_while_it_is_readable_and_not_after_it_was_unwatched(loop: Loop) -> None:
    read, write = os.pipe2(os.O_NONBLOCK)
    try:
        loop.reactor.watch(read, lambda: loop.say(os.read(read, 1)))
        os.write(write, b"ab")
        assert [loop.said(), loop.said()] == [b"a", b"b"]
        loop.reactor.unwatch(read)
        os.write(write, b"c")
        assert loop.settle() == []
        loop.reactor.watch(read, lambda: loop.say(os.read(read, 1)))
        assert loop.said() == b"c"
        loop.reactor.unwatch(read)
        loop.reactor.unwatch(read)
    finally:
        os.close(read)
        os.close(write)


def test_a_callback_that_unwatches_another_descriptor_silences_it_in_the_same_round(loop: Loop) -> None:
    pipes = [os.pipe(), os.pipe()]

    def only(one: int, other: int) -> None:
        loop.reactor.unwatch(one)
        loop.reactor.unwatch(other)
        loop.say("one")

    def both() -> None:
        (first, _), (second, _) = pipes
        loop.reactor.watch(first, lambda: only(first, second))
        loop.reactor.watch(second, lambda: only(second, first))

    for _, write in pipes:
        os.write(write, b"x")
    try:
        loop.reactor.do(both)
        assert loop.said() == "one"
        assert loop.settle() == []
    finally:
        for fd in (*pipes[0], *pipes[1]):
            os.close(fd)


def test_a_death_is_told_once(loop: Loop, sleeper: "subprocess.Popen[bytes]") -> None:
    process = loop.reactor.process(sleeper.pid, lambda: loop.say("gone"))
    assert loop.settle() == []
    assert process.signal(signal.SIGTERM)
    assert loop.said() == "gone"  # also while nobody has waited for it
    assert loop.settle() == []
    assert not process.signal(signal.SIGKILL)
    assert sleeper.wait(PATIENCE) == -signal.SIGTERM


def test_a_process_that_is_gone_already_is_told_soon_and_on_the_loops_thread(loop: Loop) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait(PATIENCE)
    process = loop.reactor.process(ended.pid, lambda: loop.say(threading.current_thread().name))
    assert loop.said() == "test loop"
    assert not process.signal(signal.SIGKILL)


def test_a_forgotten_process_is_neither_told_nor_signalled(loop: Loop, sleeper: "subprocess.Popen[bytes]") -> None:
    before = descriptors()
    process = loop.reactor.process(sleeper.pid, lambda: loop.say("gone"))
    process.forget()
    loop.settle()
    assert not process.signal(signal.SIGKILL)
    assert descriptors() == before
    sleeper.kill()
    sleeper.wait(PATIENCE)
    assert loop.settle() == []


def test_a_process_that_ends_while_it_is_being_forgotten_is_not_told(loop: Loop) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait(PATIENCE)

    def both() -> None:
        loop.reactor.process(ended.pid, lambda: loop.say("gone")).forget()

    loop.reactor.do(both)
    assert loop.settle() == []


def test_close_lets_the_running_command_end_starts_no_other_and_leaves_nothing(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    before = descriptors()
    loop, entered, go = Loop(), threading.Event(), threading.Event()

    def first() -> None:
        entered.set()
        go.wait(PATIENCE)
        loop.say("first")

    loop.reactor.start()
    process = loop.reactor.process(sleeper.pid, lambda: loop.say("gone"))
    loop.reactor.do(first)
    loop.reactor.do(lambda: loop.say("second"))
    assert entered.wait(PATIENCE)
    threads = [threading.Thread(target=loop.reactor.close) for _ in range(2)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    loop.reactor.close()
    assert loop.calls.get_nowait() == "first"
    loop.reactor.do(lambda: loop.say("late"))
    loop.reactor.at(0, lambda: loop.say("late"))
    late = loop.reactor.process(sleeper.pid, lambda: loop.say("late"))
    late.forget()
    assert not process.signal(signal.SIGKILL)
    assert not late.signal(signal.SIGKILL)
    assert loop.calls.empty()
    assert sleeper.poll() is None
    assert descriptors() == before
    assert "test loop" not in {thread.name for thread in threading.enumerate()}


def test_a_loop_that_was_never_started_can_be_closed() -> None:
    before = descriptors()
    Reactor("test loop", lambda error: None).close()
    assert descriptors() == before


def test_commands_from_many_threads_all_run_while_the_loop_closes() -> None:
    loop = Loop()
    loop.reactor.start()

    def give() -> None:
        for number in range(500):
            loop.reactor.do(lambda number=number: loop.say(number))  # type: ignore[misc]
            loop.reactor.at(0.0001, lambda: loop.say(0)).cancel()

    threads = [threading.Thread(target=give) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads[:2]:
        thread.join()
    done = threading.Event()
    loop.reactor.do(done.set)
    assert done.wait(PATIENCE)
    loop.reactor.close()
    for thread in threads[2:]:
        thread.join()
    assert loop.calls.qsize() >= 1000
    assert loop.errors.empty()


def test_an_idle_loop_uses_no_processor_time(loop: Loop) -> None:
    loop.reactor.at(1000, lambda: None)
    thread = next(one for one in threading.enumerate() if one.name == "test loop")
    loop.settle()

    def switches() -> int:
        text = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
        return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    before = switches()
    threading.Event().wait(0.2)
    assert switches() - before <= 1


def test_a_reactor_that_has_no_memory_ends_and_does_not_leave_something_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    died, errors = queue.SimpleQueue[str](), list[BaseException]()
    monkeypatch.setattr(threading, "excepthook", lambda args: died.put(args.thread.name))

    def greedy() -> None:
        raise MemoryError

    reactor = Reactor("greedy", errors.append)
    reactor.start()
    reactor.do(greedy)
    assert died.get(timeout=10) == "greedy"
    reactor.close()
    assert errors == []
