"""What is waited for: the daemon's events, its return, and the end of Assist."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from acme.lib.agent import Agent, lines
from acme.lib.watch import Watch
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.p9.client import Client

_KNOCKS, _PAUSE = 100, 0.02  # tries, s: a socket that has just appeared may not listen yet


class News(threading.Thread):
    """Follows `events`, over restarts of the daemon, until `stop`.

    `heard` is called for each event, with True when a connection was made: what was missed before is made up for by
    asking for everything; and once more when the connection is lost. `failed` gets what the daemon refuses.
    """

    def __init__(self, agent: Agent, heard: Callable[[bool], None], failed: Callable[[AnvilError], None]) -> None:
        super().__init__(name="news", daemon=True)
        self.agent = agent
        self.heard = heard
        self.failed = failed
        self._watch = Watch(os.path.dirname(agent.path))  # before the first connection, so that nothing is missed
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._client: Client | None = None

    def stop(self) -> None:
        self._stopping.set()
        self._watch.stop()
        with self._lock:
            if self._client is not None:
                self._client.close()

    def run(self) -> None:
        try:
            while self._came():
                self.agent.forget()
                self.heard(False)
                if not self._appears():
                    break
        finally:
            self._watch.close()

    def _came(self) -> bool:
        """Follow one connection to its end; False when Assist stops."""
        try:
            self._follow()
        except Unavailable:
            pass
        except AnvilError as error:
            if not self._stopping.is_set():
                self.failed(error)
                return self._watch.wait()  # another daemon may do better
        return not self._stopping.is_set()

    def _follow(self) -> None:
        client, file = self.agent.stream("events")
        with self._lock:
            self._client = client
        try:
            if self._stopping.is_set():  # too late for `stop` to close it
                return
            self.heard(True)
            for _ in lines(file):
                self.heard(False)
        finally:
            client.close()

    def _appears(self) -> bool:
        """Wait for the daemon's socket; False when Assist stops."""
        while True:
            for _ in range(_KNOCKS):
                if self._listens():
                    return True
                if not os.path.exists(self.agent.path) or self._stopping.wait(_PAUSE):
                    break
            if self._stopping.is_set() or not self._watch.wait():
                return False

    def _listens(self) -> bool:
        try:
            Client(self.agent.path).close()
        except Unavailable:
            return False
        return True


class Bell:
    """Something that happens again and again, and can be waited for."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def ring(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wake(self) -> None:
        """Have those who wait look whether they still want to."""
        with self._changed:
            self._changed.notify_all()

    def wait(self, seen: int, enough: Callable[[], bool]) -> None:
        """Wait until it rang after the `seen`th time, or until there is `enough`."""
        with self._changed:
            self._changed.wait_for(lambda: self.count > seen or enough())


class End:
    """The end of Assist, waited for on the main thread.

    A pipe, since a signal that comes right before a lock is waited for would not be noticed until it is released.
    """

    def __init__(self) -> None:
        self._told, self.tell = os.pipe()
        os.set_blocking(self.tell, False)

    def set(self) -> None:
        os.write(self.tell, b"x")

    def wait(self) -> None:
        os.read(self._told, 1)
