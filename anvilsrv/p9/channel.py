"""Requests and answers on one socket, for any number of threads at once.

There is no thread behind it. Of the threads that wait for an answer one reads the socket and hands the others theirs;
when it has its own it leaves the reading to the next. A connection that breaks stays broken (``ConnectionLost``).
"""

import contextlib
import errno
import os
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.p9 import wire

RECEIVE = 32 * 1024
M = TypeVar("M")


_KIND = re.compile("(?:not permitted|i/o error): ")  # which say nothing that the rest of the text does not


class P9Error(AnvilError):
    """The server's answer was an Rerror with the text ``ename``. The sentence of the error begins with the reason: a phrase
    that is there only to tell the kind (``p9/dialect.py``) is left out.
    """

    def __init__(self, ename: str) -> None:
        super().__init__(ename[found.end() :] if (found := _KIND.match(ename)) else ename)
        self.ename = ename


class ConnectionLost(Unavailable):
    """The server is gone, or does not speak 9P."""


class TimedOut(Unavailable):
    """No answer in time. The request was flushed; what it may have done is unknown."""


class Cancelled(AnvilError):
    """The request was flushed by ``File.cancel``."""


class Pending:
    """A request that waits for its answer; ``ends`` is the request that a Tflush is to end."""

    __slots__ = ("answer", "ends", "flushed", "tag")

    def __init__(self, tag: int, ends: "Pending | None") -> None:
        self.tag = tag
        self.ends = ends
        self.answer: Any = None
        self.flushed = False  # a Tflush follows it: the tag is not free before the Rflush


class Channel:
    """A connected socket, closed by ``close``. No answer may be longer than ``msize``, until ``agree`` says another."""

    def __init__(self, sock: socket.socket, msize: int, trace: Callable[[str], None] | None) -> None:
        self.msize = msize
        self.trace = trace
        self._sock = sock
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._sending = threading.Lock()  # of whole frames
        self._state = threading.Condition()  # of everything below
        self._pending: dict[int, Pending] = {}
        self._reading = False
        self._lost: AnvilError | None = None
        self._tag = 0
        self._in = bytearray()

    def agree(self, msize: int) -> None:
        """Set the ``msize`` that the answer to Tversion gives. Before anything else is sent."""
        self.msize = msize

    def close(self) -> None:
        """Hang up. Threads that wait get ConnectionLost."""
        self._lose(ConnectionLost("connection is closed"))
        with self._state:
            self._state.wait_for(lambda: not self._reading, 1.0)
        self._sock.close()

    @contextlib.contextmanager
    def minding(self, output: int) -> Iterator[None]:
        """Within the block, end a wait also when ``output`` has lost its last reader: it raises BrokenPipeError.

        ``output`` is the descriptor of a pipe or socket. For single-threaded programs.
        """
        self._poll.register(output, 0)  # POLLERR and POLLHUP come unasked
        try:
            yield
        finally:
            self._poll.unregister(output)

    def call(
        self, msg: Any, expected: type[M], timeout: float | None, started: Callable[[Pending], None] | None = None
    ) -> M:
        """Send one request and wait for its answer. The tag of ``msg`` is set here; ``started`` gets the request once
        it is sent, for ``flush``."""
        call = self._send(msg)
        if started:
            started(call)
        try:
            answer = self._wait(call, timeout)
        except BaseException:
            self.flush(call)
            raise
        if type(answer) is wire.Rerror:
            raise P9Error(answer.ename)
        if type(answer) is not expected:
            raise self._lose(ConnectionLost(f"server answers {type(msg).__name__} by {type(answer).__name__}"))
        return answer

    def _send(self, msg: Any, ends: Pending | None = None) -> Pending:
        with self._state:
            if self._lost:
                raise self._lost
            call = Pending(wire.NOTAG if type(msg) is wire.Tversion else self._free_tag(), ends)
            self._pending[call.tag] = call
        msg = msg._replace(tag=call.tag)
        if self.trace:
            self._show("->", msg)
        try:
            data = wire.encode(msg)
        except AnvilError:
            with self._state:
                del self._pending[call.tag]
            raise
        try:
            with self._sending:
                self._sock.sendall(data)
        except OSError as error:  # a timeout too: half a frame may be on its way
            raise self._lose(ConnectionLost(f"connection lost: {error.strerror or error}")) from None
        return call

    def _free_tag(self) -> int:
        if len(self._pending) >= wire.NOTAG:
            raise Unavailable("too many requests in flight")
        while self._tag in self._pending:
            self._tag = (self._tag + 1) % wire.NOTAG
        return self._tag

    def flush(self, call: Pending) -> None:
        """Ask the server to forget a request, without waiting; its tag is free again when that is answered."""
        with self._state:
            if self._lost or call.answer is not None or call.flushed:
                return
            call.flushed = True
        with contextlib.suppress(AnvilError):
            self._send(wire.Tflush(0, call.tag), ends=call)

    def _wait(self, call: Pending, timeout: float | None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._state:
                while self._reading and call.answer is None and not self._lost:
                    if not self._state.wait(None if deadline is None else deadline - time.monotonic()):
                        break
                if call.answer is not None:
                    return call.answer
                if self._lost:
                    raise self._lost
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimedOut(f"no answer in {timeout:g} seconds")
                if self._reading:
                    continue
                self._reading = True
            try:
                self._read_until(call, deadline)
            finally:
                with self._state:
                    self._reading = False
                    self._state.notify_all()

    def _read_until(self, call: Pending, deadline: float | None) -> None:
        """Read the socket for all threads, until this call has its answer or its time is up."""
        while call.answer is None and not self._lost:
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = dict(self._poll.poll(None if wait is None else wait * 1000))
            if not ready:
                return
            if self._sock.fileno() not in ready:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            try:
                data = self._sock.recv(RECEIVE)
            except OSError as error:
                self._lose(ConnectionLost(f"connection lost: {error.strerror or error}"))
                return
            if not data:
                self._lose(ConnectionLost("connection lost: the server hung up"))
                return
            try:
                self._take(data)
            except wire.WireError as error:
                self._lose(ConnectionLost(f"connection lost: {error}"))

    def _take(self, data: bytes) -> None:
        if self._in:
            self._in += data
            if len(self._in) < 4 or len(self._in) < wire.size_at(self._in, 0)[0]:
                return
            data = bytes(self._in)
            self._in.clear()
        pos = 0
        while len(data) - pos >= 4:
            (size,) = wire.size_at(data, pos)
            if not wire.HEADER <= size <= self.msize:
                raise wire.WireError(f"bad frame of {size} bytes")
            if size > len(data) - pos:
                break
            self._hand_out(wire.decode(data[pos : pos + size]))
            pos += size
        self._in += data[pos:]

    def _hand_out(self, msg: Any) -> None:
        if self.trace:
            self._show("<-", msg)
        with self._state:
            call = self._pending.pop(msg.tag, None)
            if call is None:
                raise wire.WireError(f"answer to no request: {type(msg).__name__} tag {msg.tag}")
            if call.flushed:
                self._pending[call.tag] = call
            if call.ends:
                del self._pending[call.ends.tag]
                call.ends.answer = call.ends.answer or wire.Rerror(call.ends.tag, "flushed")
            call.answer = msg
            self._state.notify_all()

    def _lose(self, error: ConnectionLost) -> AnvilError:
        """End the connection for all threads; the first reason is kept."""
        with self._state:
            self._lost = self._lost or error
            self._state.notify_all()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        return self._lost

    def _show(self, way: str, msg: wire.Message) -> None:
        from anvilsrv.p9 import text  # here, since programs that start often do without it

        if self.trace:
            self.trace(f"{way} {text.format(msg)}")
