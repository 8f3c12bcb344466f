"""Following the daemon: one connection, made again when it is lost, and what happens as it happens.

The order makes it whole: ``events`` is opened first, then ``sessions`` is read, so nothing falls between; after a loss
``events.<seq>`` goes on after the last event that was seen, and ``sessions`` is read again. A daemon that is away is waited
for at its socket (``appear``): nothing looks for it again and again.

Threads: ``Follower`` owns one, which calls the listener. ``client`` may be used from any thread; requests on it do not wait
for each other. The lock guards the fields and is never held across I/O.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from anvilsrv import paths
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.front.appear import Appearing
from anvilsrv.p9.client import Client, TimedOut

KNOCKS, PAUSE = 100, 0.02  # tries, s between them: a socket that has just appeared may not listen yet
TIMEOUT = 30.0  # s that a request may take
APART = 0.05  # s from one look at the sessions to the next, while events come without end

Row = dict[str, Any]


class Listener(Protocol):
    """Who is told. Called on the follower's thread, and must not block for long."""

    def sessions(self, rows: list[Row]) -> None:
        """Take all sessions as they are now: the file ``sessions``, oldest first."""

    def events(self, found: list[Row]) -> None:
        """Take events in their order, each the object of one line."""

    def away(self, why: str) -> None:
        """Note that the daemon cannot be reached; called once for each reason."""


class Follower:
    """Keeps a connection to the daemon at ``socket`` (default: that of the namespace) until ``stop``."""

    def __init__(self, listener: Listener, socket: str | None = None) -> None:
        self.socket = socket or paths.socket()
        self._listener = listener
        self._changed = threading.Condition()  # guards what follows
        self._client: Client | None = None
        self._why = "not connected yet"
        self._stopping = False
        self._appearing: Appearing | None = None
        self._seq: int | None = None
        self._looked = 0.0  # when the sessions were read (monotonic, s); the thread's
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def start(self) -> None:
        """Begin. The listener hears ``sessions`` or ``away`` before long."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and hang up; requests in flight on ``client`` fail."""
        with self._changed:
            self._stopping = True
            client = self._client
            self._changed.notify_all()
        self.hurry()
        if client is not None:
            client.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def client(self) -> Client:
        """Return the connection. Raises Unavailable while there is none."""
        with self._changed:
            if self._client is None:
                raise Unavailable(f"anvilsrv does not answer: {self._why}")
            return self._client

    def hurry(self) -> None:
        """Look for the daemon now instead of waiting."""
        with self._changed:
            if self._appearing is not None:
                self._appearing.wake()

    def next_client(self, old: Client | None, cancelled: Callable[[], bool]) -> Client | None:
        """Wait for a connection other than ``old``; None when ``cancelled`` (call ``wake`` after changing that) or stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or cancelled() or self._client not in (None, old))
            return None if self._stopping or cancelled() else self._client

    def wake(self) -> None:
        """Let who waits in ``next_client`` look again."""
        with self._changed:
            self._changed.notify_all()

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with Appearing(self.socket) as appearing:
            with self._changed:
                self._appearing = appearing
            try:
                self._serve(appearing)
            finally:
                with self._changed:
                    self._appearing = None

    def _serve(self, appearing: Appearing) -> None:
        told, knocks = "", KNOCKS
        while not self._stopping:
            why, patient = self._attempt()
            with self._changed:
                connected, self._client, self._why = self._client is not None, None, why
                if self._stopping:
                    return
            if connected:
                told = ""
            if why != told:
                self._listener.away(why)
                told = why
            if connected or patient:
                knocks = KNOCKS
            knocking = knocks > 0 and os.path.exists(self.socket)
            knocks = KNOCKS if appearing.wait(PAUSE if knocking else None) else knocks - 1

    def _attempt(self) -> tuple[str, bool]:
        """Follow one connection to its end: why it ended, and whether a daemon is there but has not answered in time."""
        try:
            self._follow()
        except AnvilError as error:
            return str(error), isinstance(error, TimedOut)

    def _follow(self) -> NoReturn:
        """Connect, and hand on what comes. Ends by an AnvilError only."""
        with Client(self.socket, timeout=TIMEOUT) as client:
            events = client.open("events" if self._seq is None else f"events.{self._seq}")
            rows = self._sessions(client)
            with self._changed:
                if self._stopping:
                    raise Unavailable("stopped")
                self._client = client
                self._changed.notify_all()
            self._listener.sessions(rows)
            rest = b""
            while data := events.read(timeout=None):
                *whole, rest = (rest + data).split(b"\n")
                self._tell(client, [parsed(line, "events") for line in whole])
            raise Unavailable("the stream of events ended")

    def _tell(self, client: Client, found: list[Row]) -> None:
        """Pass on one read of ``events``, which may bring many; the sessions are asked for once, after the last."""
        if not found:
            return
        self._seq = found[-1]["seq"]
        if "sessions" in changes(found):
            with self._changed:  # what is told by then has a look in common
                self._changed.wait_for(lambda: self._stopping, self._looked + APART - time.monotonic())
            self._listener.sessions(self._sessions(client))
        self._listener.events(found)

    def _sessions(self, client: Client) -> list[Row]:
        self._looked = time.monotonic()
        found: list[Row] = read_json(client, "sessions")
        return found


def changes(found: list[Row]) -> set[str]:
    """Return what is to be read again after these events: ``sessions``, ``mail``, ``beads`` (anvilsrv(4))."""
    return {one for event in found for one in event.get("changes", ())}  # an event of an older daemon names none


def read_json(client: Client, path: str) -> Any:
    """Return the value in a JSON file. Raises Unavailable for anything else."""
    return parsed(client.read(path), path)


def parsed(data: bytes, path: str) -> Any:
    """Return the value in ``data``, which came from the file ``path``. Raises Unavailable."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise Unavailable(f"'{path}' is not JSON: {error}") from None
