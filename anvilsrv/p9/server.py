"""The 9P server: one I/O thread that owns all sockets, and a few workers for slow files.

The I/O thread works in rounds: it waits in epoll, decodes what has come, runs the methods of quick files itself, does
what was posted, and then sends each connection all its replies in one send. So a client with many connections is woken
once, not by each of them. Other threads hand it work by ``post`` (an append to a deque and a byte to an eventfd).
Connections, fids and requests belong to this thread alone; only who answers a call is decided under a lock
(``Connection.settle``).
"""

import errno
import os
import select
import socket
import threading
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter, thread_time
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from anvilsrv.allowance import Allowance
from anvilsrv.p9 import wire
from anvilsrv.p9.calls import Call, Result
from anvilsrv.p9.connection import Connection
from anvilsrv.p9.dialect import PLAIN
from anvilsrv.p9.listener import Listener
from anvilsrv.p9.pace import FairQueue, Pace
from anvilsrv.p9.stream import Stream
from anvilsrv.p9.tree import Dir

ROUND = 64  # sockets looked at before replies are sent
ACCEPTS = 16  # connections taken before others get their turn
REST = 1.0  # seconds between tries to accept when descriptors have run out

Returned = Callable[[Call, Result], None]

# What accept(2) says when descriptors or memory have run out.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class Usage(NamedTuple):
    """What one connection occupies."""

    fids: int
    calls: int  # that wait for an answer
    load: int  # bytes kept for it


class Server:
    """Serves trees on unix sockets.

    ``on_error`` gets every exception of the tree that is not an AnvilError (default: print the traceback on standard
    error); ``trace`` gets one line for each message. Both are called on the thread where it happens.
    """

    def __init__(
        self,
        *,
        on_error: Callable[[BaseException], None] | None = None,
        trace: Callable[[str], None] | None = None,
        workers: int = 4,
    ) -> None:
        self.failed: Callable[[BaseException], None] = on_error or traceback.print_exception
        self.show = trace
        self.touched: set[Stream] = set()  # they may have replies to send at the end of the round
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._awake = False  # a byte is in the eventfd, or its reader is about to look
        self._epoll.register(self._wake, select.EPOLLIN)
        self._posted: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.paced: set[Pace[Stream | Listener]] = set()  # some of theirs wait for another round
        self._jobs: FairQueue[tuple[Call, Returned]] = FairQueue(max(1, workers // 2))
        self._paces: WeakKeyDictionary[Allowance, Pace[Stream | Listener]] = WeakKeyDictionary()  # of those who listen
        self._sources: dict[int, Listener | Connection] = {}
        self._through: dict[Connection, Listener] = {}  # where a connection came from
        self._listeners: dict[str, Listener] = {}
        self._resting: list[Listener] = []
        self._stopping = False
        self._io = threading.Thread(target=self._run, name="9p")
        self._workers = [threading.Thread(target=self._labour, name=f"9p-worker-{i}") for i in range(workers)]

    # --- for the owner, from any thread ---

    def listen(
        self, path: str, root: Dir, who: Any = None, *, limit: int = 1024, allowance: Allowance | None = None,
        full: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """Serve ``root`` at ``path``, a new unix socket of mode 0600; ``who`` is handed to the tree with each request.

        At most ``limit`` connections are kept at a time; further ones are refused. With an ``allowance`` they have no more than
        that together with those of other sockets that share it, and get their turn after those that have none; while ``full`` says that
        too much waits that they asked for, nothing is read of them. A socket file that no server answers is replaced. Raises
        Conflict if one does, Unavailable if the socket cannot be made.
        """
        allowance = allowance or Allowance(bounded=False)
        pace: Pace[Stream | Listener] | None = self._paces.get(allowance)
        if pace is None and allowance.bounded:
            pace = self._paces[allowance] = Pace(full)
        listener = Listener(self._accept, str(path), root, who, limit, allowance, pace)
        self._listeners[listener.path] = listener
        self._sources[listener.fd] = listener
        self._epoll.register(listener.fd, select.EPOLLIN)

    def unlisten(self, path: str) -> None:
        """Remove the socket and hang up on its clients. Returns before the latter is done."""
        listener = self._listeners.pop(str(path))
        listener.unlink()
        self.post(self._close, listener)

    def start(self) -> None:
        for thread in (self._io, *self._workers):
            thread.start()

    def stop(self) -> None:
        """End all threads and close all sockets. Waiting requests get no answer and handles are not told, as if the
        process had ended."""
        self._stopping = True
        self.post(lambda: None)
        self._jobs.close()
        for thread in (self._io, *self._workers):
            if thread.ident:
                thread.join()
        for source in list(self._sources.values()):
            source.sock.close()
        for listener in self._listeners.values():
            listener.unlink()
        self._awake = True  # what is posted from now on stays there
        self._epoll.close()
        os.close(self._wake)

    def usage(self) -> list[Usage]:
        """Return what each connection occupies at the moment."""
        return [Usage(len(conn.fids), len(conn.calls), conn.load) for conn in list(self._through)]

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # --- for connections ---

    def post(self, do: Callable[..., None], *args: Any) -> None:
        """Have the I/O thread call ``do``. From any thread."""
        self._posted.append((do, args))
        if not self._awake:
            self._awake = True
            os.eventfd_write(self._wake, 1)

    def work(self, call: Call, returned: Returned) -> None:
        """Have a worker run a call, and the I/O thread ``returned`` with its result."""
        allowance = call.caller.allowance
        self._jobs.put(allowance if allowance.bounded else None, (call, returned))

    def watch(self, fd: int, mask: int) -> None:
        self._epoll.modify(fd, mask)

    def forget(self, stream: Stream) -> None:
        """Forget a connection that is about to be closed."""
        self._epoll.unregister(stream.fd)
        conn = self._sources.pop(stream.fd)
        assert isinstance(conn, Connection)
        self._through.pop(conn).connections.discard(conn)
        self._rouse()

    # --- the threads ---

    def _run(self) -> None:
        while not self._stopping:
            timeout = self._timeout()
            later: list[tuple[Stream | Listener, int]] = []
            for fd, event in self._epoll.poll(timeout, ROUND):
                if fd == self._wake:
                    os.eventfd_read(self._wake)
                    self._awake = False
                elif source := self._sources.get(fd):
                    if source.pace is not None:
                        later.append((source, event))
                    else:
                        self._ready(source, event)
            if self._posted:
                self._catch_up()
            if self.paced or later:
                self._serve_paced(later)
            while self.touched:
                conn = self.touched.pop()
                try:
                    conn.flush()
                except Exception as error:
                    self._broken(conn, error)
            if self._resting and timeout:
                self._rouse()

    def _ready(self, source: Listener | Stream, event: int) -> None:
        try:
            source.ready(event)
        except Exception as error:
            self._broken(source, error)

    def _timeout(self) -> float | None:
        """Return how long there may be nothing to do."""
        if self._posted:
            return 0
        rest = REST if self._resting else None
        if not self.paced:
            return rest
        now = perf_counter()
        due = min(pace.due(now) for pace in self.paced)
        return due if rest is None else min(due, rest)

    def _serve_paced(self, ready: list[tuple[Stream | Listener, int]]) -> None:
        """Serve a part of a round for each listener that is paced: first those that waited, then those that are ready
        now.
        """
        now = perf_counter()
        for pace in self.paced | {source.pace for source, _ in ready if source.pace is not None}:
            pace.begin(now)
            while pace.waiting and not pace.over:
                one = pace.waiting.popleft()
                try:
                    if one.fd in self._sources:
                        one.resume()
                except Exception as error:
                    self._broken(one, error)
        self.paced = {pace for pace in self.paced if pace.waiting}
        for source, event in ready:
            if isinstance(source, Listener) or source.alive:
                self._ready(source, event)

    def _catch_up(self) -> None:
        """Do what was posted."""
        for _ in range(len(self._posted)):
            do, args = self._posted.popleft()
            try:
                do(*args)
            except MemoryError:
                raise  # a client would wait for ever
            except Exception as error:
                self.failed(error)

    def _broken(self, source: Listener | Stream, error: Exception) -> None:
        """Close the connection that a bug broke: it costs that one, not the server."""
        self.failed(error)
        if isinstance(source, Stream):
            source.hangup()

    def _labour(self) -> None:
        while job := self._jobs.get():
            key, (call, returned) = job
            began = thread_time()
            try:
                self.post(returned, call, call.run())
            finally:
                self._jobs.done(key, thread_time() - began)

    def _accept(self, listener: Listener) -> None:
        if listener.paused:
            listener.paused = False
            self._epoll.modify(listener.fd, select.EPOLLIN)
        for _ in range(ACCEPTS):
            began = thread_time()
            if listener.pace is not None and listener.pace.over:
                listener.paused = True
                self._epoll.modify(listener.fd, 0)
                listener.pace.waiting.append(listener)
                self.paced.add(listener.pace)
                return
            try:
                sock, _address = listener.sock.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._epoll.unregister(listener.fd)
                    self._resting.append(listener)
                return
            sock.setblocking(False)
            if len(listener.connections) >= listener.limit:
                refuse(sock, listener.limit)
                continue
            conn = Connection(self, sock, listener.root, listener.who, listener.allowance, listener.pace)
            self._through[conn] = listener
            listener.connections.add(conn)
            self._sources[conn.fd] = conn
            self._epoll.register(conn.fd, select.EPOLLIN)
            if listener.pace is not None:
                listener.pace.spend(thread_time() - began)

    def _rouse(self) -> None:
        """Accept again."""
        while self._resting:
            listener = self._resting.pop()
            if listener.fd in self._sources:
                self._epoll.register(listener.fd, select.EPOLLIN)

    def _close(self, listener: Listener) -> None:
        if listener in self._resting:
            self._resting.remove(listener)
        else:
            self._epoll.unregister(listener.fd)
        del self._sources[listener.fd]
        listener.sock.close()
        for conn in list(listener.connections):
            conn.flush()
            conn.hangup()


def refuse(sock: socket.socket, limit: int) -> None:
    """Refuse one connection too many: its client is told so in answer to its Tversion, which has no other tag."""
    with suppress(OSError), sock:
        sock.send(PLAIN.rerror(wire.NOTAG, f"busy: {limit:,} connections are open, and that is the limit", errno.EBUSY))
