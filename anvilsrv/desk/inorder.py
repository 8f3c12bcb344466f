"""Calls that must be made one after another where they are about one session, and may be made beside each other where they are not.

So the reports of a session are taken in the order in which they came, and one that takes long holds up nobody but its own session.

Threads: ``do`` and ``call`` from any thread; calls are made on a few threads of its own. The condition guards what waits, and is not
held while a call is made. ``close`` makes what waits and joins the threads.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from anvilsrv.errors import Unavailable

T = TypeVar("T")
THREADS = 4
MOST = 1000  # calls that wait for one session


class InOrder:
    """``on_error`` gets what a call raises."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self._ready: deque[str] = deque()  # keys of which no call is being made
        self._threads: list[threading.Thread] = []
        self._closed = False

    def do(self, key: str, call: Callable[[], None]) -> None:
        """Make the call when those before it with the same key were made. Raises Unavailable when too many wait."""
        with self._changed:
            if self._closed:
                raise Unavailable("the daemon is stopping")
            before = self._waiting.get(key)
            if before is None:
                self._waiting[key] = deque([call])
                self._ready.append(key)
            elif len(before) < MOST:
                before.append(call)
            else:
                raise Unavailable(f"too many reports of '{key}' wait")
            if len(self._threads) < THREADS and len(self._threads) < len(self._waiting):
                self._start()
            self._changed.notify()

    def call(self, key: str, call: Callable[[], T]) -> T:
        """The same, and wait for its result. Not from within a call."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

        self.do(key, run)
        return future.result()

    def close(self) -> None:
        """Make the calls that wait, and end the threads."""
        with self._changed:
            self._closed = True
            threads = self._threads
            self._changed.notify_all()
        for thread in threads:
            thread.join()

    def _start(self) -> None:
        number = len(self._threads) + 1
        thread = threading.Thread(target=self._serve, name=f"reports-{number}")
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (key := self._next()) is not None:
            try:
                self._waiting[key][0]()
            except Exception as error:
                self._on_error(error)
            with self._changed:
                self._waiting[key].popleft()
                if self._waiting[key]:
                    self._ready.append(key)
                else:
                    del self._waiting[key]

    def _next(self) -> str | None:
        """The next key whose turn it is; None at the end."""
        with self._changed:
            while not self._ready and not self._closed:
                self._changed.wait()
            return self._ready.popleft() if self._ready else None
