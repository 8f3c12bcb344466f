"""Whose turn it is in the store: the jobs of the daemon and of the user in their order, then those of each session in turn.

A session that writes without end waits for itself: a batch takes one job of each, what the user asks for is in the next one, and
between them a session that had much of the store's time rests.

Threads: used from any; what is under the condition is changed for a moment.
"""

import threading
import time
from collections import deque
from typing import Generic, TypeVar

from anvilsrv.allowance import Budget

J = TypeVar("J")

BURST = 0.25  # s of the store's processor time that a session which was quiet may have at once
RATE = 0.05  # of it for one that is never quiet, with what follows from its jobs
LEAST = 0.001  # s that must be left of it


class Jobs(Generic[J]):
    """The queue, each job with the session whose turn it is; empty: the daemon or the user."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._first: deque[J] = deque()
        self._others: dict[str, deque[J]] = {}  # by session, the next one first; none is empty
        self._budgets: dict[str, Budget] = {}
        self._ended = False

    def put(self, job: J, by: str = "") -> None:
        """Put one more."""
        with self._changed:
            if by:
                self._others.setdefault(by, deque()).append(job)
            else:
                self._first.append(job)
            self._changed.notify()

    def end(self) -> None:
        """End: nothing more comes; what was put before is done."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def waiting(self, by: str) -> int:
        """Return how many of that session wait."""
        return len(self._others.get(by, ()))

    def empty(self) -> bool:
        """Return whether none waits, and more may come."""
        return not (self._first or self._others or self._ended)

    def spent(self, by: str, seconds: float) -> None:
        """Account for the processor time that a job of that session took: not wall-clock time, which goes on while the
        disk is slow or the daemon is stopped.
        """
        with self._changed:
            self._budgets.setdefault(by, Budget(BURST, RATE)).spend(seconds)

    def batch(self, most: int, timeout: float | None) -> tuple[list[J], bool]:
        """Return the next ``most``, none after ``timeout`` s; False when nothing more will come."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._first and not self._ended:
                now = time.monotonic()
                due = min((self._due(by, now) for by in self._others), default=None)
                if due == 0:
                    break
                ends = [one for one in (due, None if deadline is None else deadline - now) if one is not None]
                if ends and min(ends) <= 0:
                    return [], True
                self._changed.wait(min(ends, default=None))
            return self._take(most)

    def _take(self, most: int) -> tuple[list[J], bool]:
        now = time.monotonic()
        jobs = [self._first.popleft() for _ in range(min(most, len(self._first)))]
        for by in [one for one in self._others if self._ended or self._due(one, now) == 0][: most - len(jobs)]:
            waiting = self._others.pop(by)
            jobs.append(waiting.popleft())
            if waiting:
                self._others[by] = waiting  # after the others
        return jobs, not self._ended or bool(self._first or self._others)

    def _due(self, by: str, now: float) -> float:
        """Return in how many s it is that session's turn."""
        budget = self._budgets.get(by)
        if budget is None:
            return 0.0
        if budget.left(now) >= BURST:
            del self._budgets[by]
        return budget.due(now, LEAST)
