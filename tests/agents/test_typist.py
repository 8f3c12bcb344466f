"""The typist follows the rows: what is on its way is being typed, whatever came between; and what follows them like it."""

import threading
from collections.abc import Iterator

import pytest

from anvilsrv.agents.eye import Until
from anvilsrv.agents.following import Following
from tests.conftest import PATIENCE


class Work:
    """What a part does for its sessions: it begins, and goes on until it is wanted no longer."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.working = 0
        self.most = 0
        self.changed = threading.Condition()
        self.following = Following[str]("work", self._run)

    def _run(self, session: str, wanted: str, until: Until) -> None:
        with self.changed:
            self.began.append(wanted)
            self.working += 1
            self.most = max(self.most, self.working)
            self.changed.notify_all()
        until.last(PATIENCE)
        with self.changed:
            self.working -= 1

    def has_begun(self, *wanted: str) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.began == list(wanted), PATIENCE)


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work()
    yield made
    made.following.close()


def test_what_is_wanted_is_done_once_however_often_that_is_said(work: Work) -> None:
    for _ in range(3):
        work.following.want("a", "one")
    assert work.has_begun("one")
    work.following.close()
    assert work.began == ["one"]


def test_the_next_thing_begins_when_the_one_before_has_ended(work: Work) -> None:
    for wanted in ("one", "two", None, "two"):
        work.following.want("a", wanted)
    assert work.has_begun("one", "two", "two")
    assert work.most == 1


def test_sessions_do_not_wait_for_each_other(work: Work) -> None:
    work.following.want("a", "one")
    work.following.want("b", "two")
    with work.changed:
        assert work.changed.wait_for(lambda: work.working == 2, PATIENCE)


def test_nothing_begins_once_it_is_closed_and_no_thread_is_left(work: Work) -> None:
    work.following.want("a", "one")
    work.following.close()
    work.following.want("a", "two")
    assert work.began == ["one"]
    assert not [one for one in threading.enumerate() if one.name.startswith("work ")]


def test_who_waits_is_woken_when_rows_change() -> None:
    until = Until()
    until.poke()
    assert not until.wait(PATIENCE), "nothing is over"
    until.set()
    assert until.wait(PATIENCE)
    assert until.last(PATIENCE)
