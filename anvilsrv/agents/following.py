"""One thread for each session that has something to be done: it follows the rows, for parts whose work may take long.

Threads: ``want`` is called on the store's thread. A thread lives as long as its thing is wanted and its work lasts; at most one of a
session works at a time, for each waits for the one before it. The lock guards which; it is not held while anything runs. ``close`` ends
and joins them all.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from anvilsrv.agents.eye import Until

W = TypeVar("W")


@dataclass
class Worker(Generic[W]):
    """The thread for one thing; ``until`` is set when the thing is wanted no longer."""

    wanted: W
    until: Until = field(default_factory=Until)
    thread: threading.Thread | None = None


class Following(Generic[W]):
    """The threads of one part. ``run(session, wanted, until)`` does the work; all its waits must be bounded or end with ``until``."""

    def __init__(self, name: str, run: Callable[[str, W, Until], None]) -> None:
        self._name = name
        self._run = run
        self._lock = threading.Lock()
        self._workers: dict[str, Worker[W]] = {}
        self._ending: dict[str, Worker[W]] = {}  # the last of a session that was ended: the next one waits for it
        self._closed = False

    def want(self, session: str, wanted: W | None) -> None:
        """Set what is to be done for the session, and nothing else; None: nothing."""
        with self._lock:
            current = self._workers.get(session)
            if self._closed or (current.wanted if current is not None else None) == wanted:
                if current is not None:
                    current.until.poke()
                return
            if current is not None:
                self._ending[session] = self._workers.pop(session)
            before = self._ending.get(session)
            if before is not None and before.thread is not None and not before.thread.is_alive():
                del self._ending[session]
                before = None
            if wanted is not None:
                worker, name = Worker(wanted), self._name
                self._workers[session] = worker
                worker.thread = threading.Thread(
                    target=self._work, args=(session, worker, before), name=f"{name} {session}"
                )
                worker.thread.start()
        if current is not None:
            current.until.set()

    def close(self) -> None:
        """End all work and join its threads."""
        with self._lock:
            self._closed = True
            workers = [*self._workers.values(), *self._ending.values()]
        for worker in workers:
            worker.until.set()
        for worker in workers:
            if worker.thread is not None:
                worker.thread.join()

    def _work(self, session: str, worker: Worker[W], before: Worker[W] | None) -> None:
        if before is not None and before.thread is not None:
            before.thread.join()
        try:
            self._run(session, worker.wanted, worker.until)
        finally:
            with self._lock:
                if self._ending.get(session) is worker:
                    del self._ending[session]
