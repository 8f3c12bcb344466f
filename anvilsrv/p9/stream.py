"""The bytes of one connection, on the server's I/O thread: frames come in, replies go out, and neither blocks.

A frame is refused by its size field before it is kept. ``load`` counts the bytes kept for the client: replies that its
socket does not take, and requests that wait for the tree. While it is over ``HIGH`` nothing more is read.
"""

import errno
import socket
from collections.abc import Callable
from select import EPOLLIN, EPOLLONESHOT, EPOLLOUT
from time import thread_time
from typing import Any, Protocol

from anvilsrv.p9 import text
from anvilsrv.p9.dialect import PLAIN
from anvilsrv.p9.frames import HEADER, size_at, tag_of
from anvilsrv.p9.pace import Pace
from anvilsrv.p9.values import new
from anvilsrv.p9.wire import TYPES

FIRSTSIZE = 8192  # the largest message before a version is agreed on
HIGH = 1024 * 1024
RECEIVE = 32 * 1024  # more is slower: malloc gives a larger buffer back to the kernel after each receive


class Loop(Protocol):
    """What a stream needs of the loop that watches its socket."""

    @property
    def show(self) -> Callable[[str], None] | None:
        """Gets one line for each message, if there is a trace."""

    @property
    def touched(self) -> "set[Stream]":
        """Those that the loop is to ``flush`` at the end of its round."""

    @property
    def paced(self) -> "set[Pace[Any]]":
        """Those with streams that wait for another round."""

    def post(self, do: Callable[..., None], *args: Any) -> None:
        """Call ``do`` in the next round."""

    def watch(self, fd: int, mask: int) -> None:
        """Wait for other events of a socket."""

    def forget(self, stream: "Stream") -> None:
        """Forget the socket, which is about to be closed."""


class Stream:
    """The framing and buffering of one socket. Subclasses implement ``message``, and extend ``hangup``.

    With a ``pace`` it is served for a part of each round only; what has come beyond that is looked at in the next.
    """

    def __init__(self, loop: Loop, sock: socket.socket, pace: "Pace[Any] | None" = None) -> None:
        self.loop = loop
        self.pace = pace
        self._paused = False  # it waits for another round
        self.sock = sock
        self.fd = sock.fileno()
        self.trace = loop.show
        self.alive = True
        self.dialect = PLAIN
        self.msize = 0  # 0: no version agreed on
        self.load = 0
        self._mask = EPOLLIN
        self._in = bytearray()  # an incomplete frame, or what was not looked at while stalled
        self._need = 4  # no use in looking at less
        self._out: list[bytes] = []
        self._backlog: memoryview | None = None  # what the socket would not take

    def message(self, frame: bytes) -> None:
        """Act on one whole frame."""
        raise NotImplementedError

    def hangup(self) -> None:
        """Close. A second call does nothing."""
        if self.alive:
            self.alive = False
            self.loop.forget(self)
            self.sock.close()
            self._out.clear()
            self._in.clear()
            self._backlog = None

    def ready(self, event: int) -> None:
        """Handle an ``event`` that epoll reports for the socket."""
        if self._paused and not event & EPOLLOUT:
            return  # epoll says it again when it goes on
        if event != EPOLLIN and not self._readable(event):
            return
        if self.pace is not None and self.pace.over:
            self._pause()
            return
        try:
            data = self.sock.recv(RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.hangup()
        elif self._in:
            self._in += data
            if len(self._in) >= self._need:
                self.resume()
        else:
            self._take(data)

    def _readable(self, event: int) -> bool:
        """Handle an event that is more than input; True if there is input to read too."""
        if event & EPOLLOUT:
            self.flush()
        if self.alive and event & ~EPOLLOUT and not self._mask & EPOLLIN:
            self.hangup()  # stalled, and the other side has hung up
        return self.alive and bool(event & ~EPOLLOUT)

    def resume(self) -> None:
        """Look again at input that was kept."""
        self._paused = False
        data = bytes(self._in)
        self._in.clear()
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Act on each whole frame; keep the rest."""
        self.loop.touched.add(self)
        pos, available, need = 0, len(data), 4
        began = thread_time() if self.pace is not None else 0.0
        while available - pos >= 4:
            (size,) = size_at(data, pos)
            if not HEADER <= size <= (self.msize or FIRSTSIZE):
                if self.trace:
                    self.trace(f"{self.fd} bad frame of {size} bytes")
                self.flush()
                self.hangup()
                return
            end = pos + size
            if end > available:
                need = size
                break
            self.message(data[pos:end])
            pos = end
            if self.load > HIGH:
                self.flush()
                if self.load > HIGH or not self.alive:
                    break
            if self.pace is not None:
                now = thread_time()
                self.pace.spend(now - began)
                began = now
                if self.pace.over and pos < available:
                    self._pause()
                    break
        if pos < available and self.alive:
            self._in += data[pos:]
            self._need = need

    def _pause(self) -> None:
        """Go on in another round, and read nothing before."""
        if self.pace is not None and not self._paused:
            self._paused = True
            self.pace.waiting.append(self)
            self.loop.paced.add(self.pace)
            self.loop.touched.add(self)

    def send(self, frame: bytes) -> None:
        """Add a reply to what goes out with the next ``flush``: at the end of the server's round, if it is touched."""
        if len(frame) > self.msize and self.msize:
            frame = self.dialect.rerror(tag_of(frame), f"reply too long: {len(frame)} bytes", errno.E2BIG)
        if self.trace:
            self.show("->", frame)
        self._out.append(frame)
        self.load += len(frame)

    def show(self, way: str, frame: bytes) -> None:
        """Trace a message: ``<- 9 Tclunk tag 1 fid 0`` came from connection 9."""
        if self.trace:
            self.trace(f"{way} {self.fd} {text.format(new(TYPES[frame[4]], self.dialect.unpack(frame)))}")

    def flush(self) -> None:
        """Send what can be sent without waiting, then tell epoll what to wait for."""
        if not self.alive:
            return
        out = self._out
        try:
            while out or self._backlog:
                data = self._backlog or b"".join(out)
                sent = self.sock.send(data)
                if self._backlog is None:
                    out.clear()
                self.load -= sent
                self._backlog = memoryview(data)[sent:] if sent < len(data) else None
        except BlockingIOError:
            pass
        except OSError:
            self.hangup()
            return
        if self.load or self._mask != EPOLLIN or self._paused:
            self._attend()

    def _attend(self) -> None:
        if self._backlog or self._out:
            mask = EPOLLOUT
        elif self._paused:
            mask = EPOLLONESHOT  # not even a hangup is told more than once
        else:
            mask = 0 if self.load > HIGH else EPOLLIN
        if mask != self._mask:
            self._mask = mask
            self.loop.watch(self.fd, mask)
            if mask == EPOLLIN and len(self._in) >= self._need:
                self.loop.post(self.resume)
