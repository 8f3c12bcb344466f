"""Calls that must be made one after another where they are about one session, and may be made beside each other where they are not.

So the reports of a session are taken in the order in which they came, and a slow one delays only its own session.

Threads: ``do`` and ``call`` from any thread; calls are made on a few threads of its own. The lock guards how many wait, and is not
held while a call is made. ``close`` makes what waits and joins the threads.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from anvilsrv.errors import Unavailable
from anvilsrv.p9.pace import FairQueue

T = TypeVar("T")
THREADS = 4
MOST = 1000  # calls that wait for one session


class InOrder:
    """``on_error`` gets what a call raises; ``payer`` tells by key for whom its time counts."""

    def __init__(
        self, on_error: Callable[[BaseException], None], payer: Callable[[object], object] = lambda key: key
    ) -> None:
        self._on_error = on_error
        self._lock = threading.Lock()
        self._queue: FairQueue[Callable[[], None]] = FairQueue(1, payer)
        self._waiting: Counter[str] = Counter()  # calls that are not over
        self._threads: list[threading.Thread] = []
        self._closed = False

    def do(self, key: str, call: Callable[[], None]) -> None:
        """Make the call when those before it with the same key were made. Raises Unavailable when too many wait."""
        with self._lock:
            if self._closed:
                raise Unavailable("the daemon is stopping")
            if self._waiting[key] > MOST:
                raise Unavailable(f"too many reports of '{key}' wait")
            self._waiting[key] += 1
            self._queue.put(key, call)
            if len(self._threads) < min(THREADS, len(self._waiting)):
                self._start()

    def call(self, key: str, call: Callable[[], T]) -> T:
        """Call as above, and wait for the result. Not from within a call."""
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
        with self._lock:
            self._closed = True
            threads = self._threads
        self._queue.close()
        for thread in threads:
            thread.join()

    def _start(self) -> None:
        number = len(self._threads) + 1
        thread = threading.Thread(target=self._serve, name=f"reports-{number}")
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (found := self._queue.get()) is not None:
            key, call = found
            began = time.thread_time()
            try:
                call()
            except Exception as error:
                self._on_error(error)
            with self._lock:
                self._waiting[str(key)] -= 1
                if not self._waiting[str(key)]:
                    del self._waiting[str(key)]
            self._queue.done(key, time.thread_time() - began)
