"""Whose turn it is in the store."""

import threading
import time

from anvilsrv.store.turn import BURST, RATE, Jobs
from tests.conftest import PATIENCE


def batch(jobs: "Jobs[str]", most: int = 64, timeout: float | None = 0.0) -> list[str]:
    return jobs.batch(most, timeout)[0]


def test_what_the_user_asks_for_is_in_the_next_batch_and_of_each_session_one() -> None:
    jobs: Jobs[str] = Jobs()
    for number in range(100):
        jobs.put(f"a{number}", "a")
        jobs.put(f"b{number}", "b")
    jobs.put("mine")
    assert batch(jobs) == ["mine", "a0", "b0"]
    assert batch(jobs, most=1) == ["a1"]
    assert batch(jobs) == ["b1", "a2"]


def test_a_session_that_had_much_of_the_time_rests_and_the_others_do_not() -> None:
    jobs: Jobs[str] = Jobs()
    jobs.spent("a", BURST + 3600)
    jobs.put("a", "a")
    jobs.put("b", "b")
    jobs.put("mine")
    assert batch(jobs) == ["mine", "b"] and batch(jobs) == []
    jobs.end()
    assert jobs.batch(64, None) == (["a"], False), "at the end nobody rests"


def test_a_session_that_rests_is_waited_for_no_longer_than_that() -> None:
    jobs: Jobs[str] = Jobs()
    jobs.spent("a", BURST + 0.05 * RATE)
    jobs.put("a", "a")
    before = time.monotonic()
    assert batch(jobs, timeout=None) == ["a"]
    assert 0.04 < time.monotonic() - before < PATIENCE


def test_a_job_that_comes_wakes_who_waits() -> None:
    jobs: Jobs[str] = Jobs()
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.extend(batch(jobs, timeout=PATIENCE)))
    waiting.start()
    jobs.put("mine")
    waiting.join(PATIENCE)
    assert found == ["mine"]


def test_what_was_put_before_the_end_is_done() -> None:
    jobs: Jobs[str] = Jobs()
    for number in range(3):
        jobs.put(str(number), "a")
    jobs.end()
    done: list[str] = []
    going = True
    while going:
        more, going = jobs.batch(64, None)
        done += more
    assert done == ["0", "1", "2"]


def test_what_waits_of_a_session_is_known() -> None:
    jobs: Jobs[str] = Jobs()
    for number in range(3):
        jobs.put(str(number), "a")
    assert (jobs.waiting("a"), jobs.waiting("b")) == (3, 0)
