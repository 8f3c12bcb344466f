"""Events: one ring, many cursors."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.store.effects import Effect, Event, Publish
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Store, Tx


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def store(tmp_path: Path, stream: Stream) -> Iterator[Store]:
    def settle(tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        for effect in effects:
            assert isinstance(effect, Publish)
            stream.publish(effect.event)

    made = Store(tmp_path / "store.db", settle, lambda error: None)
    made.start()
    yield made
    made.stop()


def emit(store: Store, stream: Stream, count: int, session: str = "a") -> None:
    for number in range(count):
        store.call(lambda tx, number=number: stream.emit(tx, "error", session, error=str(number)))  # type: ignore[misc]


def parse(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.splitlines()]


def test_a_reader_starts_now_and_sees_what_comes_in_order(store: Store, stream: Stream) -> None:
    emit(store, stream, 3)
    reader = stream.reader(None)
    assert reader.take(4096) == b""
    emit(store, stream, 3)
    got = parse(reader.take(4096))
    assert [one["seq"] for one in got] == [4, 5, 6]
    assert {"type", "ts", "session_id", "error"} <= set(got[0])


def test_a_line_has_no_blanks_between_its_parts_so_that_grep_finds_them(store: Store, stream: Stream) -> None:
    reader = stream.reader(None)
    emit(store, stream, 1)
    assert b'"type":"error","session_id":"a","error":"0"' in reader.take(4096)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("state_change", ["sessions"]),
        ("message", ["sessions", "mail"]),
        ("archived", ["sessions", "mail"]),
        ("bead", ["beads"]),
    ],
)
def test_an_event_names_what_is_to_be_read_again(store: Store, stream: Stream, what: str, changes: list[str]) -> None:
    reader = stream.reader(None)
    store.call(lambda tx: stream.emit(tx, what, "a"))
    assert [one["changes"] for one in parse(reader.take(4096))] == [changes]


def test_who_lost_events_reads_everything_again() -> None:
    [event] = parse(Stream.overflow(7, 3))
    assert event["changes"] == ["sessions", "mail", "beads"]


def test_a_reader_can_start_behind_a_number_even_after_a_restart(store: Store, stream: Stream) -> None:
    emit(store, Stream(), 5)
    again = Stream()
    store.call(again.load)
    assert [one["seq"] for one in parse(again.reader(None, after=2).take(4096))] == [3, 4, 5]


@pytest.mark.parametrize("stream", [Stream(10)])
def test_a_reader_that_is_too_slow_is_told_how_many_it_lost(store: Store, stream: Stream) -> None:
    reader = stream.reader(None)
    emit(store, stream, 25)
    got = parse(reader.take(1 << 20))
    assert (got[0]["type"], got[0]["lost"]) == ("overflow", 15)
    assert [one["seq"] for one in got[1:]] == list(range(16, 26))


def test_whole_lines_are_given_where_they_fit_and_nothing_is_lost_where_they_do_not(
    store: Store, stream: Stream
) -> None:
    reader = stream.reader(None)
    emit(store, stream, 4)
    line = len(stream.reader(None, after=0).take(1 << 16).splitlines()[0]) + 1
    first = reader.take(line * 2 + line // 2)
    assert first.count(b"\n") == 2 and first.endswith(b"\n")
    rest = b"".join(iter(lambda: reader.take(7), b""))
    assert [one["seq"] for one in parse(first + rest)] == [1, 2, 3, 4]


def test_a_filter_hides_what_does_not_concern_the_reader(store: Store, stream: Stream) -> None:
    reader = stream.reader(lambda sessions: "b" in sessions)
    emit(store, stream, 2, "a")
    emit(store, stream, 1, "b")
    assert [one["session_id"] for one in parse(reader.take(4096))] == ["b"]


def test_long_events_leave_room_for_fewer_and_are_gone_from_the_disk_too(store: Store, tmp_path: Path) -> None:
    stream = Stream(size=1000, bytes=5000)
    for number in range(200):
        event = store.call(lambda tx, number=number: _emitted(tx, stream, "x" * 900))  # type: ignore[misc]
        stream.publish(event)
    ring, lost = stream.following(0)
    assert 1 <= len(ring) <= 5 and lost == 200 - len(ring)
    assert len(store.call(lambda tx: tx.all("SELECT 1 FROM events"))) <= 110
    again = Stream(size=1000, bytes=5000)
    store.call(again.load)
    assert len(again.following(0)[0]) <= 5


def test_an_event_that_is_too_long_has_its_texts_cut_and_tells_all_else(store: Store) -> None:
    stream = Stream()
    event = store.call(lambda tx: _emitted(tx, stream, "x" * 1_000_000))
    found = json.loads(event.line)
    assert len(event.line) < 10_000 and found["error"].startswith("xxx") and found["type"] == "error"


def _emitted(tx: Tx, stream: Stream, text: str) -> Event:
    stream.emit(tx, "error", "a", error=text)
    effect = tx.effects.pop()
    assert isinstance(effect, Publish)
    return effect.event
