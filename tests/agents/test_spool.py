"""Spools are watched, and what an agent puts into its own is judged, not trusted."""

import os
import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.agents import spool
from anvilsrv.agents.spool import Spools, spooled
from anvilsrv.inside import hook
from anvilsrv.sessions.machine import Status
from tests.conftest import wait_until
from tests.desk.conftest import parts as parts  # a fixture
from tests.desk.parts import Parts


class World:
    """A watched state directory; ``reads`` says which spools were read."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.reads: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.errors: list[BaseException] = []
        self.failing = 0
        self.spools = Spools(lambda session: top / session, self.read, self.errors.append)

    def read(self, session: str) -> int:
        self.reads.put(session)
        if self.failing:
            self.failing -= 1
            raise OSError("disk")
        return len(spooled(self.top / session / "ns" / "spool"))

    def read_next(self) -> str:
        return self.reads.get(timeout=10)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.spools.close()


def spool_of(top: Path, session: str) -> Path:
    made = top / session / "ns" / "spool"
    made.mkdir(parents=True, exist_ok=True)
    return made


def test_a_report_that_a_hook_leaves_while_the_daemon_is_silent_is_taken_without_another_one(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.taken(agent)
    spool_of(parts.top / "state" / "sessions", agent)
    looked: queue.SimpleQueue[int] = queue.SimpleQueue()

    def read(session: str) -> int:
        looked.put(found := parts.reports.spooled(session))
        return found

    spools = Spools(
        lambda session: parts.top / "state" / "sessions" / session,
        read,
        parts.errors.append,
    )
    try:
        spools.follow(None, parts.registry.get(agent))
        assert looked.get(timeout=10) == 0
        report = b'{"report": "r", "ts": 0, "hook": "Stop", "payload": {"response": "yes"}}'
        hook.spool(str(parts.top / "state" / "sessions" / agent / "ns"), "r", report)
        wait_until(lambda: parts.status(number) == Status.DONE, "nobody reads the spool")
        assert parts.get(number).response == b"yes"
    finally:
        spools.close()


def test_what_was_there_before_is_read_at_the_first_look_and_a_session_that_is_gone_is_not_watched(
    world: World, parts: Parts
) -> None:
    view = parts.registry.get(parts.idle())
    place = spool_of(world.top, view.id)
    world.spools.follow(None, view)
    assert world.read_next() == view.id
    world.spools.follow(view, view)
    world.spools.follow(view, None)
    other = parts.registry.get(parts.idle())
    spool_of(world.top, other.id)
    world.spools.follow(None, other)
    assert world.read_next() == other.id  # the first is let go by now
    hook.spool(str(place.parent), "r", b"{}")
    hook.spool(str(world.top / other.id / "ns"), "r", b"{}")
    assert world.read_next() == other.id and world.reads.empty()


def test_a_spool_that_could_not_be_read_is_read_again(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "AGAIN", 0.01)
    view = parts.registry.get(parts.idle())
    spool_of(world.top, view.id)
    world.failing = 1
    world.spools.follow(None, view)
    assert [world.read_next(), world.read_next()] == [view.id, view.id]
    assert [str(error) for error in world.errors] == ["disk"]


def test_a_link_in_place_of_the_spool_is_not_followed(world: World, parts: Parts) -> None:
    view = parts.registry.get(parts.idle())
    elsewhere = world.top / "elsewhere"
    elsewhere.mkdir()
    (world.top / view.id / "ns").mkdir(parents=True)
    os.symlink(elsewhere, world.top / view.id / "ns" / "spool")
    (elsewhere / "1.json").write_text("{}")
    world.spools.follow(None, view)
    other = parts.registry.get(parts.idle())
    spool_of(world.top, other.id)
    world.spools.follow(None, other)
    assert world.read_next() == other.id
    assert spooled(world.top / view.id / "ns" / "spool") == [] and (elsewhere / "1.json").exists()


def test_what_is_no_report_is_removed_and_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "LARGEST", 1000)
    victim = tmp_path / "victim"
    victim.write_text('{"report": "stolen"}')
    place = spool_of(tmp_path, "a")
    (place / "1.json").mkdir()
    os.mkfifo(place / "2.json")
    os.symlink(victim, place / "3.json")
    (place / "4.json").write_text('{"a": "' + "x" * 1000 + '"}')
    (place / "5.json").write_text("[" * 900)
    (place / "6.json").write_text('{"report": "r"}')
    before = sorted(os.listdir("/proc/self/fd"))
    assert [(path.name, found) for path, found in spooled(place)] == [("6.json", {"report": "r"})]
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert sorted(one.name for one in place.iterdir()) == ["1.json", "6.json"] and victim.exists()


def test_a_full_spool_is_read_in_pieces_and_directories_in_it_cost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BYTES", 1000)
    for number in range(5):
        (tmp_path / f"{number}.json").write_text('{"x": "%s"}' % ("y" * 400))
        (tmp_path / f"0{number}.json").mkdir()
        (tmp_path / f"0{number}.json" / "full").write_text("")
    before = os.listdir("/proc/self/fd")
    seen = []
    while found := spooled(tmp_path):
        seen.append(len(found))
        for path, _ in found:
            path.unlink()
    assert seen == [3, 2]
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "0.json", "wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "1.json").write_text("{}")
    assert [path.name for path, _ in spooled(tmp_path)] == ["1.json"]
    assert not (tmp_path / "0.json").exists()


def test_what_is_beyond_the_size_of_a_spool_is_removed_unread_the_last_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "TOTAL", 40_000)
    for number in range(6):
        (tmp_path / f"{number}.json").write_text('{"report":"x","pad":"' + "x" * 9000 + '"}')
    assert [path.name for path, _ in spooled(tmp_path)] == [f"{number}.json" for number in range(4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{number}.json" for number in range(4)]
