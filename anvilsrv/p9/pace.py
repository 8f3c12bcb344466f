"""How long the I/O thread serves one family of sessions before it looks at others, and the queue of what its workers do, fair to all.

So an agent that asks without end, through as many connections as it may have, costs the user a fraction of a millisecond, and leaves
the processor to the threads that do what he asks for.

Threads: a :class:`Pace` belongs to the I/O thread; a :class:`FairQueue` is used from any.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from anvilsrv.allowance import Budget

T = TypeVar("T")

REST = 0.02  # s between two looks at whether one goes on for which too much is to be done
SLICE = 0.0002  # s of one round
BURST = 0.02  # s that one that was quiet may have at once, in rounds
RATE = 0.05  # of the I/O thread's time, for one that is never quiet
WORKER_BURST = 1.0  # s of the workers' time, likewise
WORKER_RATE = 0.03
LEAST = 0.001  # s that must be left of it


class Pace(Generic[T]):
    """How much of the I/O thread's time the connections that share an allowance may have, and those of them that wait for it.

    While ``full`` says that what they asked for before is not done, they have none.
    """

    __slots__ = ("_budget", "_full", "_round", "waiting")

    def __init__(self, full: Callable[[], bool] = lambda: False) -> None:
        self._full = full
        self._budget = Budget(BURST, RATE)
        self._round = SLICE  # what is left of this round
        self.waiting: deque[T] = deque()

    def begin(self, now: float) -> None:
        """Begin another round."""
        self._round = 0.0 if self._full() else min(SLICE, self._budget.left(now))

    def spend(self, seconds: float) -> None:
        """Account for that much of the processor's time, which stands still while the daemon is stopped or others run."""
        self._budget.spend(seconds)
        self._round -= seconds

    @property
    def over(self) -> bool:
        """Whether it is the others' turn."""
        return self._round <= 0

    def due(self, now: float) -> float:
        """Return in how many s it may have a round again."""
        return max(REST if self._full() else 0.0, self._budget.due(now, SLICE))


class FairQueue(Generic[T]):
    """Jobs by key, handed out in turn, at most ``share`` of one key at a time; those of ``None`` without a bound, and first.

    A key whose jobs had much of the processor rests, with those that have the same ``payer``: what one thread computes, the others
    wait for.
    """

    def __init__(self, share: int, payer: Callable[[object], object] = lambda key: key) -> None:
        self._share = share
        self._payer = payer
        self._changed = threading.Condition()
        self._first: deque[T] = deque()
        self._waiting: dict[object, deque[T]] = {}  # by key, the next one first; none is empty
        self._running: dict[object, int] = {}
        self._budgets: dict[object, Budget] = {}  # by payer
        self._until = math.inf  # when a thread looks again that waits for who rests (monotonic, s): the others need not
        self._closed = False

    def put(self, key: object, job: T) -> None:
        """Put one more."""
        with self._changed:
            if key is None:
                self._first.append(job)
            else:
                self._waiting.setdefault(key, deque()).append(job)
            self._changed.notify()

    def get(self) -> tuple[object, T] | None:
        """Return the next one, with its key; None after ``close``, if there is none. ``done`` must be called for it."""
        with self._changed:
            while True:
                if self._first:
                    return None, self._first.popleft()
                now = time.monotonic()
                dues = {key: self._due(key, now) for key in self._waiting if self._running.get(key, 0) < self._share}
                key = next((key for key, due in dues.items() if due == 0 or self._closed), None)
                if key is not None:
                    job = self._taken(key)
                    if self._waiting:
                        self._changed.notify()  # for one who may have waited for the same
                    return key, job
                if self._closed:
                    return None
                self._wait(min(dues.values(), default=None))

    def _wait(self, due: float | None) -> None:
        """Wait for a change, or, in one thread alone, until a client has rested."""
        until = math.inf if due is None else time.monotonic() + due
        if until >= self._until - LEAST:
            self._changed.wait()
            return
        self._until = until
        self._changed.wait(due)
        if self._until == until:
            self._until = math.inf

    def _due(self, key: object, now: float) -> float:
        budget = self._budgets.get(self._payer(key))
        return 0.0 if budget is None else budget.due(now, LEAST)

    def _taken(self, key: object) -> T:
        jobs = self._waiting.pop(key)
        job = jobs.popleft()
        if jobs:
            self._waiting[key] = jobs  # after the others
        self._running[key] = self._running.get(key, 0) + 1
        return job

    def done(self, key: object, seconds: float = 0.0) -> None:
        """Account for one of that key, which is over and took that much of the processor's time."""
        if key is None:
            return
        with self._changed:
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]
            now = time.monotonic()
            payer = self._payer(key)
            budget = self._budgets.setdefault(payer, Budget(WORKER_BURST, WORKER_RATE))
            if budget.left(now) - seconds >= WORKER_BURST - LEAST and key not in self._waiting:
                del self._budgets[payer]  # it was quiet: nothing is kept of it
            budget.spend(seconds)
            self._changed.notify()

    def close(self) -> None:
        """Close: nothing more comes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
