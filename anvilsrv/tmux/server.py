"""The life of our tmux server, and the control client that everything goes through.

A slow tmux is waited for: ``WAIT`` is a bound against one that hangs. A control client that is lost while its server lives (a person
detached it) is replaced, for the sake of what it tells; one that cannot attach is not, until someone needs it.

tmux before 3.7 crashes, and every agent ends with it, when it tells its control clients something while one of them is just attaching:
that a client was detached, above all. So clients stay attached, and after one went none is attached for a while.

Threads: one Reactor reads what comes from tmux and calls who wants to be told. Everything else may be called from any other thread;
the lock guards the choice of the control client, and nothing is waited for while it is held. Every call is bounded and raises only
Unavailable.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from anvilsrv.errors import Unavailable
from anvilsrv.linux.reactor import Reactor
from anvilsrv.tmux import lost, process
from anvilsrv.tmux.control import ControlClient
from anvilsrv.tmux.events import CHANGED, Events, subscribe
from anvilsrv.tmux.options import HOOKS, KEYS, OPTIONS, SESSION
from anvilsrv.tmux.protocol import Hung, quote

WAIT = 60.0  # s for an answer of tmux
TRIES = 3  # to attach: a server that is just ending answers one thing and then another
QUIET = 1.0  # s without an attachment after a client went


class Server:
    """The tmux server at ``socket`` (a path in a private directory). Nothing happens before the first call.

    ``on_error`` gets what callbacks raise. ``timeout`` is what an answer may take, in seconds.
    """

    def __init__(self, socket: Path, on_error: Callable[[BaseException], None], timeout: float = WAIT) -> None:
        self.socket = Path(socket)
        self._timeout = timeout
        self._on_error = on_error
        self._events = Events()
        self._lock = threading.Lock()
        self._reactor: Reactor | None = None
        self._client: ControlClient | None = None
        self._quiet = 0.0  # s, CLOCK_MONOTONIC: until then no client is attached
        self._set_up: ControlClient | None = None  # the one that gave the server our options
        self._clients: set[ControlClient] = set()
        self._closed = False

    def command(self, *words: str) -> list[str]:
        """Run a command of tmux(1), whatever is in its words; the lines that it printed."""
        return self.line(" ".join(map(quote, words)))[0]

    def line(self, line: str) -> list[list[str]]:
        """Run a line of commands in tmux's own language, ``;`` between them; what each printed. The first that fails ends it."""
        return self._control().call(line, self._timeout)

    def ensure(self) -> None:
        """Start the server unless it runs, and set it up."""
        with self._lock:
            client = self._client
        if client is not None and client is self._set_up and client.alive:
            try:
                client.call(f"has-session -t {quote(f'={SESSION}')}", self._timeout)
                return
            except Hung:
                raise
            except Unavailable:
                client.close()
        self._attach_or_start()
        for where, name, value in OPTIONS:
            self.command("set-option", where, name, value)
        for key, *shown in KEYS:
            self.command("bind-key", key, *shown)
        for name, commands in HOOKS:
            self.command("set-hook", "-g", name, commands)
        self._evict()
        with self._lock:
            self._set_up = self._client

    def kill_server(self) -> None:
        """End the server with everything in it; no-op if there is none."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
        with suppress(Unavailable):  # it hangs
            lost.revive(self.socket, QUIET)
        process.end(self.socket)

    def close(self) -> None:
        """Let go of the server, which lives on. Nothing can be asked of it any more."""
        with self._lock:
            self._closed = True
            clients, reactor = list(self._clients), self._reactor
        for client in clients:
            client.close()
        if reactor is not None:
            reactor.close()

    def _attach_or_start(self) -> None:
        for _ in range(TRIES):
            try:
                self._control()
                return
            except Hung:
                raise
            except Unavailable as error:
                why = error
            try:
                if not process.has_session(self.socket, self._timeout):
                    process.start(self.socket, self._timeout)
            except Hung:
                raise
            except Unavailable as error:  # another may have been faster
                why = error
        try:
            self._control()
        except Unavailable:
            raise why from None

    # -- control clients ------------------------------------------------------------------------------------------

    def _control(self) -> ControlClient:
        def client() -> ControlClient:
            with self._lock:
                if self._client is None or not self._client.alive:
                    self._client = self._connect(self._notice, self._lost, subscribe())
                return self._client

        return self._attached(client)

    def _attached(self, client: Callable[[], ControlClient]) -> ControlClient:
        """Wait until it is, also where the server's socket must be made again before. Raises Unavailable."""
        found = client()
        try:
            found.attached(self._timeout)
        except Hung:
            raise
        except Unavailable:
            lost.revive(self.socket, self._timeout)
            if not os.path.lexists(self.socket):
                raise
            found = client()
            found.attached(self._timeout)
        return found

    def _connect(
        self,
        on_notice: Callable[[bytes], None],
        on_lost: Callable[[ControlClient], None],
        first: str = "",
        flags: str = "no-output,ignore-size",
    ) -> ControlClient:
        """Begin to attach a control client; for who holds the lock."""
        if self._closed:
            raise Unavailable("the tmux server was let go")
        if self._reactor is None:
            reactor = Reactor("tmux", self._on_error)
            try:
                reactor.start()
            except RuntimeError as error:  # one that does not run would let everybody wait
                reactor.close()
                raise Unavailable(f"cannot reach tmux: {error}") from None
            self._reactor = reactor
        argv = [
            process.program(),
            "-N",
            "-u",
            *process.control(self.socket),
            "attach-session",
            "-f",
            flags,
            "-t",
            f"={SESSION}",
        ]
        delay = max(0.0, self._quiet - time.monotonic())
        client = ControlClient(self._reactor, argv, on_notice, on_lost, first, delay)
        self._clients.add(client)
        return client

    def _notice(self, line: bytes) -> None:
        if line.startswith(CHANGED) and self._reactor is not None:
            self._reactor.do(partial(self._events.notice, line))  # so that one that raises harms no other

    def _lost(self, client: ControlClient) -> None:
        with self._lock:
            self._clients.discard(client)
            if client.was_attached:
                self._quiet = time.monotonic() + QUIET
                if client is self._client and not self._closed:
                    with suppress(Unavailable):  # no tmux any more: who needs it next is told
                        self._client = self._connect(self._notice, self._lost, subscribe())

    def _evict(self) -> None:
        """End the control clients of a daemon that was killed.

        One that had output on its way then never ends by itself, whether its server still knows it (tmux 3.3a) or not (3.7), and
        a server that is told to end waits for it for ever.
        """
        for pid in process.unread(self.socket):
            with self._lock:
                self._quiet = time.monotonic() + QUIET
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
