"""Waiting for a file to appear: what comes is noticed, wherever it was missing, and nothing is missed."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anvilsrv.front import appear
from anvilsrv.front.appear import Appearing
from tests.conftest import PATIENCE


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "ns" / "agent"


@pytest.fixture
def waiting(place: Path) -> Iterator[Appearing]:
    with Appearing(str(place)) as made:
        yield made


def after(waiting: Appearing, act: Callable[[], object]) -> bool:
    """Return what ``wait`` says when ``act`` happens meanwhile."""
    thread = threading.Timer(0.05, act)
    thread.start()
    try:
        return waiting.wait(PATIENCE)
    finally:
        thread.join()


def until(waiting: Appearing, place: Path) -> None:
    """Wait until it is there; fails if a wait passes without anything that came."""
    while not place.exists():
        assert waiting.wait(PATIENCE), "it came unnoticed"


def test_a_file_that_comes_is_noticed(place: Path) -> None:
    place.parent.mkdir()
    with Appearing(str(place)) as waiting:
        assert after(waiting, place.touch)
        assert place.exists()


def test_a_file_moved_to_its_place_is_noticed(place: Path) -> None:
    place.parent.mkdir()
    (other := place.with_name("other")).touch()
    with Appearing(str(place)) as waiting:
        assert after(waiting, lambda: other.rename(place))


def test_what_came_between_two_waits_is_not_missed(place: Path) -> None:
    place.parent.mkdir()
    with Appearing(str(place)) as waiting:
        place.touch()
        assert waiting.wait(PATIENCE)


def test_what_came_into_a_directory_before_it_was_watched_is_not_missed(waiting: Appearing, place: Path) -> None:
    assert after(waiting, place.parent.mkdir)
    place.touch()
    assert waiting.wait(5)


def test_the_directory_may_come_later_and_go_and_come_again(waiting: Appearing, place: Path) -> None:
    def make() -> None:
        place.parent.mkdir()
        place.touch()

    thread = threading.Timer(0.05, make)
    thread.start()
    until(waiting, place)
    thread.join()
    shutil.rmtree(place.parent)
    thread = threading.Timer(0.05, make)
    thread.start()
    until(waiting, place)
    thread.join()


def test_who_wakes_it_ends_the_wait_once(waiting: Appearing) -> None:
    waiting.wake()
    assert waiting.wait(PATIENCE)
    assert not waiting.wait(0.01)
    assert after(waiting, waiting.wake)


def test_waking_one_that_nobody_waits_for_never_blocks(waiting: Appearing) -> None:
    for _ in range(100_000):
        waiting.wake()
    assert waiting.wait(PATIENCE)


def test_without_inotify_it_looks_from_time_to_time(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise OSError("no inotify")

    monkeypatch.setattr(appear, "Inotify", none)
    monkeypatch.setattr(appear, "PERIOD", 0.01)
    with Appearing(str(place)) as waiting:
        assert waiting.wait(None)
        waiting.wake()
        assert waiting.wait(None)
