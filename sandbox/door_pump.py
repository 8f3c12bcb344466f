"""Carries the bytes of one connection both ways, between the agent's socket and the service's.

What is small is received and sent; what flows in bulk goes through a pipe by splice(2), without passing through this process. At most
CHUNK bytes of each direction wait here: nothing is read while the other side does not take. Pipes are lent from a pool, since a user's
pipes may hold little (pipe(7)), and returned when the flow ends.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable

from sandbox.door_loop import READ, WRITE, Loop

CHUNK = 65536
BULK = 1 << 20  # bytes of a pipe
THIN = 16384  # twice in a row less than this: no bulk any more
_POOLED = 8
_F_SETPIPE_SZ = 1031
_FLAGS = getattr(os, "SPLICE_F_NONBLOCK", 2) | getattr(os, "SPLICE_F_MOVE", 1)
_buffer = memoryview(bytearray(CHUNK))  # of one step; the loop has one thread
_pool: list[tuple[int, int]] = []


def _lend() -> tuple[int, int]:
    if _pool:
        return _pool.pop()
    pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.fcntl(pipe[1], _F_SETPIPE_SZ, BULK)
    except OSError:
        pass  # it stays as large as it is
    return pipe


def _return(pipe: tuple[int, int], empty: bool) -> None:
    if empty and len(_pool) < _POOLED:
        _pool.append(pipe)
    else:
        os.close(pipe[0])
        os.close(pipe[1])


class _Flow:
    """One direction."""

    def __init__(self, source: socket.socket, target: socket.socket, first: bytes = b"") -> None:
        self.source, self.target = source, target
        self.source_fd, self.target_fd = source.fileno(), target.fileno()
        self.rest = first  # received, not sent yet
        self.pipe: tuple[int, int] | None = None
        self.piped = 0  # bytes in the pipe
        self.full = 0  # times in a row that all of a chunk was there
        self.thin = 0  # times in a row that the pipe got little
        self.ended = False

    @property
    def waiting(self) -> bool:
        return bool(self.rest or self.piped)

    def step(self) -> None:
        """Carry what there is, at most one piece. Raises OSError where the connection is broken."""
        try:
            if self.pipe is None:
                self._carry()
            else:
                self._splice(self.pipe)
        except BlockingIOError:
            return

    def _carry(self) -> None:
        if self.rest:
            self.rest = self.rest[self.target.send(self.rest) :]
            return
        count = self.source.recv_into(_buffer)
        if not count:
            self._end()
            return
        self.full = self.full + 1 if count == CHUNK else 0
        try:
            sent = self.target.send(_buffer[:count])
        except BlockingIOError:
            sent = 0
        if sent < count:
            self.rest = bytes(_buffer[sent:count])
        elif self.full > 1:
            self.pipe = _lend()

    def _splice(self, pipe: tuple[int, int]) -> None:
        if not self.piped:
            self.piped = os.splice(self.source_fd, pipe[1], BULK, flags=_FLAGS)
            if not self.piped:
                self._end()
                return
            self.thin = self.thin + 1 if self.piped < THIN else 0
        self.piped -= os.splice(pipe[0], self.target_fd, self.piped, flags=_FLAGS)
        if not self.piped and self.thin > 1:
            self.close()

    def _end(self) -> None:
        self.close()
        self.ended = True
        try:
            self.target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is closed already

    def close(self) -> None:
        if self.pipe is not None:
            _return(self.pipe, not self.piped)
        self.pipe, self.piped, self.full, self.thin = None, 0, 0, 0


class Pump:
    """Both directions, until both have ended or one breaks; then ``done`` is called, with the sockets closed."""

    def __init__(
        self, loop: Loop, inside: socket.socket, outside: socket.socket, first: bytes, done: Callable[[], None]
    ) -> None:
        self._loop, self._done = loop, done
        self._sockets = (inside, outside)
        for sock in self._sockets:
            sock.setblocking(False)
        self._out, self._in = _Flow(inside, outside, first), _Flow(outside, inside)
        self._fds = (inside.fileno(), outside.fileno())
        self._closed = False
        if first:
            self._step(self._out)
        self._arm()

    def _arm(self) -> None:
        """Watch for what can go on: reading where nothing waits, writing where something does."""
        if self._closed:
            return
        out, into = self._out, self._in
        inside = (0 if out.ended or out.waiting else READ) | (WRITE if into.waiting else 0)
        outside = (0 if into.ended or into.waiting else READ) | (WRITE if out.waiting else 0)
        self._loop.watch(self._fds[0], inside, self._on_inside)
        self._loop.watch(self._fds[1], outside, self._on_outside)

    def _on_inside(self, events: int) -> None:
        if events & ~WRITE and not self._out.ended:
            self._step(self._out)
        if events & ~READ and self._in.waiting and not self._closed:
            self._step(self._in)
        self._arm()

    def _on_outside(self, events: int) -> None:
        if events & ~WRITE and not self._in.ended:
            self._step(self._in)
        if events & ~READ and self._out.waiting and not self._closed:
            self._step(self._out)
        self._arm()

    def _step(self, flow: _Flow) -> None:
        try:
            flow.step()
        except OSError:
            self.close()
            return
        if self._out.ended and self._in.ended:
            self.close()

    def close(self) -> None:
        """End it now."""
        if self._closed:
            return
        self._closed = True
        self._out.close()
        self._in.close()
        for fd, sock in zip(self._fds, self._sockets, strict=True):
            self._loop.forget(fd)
            sock.close()
        self._done()
