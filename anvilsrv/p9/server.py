"""The 9P server: one I/O thread that owns all sockets, and a few workers for slow files.

The I/O thread works in rounds: it waits in epoll, decodes what has come, runs the methods of quick files itself, does
what was posted, and then sends each connection all its replies in one send. So a client with many connections is woken
once, not by each of them. Other threads hand it work by ``post`` (an append to a deque and a byte to an eventfd); no
lock is needed beyond that, since connections, fids and requests belong to this thread alone.
"""

import errno
import os
import select
import socket
import stat
import threading
import traceback
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from anvilsrv.errors import Conflict, Unavailable
from anvilsrv.p9 import address, text, wire
from anvilsrv.p9.calls import Call
from anvilsrv.p9.connection import Connection
from anvilsrv.p9.stream import Stream
from anvilsrv.p9.tree import Dir

BACKLOG = 128
ROUND = 64  # sockets looked at before replies are sent
ACCEPTS = 16  # connections taken before others get their turn
REST = 1.0  # seconds between tries to accept when descriptors have run out

# What accept(2) says when descriptors or memory have run out.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class Server:
    """Serves trees on unix sockets.

    ``on_error`` gets every exception of the tree that is no AnvilError (default: its traceback goes to standard
    error); ``trace`` gets one line for each message. Both are called on whatever thread it happens.
    """

    def __init__(
        self,
        *,
        on_error: Callable[[BaseException], None] | None = None,
        trace: Callable[[str], None] | None = None,
        workers: int = 4,
    ) -> None:
        self.on_error = on_error or traceback.print_exception
        self.trace = trace
        self.touched: set[Stream] = set()  # they may have replies to send at the end of the round
        self.claims = threading.Lock()  # of Call.claimed
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._awake = False  # a byte is in the eventfd, or its reader is about to look
        self._epoll.register(self._wake, select.EPOLLIN)
        self._posted: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._jobs: SimpleQueue[Call | None] = SimpleQueue()
        self._sources: dict[int, Listener | Connection] = {}
        self._through: dict[Stream, Listener] = {}  # where a connection came from
        self._listeners: dict[str, Listener] = {}
        self._resting: list[Listener] = []
        self._stopping = False
        self._io = threading.Thread(target=self._run, name="9p")
        self._workers = [threading.Thread(target=self._labour, name=f"9p-worker-{i}") for i in range(workers)]

    # --- for the owner, from any thread ---

    def listen(self, path: str, root: Dir, who: Any = None, *, limit: int = 1024) -> None:
        """Serve ``root`` at ``path``, a new unix socket of mode 0600; ``who`` is handed to the tree with each request.

        At most ``limit`` connections are kept at a time; more are closed at once. A socket file that nobody
        answers is replaced. Conflict if somebody does, Unavailable if the socket cannot be made.
        """
        listener = Listener(self, str(path), root, who, limit)
        self._listeners[listener.path] = listener
        self._sources[listener.fd] = listener
        self._epoll.register(listener.fd, select.EPOLLIN)

    def unlisten(self, path: str) -> None:
        """Take the socket away and hang up on everybody who came through it. Returns before the latter is done."""
        listener = self._listeners.pop(str(path))
        listener.unlink()
        self.post(self._close, listener)

    def start(self) -> None:
        for thread in (self._io, *self._workers):
            thread.start()

    def stop(self) -> None:
        """End all threads and close all sockets. Requests that wait get no answer and handles are not told: to
        them this is as if the process had ended."""
        self._stopping = True
        self.post(lambda: None)
        for _ in self._workers:
            self._jobs.put(None)
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

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # --- for connections and calls ---

    def post(self, do: Callable[..., None], *args: Any) -> None:
        """Have the I/O thread call ``do``. From any thread."""
        self._posted.append((do, args))
        if not self._awake:
            self._awake = True
            os.eventfd_write(self._wake, 1)

    def work(self, call: Call) -> None:
        """Have a worker run a call."""
        self._jobs.put(call)

    def watch(self, fd: int, mask: int) -> None:
        self._epoll.modify(fd, mask)

    def forget(self, conn: Stream) -> None:
        """A connection is about to be closed."""
        self._epoll.unregister(conn.fd)
        del self._sources[conn.fd]
        self._through.pop(conn).connections.discard(conn)
        self._rouse()

    def say(self, line: str) -> None:
        if self.trace:
            self.trace(line)

    def show(self, way: str, conn: Stream, frame: bytes) -> None:
        """Trace a message: ``<- 9 Tclunk tag 1 fid 0`` came from connection 9."""
        self.say(f"{way} {conn.fd} {text.format(wire.decode(frame))}")

    # --- the threads ---

    def _run(self) -> None:
        while not self._stopping:
            timeout = 0 if self._posted else REST if self._resting else None
            for fd, event in self._epoll.poll(timeout, ROUND):
                if fd == self._wake:
                    os.eventfd_read(self._wake)
                    self._awake = False
                elif source := self._sources.get(fd):
                    try:
                        source.ready(event)
                    except Exception as error:
                        self._broken(source, error)
            if self._posted:
                self._catch_up()
            while self.touched:
                conn = self.touched.pop()
                try:
                    conn.flush()
                except Exception as error:
                    self._broken(conn, error)
            if timeout:
                self._rouse()

    def _catch_up(self) -> None:
        """Do what was posted."""
        for _ in range(len(self._posted)):
            do, args = self._posted.popleft()
            try:
                do(*args)
            except Exception as error:
                self.on_error(error)

    def _broken(self, source: "Listener | Stream", error: Exception) -> None:
        """A mistake of ours costs one connection, not the server."""
        self.on_error(error)
        if isinstance(source, Stream):
            source.hangup()

    def _labour(self) -> None:
        while call := self._jobs.get():
            self.post(call.conn.returned, call, call.run())

    def accept(self, listener: "Listener") -> None:
        for _ in range(ACCEPTS):
            try:
                sock, _address = listener.sock.accept()
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._epoll.unregister(listener.fd)
                    self._resting.append(listener)
                return
            if len(listener.connections) >= listener.limit:
                sock.close()
                continue
            sock.setblocking(False)
            conn = Connection(self, sock, listener.root, listener.who)
            self._through[conn] = listener
            listener.connections.add(conn)
            self._sources[conn.fd] = conn
            self._epoll.register(conn.fd, select.EPOLLIN)

    def _rouse(self) -> None:
        """Accept again."""
        while self._resting:
            listener = self._resting.pop()
            if listener.fd in self._sources:
                self._epoll.register(listener.fd, select.EPOLLIN)

    def _close(self, listener: "Listener") -> None:
        if listener in self._resting:
            self._resting.remove(listener)
        else:
            self._epoll.unregister(listener.fd)
        del self._sources[listener.fd]
        listener.sock.close()
        for conn in list(listener.connections):
            conn.flush()
            conn.hangup()


class Listener:
    """A socket that is listened to, and who came through it."""

    def __init__(self, server: Server, path: str, root: Dir, who: Any, limit: int) -> None:
        self.server = server
        self.path = path
        self.root = root
        self.who = who
        self.limit = limit
        self.connections: set[Stream] = set()
        self.sock, self._inode = bind(path)
        self.fd = self.sock.fileno()

    def ready(self, event: int) -> None:
        self.server.accept(self)

    def unlink(self) -> None:
        """Remove the socket file if it is still ours."""
        try:
            if os.lstat(self.path).st_ino == self._inode:
                os.unlink(self.path)
        except FileNotFoundError:
            pass


def bind(path: str) -> tuple[socket.socket, int]:
    """A listening socket at ``path``, mode 0600 from its first moment, and its inode."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        os.fchmod(sock.fileno(), 0o600)
        with address.fitting(path) as short:
            _clear(short, path)
            sock.bind(short)
            sock.listen(BACKLOG)
            return sock, os.lstat(short).st_ino
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot listen at '{path}': {error.strerror or error}") from None
    except BaseException:
        sock.close()
        raise


def _clear(short: str, path: str) -> None:
    """Take a dead socket out of the way."""
    try:
        if not stat.S_ISSOCK(os.lstat(short).st_mode):
            raise Conflict(f"'{path}' exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            os.unlink(short)
            return
        except BlockingIOError:
            pass
    raise Conflict(f"somebody listens at '{path}'")
