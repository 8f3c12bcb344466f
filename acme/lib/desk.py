"""What Assist does that belongs to no window, one thing after another.

Threads: `desk` does all of it. Any thread may post; the lock guards what waits to be done once.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable

from anvilsrv.errors import AnvilError

TICK = 15.0  # s between two looks at how long something runs


class Desk:
    """`runs` tells whether something runs: then `tick` is called every now and then. `failed` is told of errors. All on `desk`."""

    def __init__(
        self, runs: Callable[[], bool], tick: Callable[[], None], failed: Callable[[AnvilError], None]
    ) -> None:
        self._runs = runs
        self._tick = tick
        self._failed = failed
        self._ticked = 0.0
        self._lock = threading.Lock()
        self._posts: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._due: set[Callable[[], None]] = set()  # waits already, and is done once for many calls
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Do nothing that is posted after this."""
        self._posts.put(None)

    def join(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    def do(self, act: Callable[[], None]) -> None:
        """Have the desk do it."""
        self._posts.put(act)

    def soon(self, act: Callable[[], None]) -> None:
        """Have the desk do it; many calls before it does so are one."""
        with self._lock:
            if act in self._due:
                return
            self._due.add(act)
        self._posts.put(act)

    def _work(self) -> None:
        while (act := self._next()) is not None:
            with self._lock:
                self._due.discard(act)
            try:
                act()
            except AnvilError as error:
                self._failed(error)
            except Exception:  # a mistake of ours must not end the news
                traceback.print_exc()

    def _next(self) -> Callable[[], None] | None:
        """Return what is done next; while a session runs, it is to show how long, every now and then."""
        wait = max(0.0, self._ticked + TICK - time.monotonic()) if self._runs() else None
        try:
            return self._posts.get(timeout=wait)
        except queue.Empty:
            return self._tock

    def _tock(self) -> None:
        self._ticked = time.monotonic()
        self._tick()
