"""A held control client of a tmux server (``tmux -C``, "CONTROL MODE" of tmux(1)).

Threads: a Reactor reads the pipe from tmux and calls ``on_notice`` and ``on_lost``. Commands come from any other thread, one after
another: ``_turn`` is whose turn it is, and is waited for no longer than an answer. ``_lock`` guards the descriptors and what is
pending; nothing is waited for while it is held.
"""

import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from anvilsrv.errors import Unavailable
from anvilsrv.linux.reactor import Reactor
from anvilsrv.tmux.process import environment
from anvilsrv.tmux.protocol import Call, Hung, split

MAX_COMMAND = 60000  # bytes: what surely fits into the pipe, so that a write never blocks
CHUNK = 1 << 16
REAP = 10.0  # s for a client to be gone that was sent SIGKILL


class ControlClient:
    """One ``tmux -C attach-session``. It never attaches again: when it is not ``alive``, make another.

    ``on_notice(line)`` gets every line that is not part of a reply, on the Reactor's thread. ``on_lost(client)`` is called once, when
    tmux is gone or ``close`` was called, on the thread that notices. Both must be quick and must not call tmux.
    """

    def __init__(
        self,
        reactor: Reactor,
        argv: Sequence[str],
        on_notice: Callable[[bytes], None],
        on_lost: Callable[["ControlClient"], None],
        first: str = "",
        delay: float = 0.0,
    ) -> None:
        """Begin to attach in ``delay`` seconds; then ``first`` is given to tmux, and told by the Reactor if it fails."""
        self._reactor = reactor
        self._argv = argv
        self._on_notice = on_notice
        self._on_lost = on_lost
        self._first = first.encode()
        self._began: Call | None = None
        self._turn = threading.Lock()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stdin = self._stdout = -1
        self._pending: deque[Call] = deque()
        self._rest = b""
        self._said: list[str] = []  # before it was attached, for the error message
        self._attached = threading.Event()  # also set when that failed
        self.was_attached = False
        self.alive = True
        reactor.at(delay, self._start)

    def attached(self, timeout: float) -> None:
        """Wait until it is attached. Raises Unavailable with tmux's words, Hung."""
        if not self._attached.wait(timeout):
            self.close()
            raise Hung(timeout)
        if not self.was_attached:
            words = [line for line in self._said if not line.startswith("%")]
            raise Unavailable(f"tmux: {words[-1]}" if words else "the tmux server is gone")

    def call(self, line: str, timeout: float) -> list[list[str]]:
        """Run a line of commands; what each printed. Raises Unavailable with tmux's words for the first that failed, Hung."""
        until = time.monotonic() + timeout
        if not self._turn.acquire(timeout=timeout):
            raise Hung(timeout)
        try:
            call = self._send(line.encode("utf-8", "surrogateescape"))
            if not call.done.wait(max(0.0, until - time.monotonic())):
                self.close()  # what a server does not read must not fill the pipe; and who else waits need not wait as long
                raise Hung(timeout)
        finally:
            self._turn.release()
        return call.result()

    def again(self) -> None:
        """Give ``first`` once more, without waiting."""
        if self.was_attached:
            self._begin()

    def close(self) -> None:
        """Let go, and reap the process; the server lives on. Idempotent.

        By SIGKILL: a client that is asked to end first waits to be rid of its output.
        """
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(REAP)
        self._lose()

    def _send(self, line: bytes) -> Call:
        if len(line) > MAX_COMMAND:
            raise Unavailable("a tmux command is too long")
        call = Call()
        with self._lock:
            if not self.alive:
                raise Unavailable("the tmux server is gone")
            self._pending.append(call)
            with suppress(OSError):  # then it is gone, which the Reactor sees
                os.write(self._stdin, line + b"\ndisplay-message -p " + call.word + b"\n")
        return call

    def _lose(self) -> None:
        with self._lock:
            if not self.alive:
                return
            self.alive = False
            self._release()
            pending = list(self._pending)
            self._pending.clear()
        for call in pending:
            call.done.set()
        self._attached.set()
        self._on_lost(self)

    def _release(self) -> None:
        """Close our ends; for who holds the lock."""
        if self._process is not None and self._process.stdin is not None and self._process.stdout is not None:
            self._reactor.unwatch(self._stdout)
            self._process.stdin.close()
            self._process.stdout.close()

    # -- the Reactor's thread -------------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self.alive:
            return
        try:
            process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                bufsize=0, cwd="/", env=environment(), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._said = [f"cannot run it: {error.strerror}"]
            self._lose()
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            self._process = process
            if self.alive:
                self._stdin, self._stdout = process.stdin.fileno(), process.stdout.fileno()
                os.set_blocking(self._stdout, False)
                self._reactor.watch(self._stdout, self._readable)
                return
            self._release()  # it was closed meanwhile
        self.close()

    def _readable(self) -> None:
        with self._lock:
            try:
                data = os.read(self._stdout, CHUNK) if self.alive else b""
            except BlockingIOError:
                return
        if not data:
            self.close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def _line(self, line: bytes) -> None:
        if not self.was_attached:
            self._said = [*self._said[-20:], line.decode("utf-8", "replace")]
            if line.startswith(b"%session-changed"):
                self._begin()
                return
        call = self._pending[0] if self._pending else None
        if call is None:
            self._on_notice(line)
        elif line != call.word:
            call.lines.append(line)
        else:
            self._pending.popleft()
            call.blocks, beside = split(call.lines[:-1])  # without the %begin of the word
            call.done.set()
            for one in beside:
                self._on_notice(one)
            if call is self._began:
                self._reactor.do(self._check)

    def _begin(self) -> None:
        self.was_attached = True
        if self._first:
            with suppress(Unavailable):  # lost again, which the Reactor sees
                self._began = self._send(self._first)
        self._attached.set()

    def _check(self) -> None:
        if self._began is not None:
            self._began.result()
