"""Reads that wait: in order, each byte once, whatever is flushed, and at a cost that does not grow with their number."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.p9.tree import LATER, Later
from anvilsrv.store.store import BATCH, Outcome, Tx
from anvilsrv.tree.access import Who
from anvilsrv.tree.nodes import Place
from anvilsrv.tree.parked import Found, Parked, Stored
from tests.tree.world import PATIENCE, Request, World, flush


class Bytes(Parked):
    """Reads of what ``put`` brings."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.wants = 0

    def peek(self, offset: int, count: int) -> bytes | None:
        return self.data[:count] or None

    def advance(self, data: bytes) -> None:
        self.data = self.data[len(data) :]

    def want(self) -> None:
        self.wants += 1

    def put(self, data: bytes) -> bool:
        with self.lock:
            self.data += data
        return self.wake()


def reads(parked: Parked, *counts: int) -> list[Request]:
    """Begin that many reads, all of which wait."""
    made = [Request() for _ in counts]
    for req, count in zip(made, counts, strict=True):
        assert parked.read(0, count, req) is LATER
    return made


def test_a_read_that_finds_something_does_not_wait() -> None:
    parked = Bytes()
    parked.put(b"hello")
    assert parked.read(0, 3, Request()) == b"hel"
    assert parked.read(0, 3, Request()) == b"lo"
    assert not parked.wants


def test_reads_that_wait_are_answered_in_their_order_and_a_later_one_does_not_overtake() -> None:
    parked = Bytes()
    first, second = reads(parked, 3, 3)
    assert parked.put(b"abcd")
    assert (first.answer, second.answer) == (b"abc", b"d")
    (third,) = reads(parked, 1)
    with parked.lock:
        parked.data = b"xyz"  # not told yet
    (fourth,) = reads(parked, 9)
    assert parked.wake()
    assert (third.answer, fourth.answer) == (b"x", b"yz")


def test_a_read_that_is_flushed_while_it_is_answered_loses_nothing() -> None:
    parked = Bytes()
    first, second = reads(parked, 3, 3)
    assert first.claim()  # its Tflush is ahead of the answer, and its cancel comes after it
    parked.put(b"abcdef")
    parked.cancel(first)
    assert second.answer == b"abc" and not first.answers
    assert parked.read(0, 9, Request()) == b"def"


def test_a_flushed_read_leaves_the_queue_and_the_others_keep_their_places() -> None:
    parked = Bytes()
    first, second, third = reads(parked, 1, 1, 1)
    assert flush(parked, second)
    assert parked.put(b"ab")
    assert (first.answer, third.answer) == (b"a", b"b")
    assert not second.answers


def test_a_failure_refuses_what_waits_and_nothing_after_it() -> None:
    parked = Bytes()
    waiting = reads(parked, 1, 1)
    parked.fail(Unavailable("cannot save"))
    for req in waiting:
        with pytest.raises(AnvilError, match=r"^cannot save$"):
            _ = req.answer
    parked.put(b"a")
    assert parked.read(0, 1, Request()) == b"a"
    (last,) = reads(parked, 1)
    parked.fail(ZeroDivisionError("secret"))
    with pytest.raises(AnvilError, match=r"^internal error$"):
        _ = last.answer


def test_fifty_thousand_reads_are_flushed_and_answered_in_no_time() -> None:
    """With a list that is searched, or rebuilt for each, it takes minutes."""
    parked = Bytes()
    waiting = reads(parked, *[1] * 50_000)
    began = time.process_time()
    for req in reversed(waiting[::2]):
        assert flush(parked, req)
    for req in waiting[1:25_000:2]:
        assert flush(parked, req)
    for _ in range(12_500):
        parked.put(b"x")
    assert time.process_time() - began < 10
    assert all(req.answer == b"x" for req in waiting[25_001::2])


# -- what lies in the store ------------------------------------------------------------------------------------------------


class Rows(Stored):
    """Reads of the rows of a table, as bytes."""

    def __init__(self, world: World) -> None:
        super().__init__(Place(world, Who()), "rows")
        self.asked = 0
        self.data = b""
        self.error: AnvilError | None = None

    def peek(self, offset: int, count: int) -> bytes | None:
        return self.data[:count] or None

    def advance(self, data: bytes) -> None:
        self.data = self.data[len(data) :]

    def ask(self, tx: Tx, cursor: int) -> Found:
        self.asked += 1
        if self.error:
            raise self.error
        rows = tx.all("SELECT ts, id FROM reports WHERE ts > ? ORDER BY ts LIMIT 7", cursor)
        text = "".join(row["id"] for row in rows).encode()
        return Found(text or None, int(rows[-1]["ts"]) if rows else cursor)

    def keep(self, data: bytes) -> None:
        self.data += data


def add(world: World, number: int, text: str) -> None:
    world.store.call(lambda tx: insert(world, tx, number, text))


def insert(world: World, tx: Tx, number: int, text: str) -> None:
    tx.run("INSERT INTO reports(id, ts) VALUES(?, ?)", text, number)
    world.topics.notify(tx, "rows")


def test_the_store_is_asked_when_a_read_waits_and_again_when_the_topic_is_notified(world: World) -> None:
    rows = Rows(world)
    waiting = reads(rows, 9, 9, 9)
    world.store.call(lambda tx: None)
    assert rows.asked == 1  # one job for all of them
    add(world, 1, "a")
    assert waiting[0].answer == b"a"
    add(world, 2, "bb")
    assert waiting[1].answer == b"bb"
    add(world, 3, "ccc")
    assert waiting[2].answer == b"ccc"
    world.store.call(lambda tx: None)
    assert not rows.waiting
    asked = rows.asked
    add(world, 4, "dddd")
    world.store.call(lambda tx: None)
    assert rows.asked == asked  # nobody reads


@contextmanager
def held(world: World) -> Iterator[None]:
    """Keep the store busy meanwhile, so that what is posted comes into one batch, with what holds it up."""
    gate, began = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        began.set()
        assert gate.wait(PATIENCE)

    world.store.post(hold)
    assert began.wait(PATIENCE)
    try:
        yield
    finally:
        gate.set()


def full(tx: Tx) -> None:
    """The whole batch is lost."""
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


def ignore(result: object, error: BaseException | None) -> None:
    """An outcome that nobody waits for."""


def test_a_read_is_not_answered_with_what_may_not_come_to_disk(world: World) -> None:
    rows = Rows(world)
    with held(world):
        world.store.post(lambda tx: insert(world, tx, 1, "lost"), ignore)
        (req,) = reads(rows, 9)
        world.store.post(full, ignore)
    with pytest.raises(AnvilError, match="cannot save"):
        _ = req.answer
    (again,) = reads(rows, 9)
    add(world, 1, "kept")
    assert again.answer == b"kept"


def test_what_is_found_twice_is_given_once(world: World) -> None:
    """A job that is lost may leave its wait behind; its topic then brings a second job beside that of the next read."""
    rows = Rows(world)
    with held(world):
        (req,) = reads(rows, 9)
        world.store.post(full, ignore)
    with pytest.raises(AnvilError, match="cannot save"):
        _ = req.answer
    with held(world):
        world.store.post(lambda tx: insert(world, tx, 1, "once"))
        for _ in range(BATCH - 2):
            world.store.post(lambda tx: None)
        first, second = reads(rows, 9, 9)  # their job is the first of the next batch
    assert first.answer == b"once"
    world.store.call(lambda tx: None)
    assert rows.asked >= 3 and not second.answers
    add(world, 2, "twice")
    assert second.answer == b"twice"


def test_a_job_that_is_refused_refuses_the_reads_and_a_later_read_asks_again(world: World) -> None:
    rows = Rows(world)
    rows.error = Unavailable("no such session 'x'")
    for req in reads(rows, 9, 9):
        with pytest.raises(AnvilError, match="no such session 'x'"):
            _ = req.answer
    rows.error = None
    add(world, 1, "a")
    (req,) = reads(rows, 9)
    assert req.answer == b"a"


def test_a_closed_file_waits_for_no_topic(world: World) -> None:
    rows = Rows(world)
    (req,) = reads(rows, 9)
    world.store.call(lambda tx: None)
    assert world.topics.waiting("rows")
    flush(rows, req)
    rows.hangup()
    world.store.call(lambda tx: None)
    assert not world.topics.waiting("rows")
    asked = rows.asked
    add(world, 1, "a")
    world.store.call(lambda tx: None)
    assert rows.asked == asked


def test_a_file_that_is_closed_while_the_store_is_asked_waits_for_no_topic_either(world: World) -> None:
    rows = Rows(world)
    gate = threading.Event()
    world.store.post(lambda tx: gate.wait(PATIENCE))
    (req,) = reads(rows, 9)  # its job is behind the gate
    flush(rows, req)
    rows.clunk(Request())
    gate.set()
    world.store.call(lambda tx: None)
    assert not world.topics.waiting("rows")


def test_a_close_between_a_read_and_its_job_leaves_no_wait_behind(world: World) -> None:
    rows = Rows(world)
    store, real = world.store, world.store.post

    def post(job: Callable[[Tx], Any], done: Outcome | None = None, **more: Any) -> None:
        store.post = real  # type: ignore[method-assign]
        rows.hangup()
        real(job, done)

    store.post = post  # type: ignore[method-assign,assignment]
    reads(rows, 9)
    store.call(lambda tx: None)
    assert rows.asked == 1 and not world.topics.waiting("rows")


def test_without_a_store_reads_are_refused_and_do_not_hang(world: World) -> None:
    rows = Rows(world)
    world.store.stop()
    (req,) = reads(rows, 9)
    with pytest.raises(AnvilError, match="the daemon is stopping"):
        _ = req.answer


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_lost_doubled_or_out_of_order_whatever_is_flushed(world: World, seed: int) -> None:
    """Several reads wait at a time, half of them flushed at any moment, while another thread adds rows."""
    chance = random.Random(seed)
    texts = [f"<{number}:{'x' * chance.randrange(9)}>" for number in range(1, 301)]
    rows = Rows(world)

    def write() -> None:
        for number, text in enumerate(texts, 1):
            world.store.post(lambda tx, number=number, text=text: insert(world, tx, number, text))  # type: ignore[misc]
            if not number % 50:
                world.store.call(lambda tx: None)

    writer = threading.Thread(target=write)
    writer.start()
    asked: list[Request | bytes] = []  # in the order of the reads
    whole, length = "".join(texts).encode(), 0
    while length < len(whole):
        batch: list[Request] = []
        for _ in range(chance.randrange(1, 6)):
            req = Request()
            found: bytes | Later = rows.read(0, chance.randrange(1, 40), req)
            asked.append(req if isinstance(found, Later) else found)
            batch += [req] if isinstance(found, Later) else []
        kept = chance.random() < 0.5 and len(batch) > 1
        for req in batch[kept:]:
            if chance.random() < 0.5:
                threading.Event().wait(chance.random() / 500)
            flush(rows, req)
        if kept:
            _ = batch[0].answer if length + sum(_size(one) for one in asked) < len(whole) else flush(rows, batch[0])
        length = sum(_size(one) for one in asked)
    writer.join()
    assert b"".join(one if isinstance(one, bytes) else b"".join(one.answers) for one in asked) == whole


def _size(one: Request | bytes) -> int:
    return len(one) if isinstance(one, bytes) else sum(map(len, one.answers))
