"""The event loop of a session's door: descriptors, times, and what threads hand over.

Everything is called on the thread that runs the loop; ``hand`` alone may be called from others.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import time
from collections import deque
from collections.abc import Callable

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR


class Timer:
    """What ``Loop.after`` gives: ``cancel`` it."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Cancel the call."""
        self.call = None


class Loop:
    """One epoll."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[int], None]] = {}
        self._interest: dict[int, int] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._handed: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.stopped = False
        self.watch(self._wake, READ, self._take)

    def watch(self, fd: int, interest: int, call: Callable[[int], None]) -> None:
        """Call with the events of ``fd``. With no interest it is not watched, not even for its end, until it has some again."""
        self._calls[fd] = call
        before = self._interest.get(fd, 0)
        if interest == before:
            return
        if not before:
            self._epoll.register(fd, interest)
        elif not interest:
            self._epoll.unregister(fd)
        else:
            self._epoll.modify(fd, interest)
        self._interest[fd] = interest

    def forget(self, fd: int) -> None:
        """Forget it before it is closed."""
        if self._interest.pop(fd, 0):
            self._epoll.unregister(fd)
        self._calls.pop(fd, None)

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, later."""
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), timer))
        return timer

    def hand(self, call: Callable[[], None]) -> None:
        """Have it called on the loop's thread. From any thread."""
        self._handed.append(call)
        os.eventfd_write(self._wake, 1)

    def _take(self, _events: int) -> None:
        os.eventfd_read(self._wake)
        while self._handed:
            self._handed.popleft()()

    def run(self) -> None:
        """Run until ``stopped``."""
        poll, calls = self._epoll.poll, self._calls
        while not self.stopped:
            for fd, events in poll(self._wait(), 256):
                call = calls.get(fd)  # one before it may have closed it
                if call is not None:
                    call(events)

    def _wait(self) -> float | None:
        """Do what is due; seconds until the next."""
        timers = self._timers
        while timers:
            when, _, timer = timers[0]
            if timer.call is None:
                heapq.heappop(timers)
                continue
            left = when - time.monotonic()
            if left > 0:
                return left
            heapq.heappop(timers)
            timer.call()
        return None
