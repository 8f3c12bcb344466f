"""The daemon's side of the door (``sandbox/door.py``): there is one when an agent starts, what it refuses is told, ports are forwarded.

The door is a process of its own and outlives a daemon, as agents do; it ends when no agent and no daemon needs it.

Threads: one, ``door``, holds the connection; ``ensure`` is called on the thread of the agents, ``forward`` on the workers of the 9P
server, both wait for it. The lock guards the answers that are waited for.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anvilsrv.display import one_line
from anvilsrv.errors import Unavailable
from anvilsrv.linux.reactor import Reactor
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Need, Store, Tx
from sandbox import door_client
from sandbox.errors import SandboxError

PATIENCE = 40.0  # s for a door that is started, or an answer
STOPPING = "the daemon is stopping"
AGAIN = 1.0  # s until a door is started again


class Door:
    """One daemon's. ``state`` is its state directory."""

    def __init__(
        self, state: Path, store: Store, registry: Registry, on_error: Callable[[BaseException], None]
    ) -> None:
        self.path = str(state / "door" / "socket")
        self._store, self._registry, self._on_error = store, registry, on_error
        self._reactor = Reactor("door", on_error)
        self._started = False
        self._watch: door_client.Watch | None = None
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        self._answers: dict[int, _Answer] = {}
        self._again: dict[int, tuple[str, int]] = {}  # ports that are forwarded again, by ticket; the thread's
        self._closed = False

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`: an agent that runs needs a door."""
        if after is not None and after.live and (before is None or not before.live):
            self._do(self._connect)

    def close(self) -> None:
        """Let go of it; agents keep it. Who waits for it is told."""
        with self._lock:
            self._closed = True
            waiting, started = list(self._answers.values()), self._started
        for one in waiting:
            one.give(STOPPING)
        if started:
            self._reactor.close()
        if self._watch is not None:
            self._watch.close()

    def _do(self, command: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                return
            first, self._started = not self._started, True
        if first:
            self._reactor.start()
        self._reactor.do(command)

    def ensure(self) -> None:
        """Return when there is a door. Raises Unavailable."""

        def connect(done: _Answer) -> None:
            self._connect()
            done.give("" if self._watch is not None else "the door of the network did not start")

        with self._answer() as (_, done):
            self._do(lambda: connect(done))
            done.wait()

    def forward(self, session: str, port: int, on: bool) -> None:
        """Serve a port of a session's sandbox on this machine's loopback, or no more. Raises Unavailable with the reason."""
        with self._answer() as (ticket, answer):
            self._do(lambda: self._ask(ticket, session, port, on))
            answer.wait()

    @contextmanager
    def _answer(self) -> "Iterator[tuple[int, _Answer]]":
        """Yield an answer to wait for, and its number. Raises Unavailable when none will come."""
        answer, ticket = _Answer(), next(self._tickets)
        with self._lock:
            if self._closed:
                raise Unavailable(STOPPING)
            self._answers[ticket] = answer
        try:
            yield ticket, answer
        finally:
            with self._lock:
                del self._answers[ticket]

    # -- the thread ------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Have a door and a connection to it."""
        if self._watch is not None:
            return
        try:
            door_client.ensure(self.path)
            watch = door_client.Watch(self.path)
        except (SandboxError, OSError) as error:
            self._on_error(Unavailable(f"the door of the network: {error}"))
            self._reactor.at(AGAIN, self._connect)
            return
        self._watch = watch
        self._reactor.watch(watch.fileno(), self._read)

    def _ask(self, ticket: int, session: str, port: int, on: bool) -> None:
        self._connect()
        try:
            if self._watch is None:
                raise OSError
            self._watch.forward(session, port, on, ticket)
        except OSError:
            self._answered(ticket, "the door of the network is not there")

    def _read(self) -> None:
        if self._watch is None:
            return
        found = self._watch.read()
        if found is None:  # it died: the next one is started, and gets the sandboxes from their keepers
            self._reactor.unwatch(self._watch.fileno())
            self._watch.close()
            self._watch = None
            self._again.clear()
            self._connect()
            return
        for words in found:
            if "answer" in words:
                self._answered(words["answer"], words["error"])
            elif "came" in words:
                self._came(words["session"])
            else:
                self._refused(words["session"], f"refused\t{one_line(words['refused'])}\t{one_line(words['why'])}\n")

    def _refused(self, session: str, line: str) -> None:
        self._store.post(lambda tx: self._registry.told(tx, session, [line], event="network"), need=Need.HAPPENED)

    def _came(self, session: str) -> None:
        """Have the door forward a session's ports again: at its start, and when what served it has died, and with it
        what it forwarded.
        """
        view = self._registry.views.get(session)
        if view is None or not view.pid or self._watch is None:  # one that is just starting has no forwards yet
            return
        for port in view.forwards("forward"):
            ticket = next(self._tickets)
            self._again[ticket] = session, port
            with suppress(OSError):  # the door has gone again
                self._watch.forward(session, port, True, ticket)

    def _lost(self, session: str, port: int, why: str) -> None:
        def job(tx: Tx) -> None:
            self._registry.forwarded(tx, session, port, False)
            self._registry.error(tx, session, f"port {port} is not forwarded any more: {why}")

        self._store.post(job, need=Need.HAPPENED)

    def _answered(self, ticket: int, error: str) -> None:
        with self._lock:
            answer = self._answers.get(ticket)
        session, port = self._again.pop(ticket, ("", 0))
        if answer is not None:
            answer.give(error)
        elif error and session:
            self._lost(session, port, error)


class _Answer:
    """What one thread waits for and another gives: nothing, or why not."""

    def __init__(self) -> None:
        self._given = threading.Event()
        self._error = ""

    def give(self, error: str) -> None:
        self._error = error
        self._given.set()

    def wait(self) -> None:
        """Wait for the answer. Raises Unavailable."""
        if not self._given.wait(PATIENCE):
            raise Unavailable("the door of the network does not answer")
        if self._error:
            raise Unavailable(self._error)
