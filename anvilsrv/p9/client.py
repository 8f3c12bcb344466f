"""A 9P client: synchronous, for any number of threads at once on one connection.

There is no thread behind it. Of the threads that wait for an answer one reads the socket and hands the others theirs;
when it has its own it leaves the reading to the next. A connection that breaks stays broken (``ConnectionLost``):
whoever wants another makes another ``Client``.

Nothing is sent that a well-behaved server could choke on: a fid is opened only after its walk was answered, and a
number is used again only after its clunk was.
"""

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from anvilsrv import paths
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.p9 import wire
from anvilsrv.p9.address import fitting
from anvilsrv.p9.wire import NOFID, Stat

RECEIVE = 32 * 1024
DEFAULT = -1.0  # as a timeout: the client's own
M = TypeVar("M")


class P9Error(AnvilError):
    """The server's answer was an Rerror; this is its text."""


class ConnectionLost(Unavailable):
    """The server is gone, or talks no 9P."""


class TimedOut(Unavailable):
    """No answer in time. The request was flushed; what it may have done is unknown."""


class Cancelled(AnvilError):
    """The request was flushed by ``File.cancel``."""


class _Pending:
    """A request that waits for its answer. A Tflush knows the request that it ends."""

    __slots__ = ("answer", "ends", "flushed", "tag")

    def __init__(self, tag: int, ends: "_Pending | None") -> None:
        self.tag = tag
        self.ends = ends
        self.answer: Any = None
        self.flushed = False  # a Tflush follows it: the tag is not free before the Rflush


class Client:
    """A connection to a 9P server, attached to its tree.

    ``address`` is the path of a unix socket or a connected socket. ``timeout`` seconds bound every request that does
    not say otherwise; None waits for ever. Unavailable if nobody listens there.
    """

    def __init__(
        self,
        address: str | os.PathLike[str] | socket.socket,
        *,
        uname: str | None = None,
        aname: str = "",
        msize: int = 65536,
        timeout: float | None = 30.0,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.timeout = timeout
        self.trace = trace
        self._sock = address if isinstance(address, socket.socket) else connect(os.fspath(address), timeout)
        self._sock.settimeout(timeout)
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)
        self._sending = threading.Lock()  # of whole frames
        self._state = threading.Condition()  # of everything below
        self._pending: dict[int, _Pending] = {}
        self._reading = False
        self._lost: AnvilError | None = None
        self._tag = 0
        self._fids: list[int] = []  # clunked, to be used again
        self._fid = 0
        self._in = bytearray()
        try:
            self.msize = msize
            version = self._call(wire.Tversion(wire.NOTAG, msize, wire.VERSION), wire.Rversion)
            if version.version != wire.VERSION or not 64 <= version.msize <= msize:
                raise ConnectionLost(f"server offers {version.version} with msize {version.msize}")
            self.msize = version.msize
            self.root = self._new_fid()
            self._call(wire.Tattach(0, self.root, NOFID, paths.user() if uname is None else uname, aname), wire.Rattach)
        except BaseException:
            self._sock.close()
            raise

    @classmethod
    def connect(cls, service: str = "agent", **options: Any) -> "Client":
        """The service of that name in the current namespace."""
        return cls(f"{paths.namespace()}/{service}", **options)

    @contextlib.contextmanager
    def minding(self, output: int) -> Iterator[None]:
        """Within the block a wait also ends, by BrokenPipeError, when nobody reads ``output`` any more.

        ``output`` is the descriptor of a pipe or socket. For programs of one thread.
        """
        self._poll.register(output, 0)  # POLLERR and POLLHUP come unasked
        try:
            yield
        finally:
            self._poll.unregister(output)

    @property
    def iounit(self) -> int:
        """The most bytes one Tread or Twrite moves."""
        return self.msize - wire.IOHDRSZ

    # --- files ---

    def open(self, path: str, mode: int = wire.OREAD, timeout: float | None = DEFAULT) -> "File":
        fid = self._walk(path, timeout)
        try:
            self._call(wire.Topen(0, fid, mode), wire.Ropen, timeout)
        except BaseException:
            self._clunk_quietly(fid)
            raise
        return File(self, fid, path)

    def read(self, path: str, timeout: float | None = DEFAULT) -> bytes:
        """All of a file; of a blocking file all until its end, with ``timeout`` for each piece."""
        with self.open(path, wire.OREAD, timeout) as file:
            return file.read_all(timeout)

    def write(self, path: str, data: bytes, timeout: float | None = DEFAULT) -> None:
        """Make ``data`` what is written, by one open with OTRUNC and as many writes as it takes (one if empty).

        Errors of the clunk are raised too: only then has the server taken the whole.
        """
        file = self.open(path, wire.OWRITE | wire.OTRUNC, timeout)
        with file:
            file.write(data, timeout=timeout)

    def write_read(self, path: str, data: bytes, timeout: float | None = DEFAULT) -> bytes:
        """Write, then read the answer from the same fid (``ctl``, ``hook``)."""
        with self.open(path, wire.ORDWR, timeout) as file:
            file.write(data, timeout=timeout)
            file.offset = 0
            return file.read_all(timeout)

    def stat(self, path: str, timeout: float | None = DEFAULT) -> Stat:
        with self._walked(path, timeout) as fid:
            return self._call(wire.Tstat(0, fid), wire.Rstat, timeout).stat

    def wstat(self, path: str, stat: Stat, timeout: float | None = DEFAULT) -> None:
        """Change what differs from ``wire.UNTOUCHED``."""
        with self._walked(path, timeout) as fid:
            self._call(wire.Twstat(0, fid, stat), wire.Rwstat, timeout)

    def ls(self, path: str = "", timeout: float | None = DEFAULT) -> list[Stat]:
        """The entries of a directory, in the server's order."""
        return wire.unpack_stats(self.read(path, timeout))

    def remove(self, path: str, timeout: float | None = DEFAULT) -> None:
        fid = self._walk(path, timeout)
        try:
            self._call(wire.Tremove(0, fid), wire.Rremove, timeout)
        finally:
            self._free_fid(fid)  # gone, whatever the answer

    def create(self, path: str, mode: int, perm: int = 0o666, timeout: float | None = DEFAULT) -> "File":
        parent, _, name = path.rstrip("/").rpartition("/")
        fid = self._walk(parent, timeout)
        try:
            self._call(wire.Tcreate(0, fid, name, perm, mode), wire.Rcreate, timeout)
        except BaseException:
            self._clunk_quietly(fid)
            raise
        return File(self, fid, path)

    def close(self) -> None:
        """Hang up. Threads that wait get ConnectionLost."""
        self._lose(ConnectionLost("connection is closed"))
        with self._state:
            self._state.wait_for(lambda: not self._reading, 1.0)
        self._sock.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- fids ---

    def _new_fid(self) -> int:
        with self._state:
            if self._fids:
                return self._fids.pop()
            self._fid += 1
            return self._fid

    def _free_fid(self, fid: int) -> None:
        with self._state:
            self._fids.append(fid)

    def _walk(self, path: str, timeout: float | None) -> int:
        """A new fid at ``path``; more than 16 names take more than one Twalk."""
        names = [name for name in path.split("/") if name]
        fid, start = self._new_fid(), self.root
        done = 0
        while True:
            part = tuple(names[done : done + wire.MAXWELEM])
            try:
                qids = self._call(wire.Twalk(0, start, fid, part), wire.Rwalk, timeout).qids
                if len(qids) != len(part):
                    raise P9Error(f"file does not exist: '{'/'.join(names[: done + len(qids) + 1])}'")
            except P9Error:
                if start == self.root:
                    self._free_fid(fid)
                else:
                    self._clunk_quietly(fid)
                raise
            done, start = done + len(part), fid
            if done >= len(names):
                return fid

    @contextlib.contextmanager
    def _walked(self, path: str, timeout: float | None) -> Iterator[int]:
        fid = self._walk(path, timeout)
        try:
            yield fid
        finally:
            self._clunk_quietly(fid)

    def _clunk(self, fid: int, timeout: float | None = DEFAULT) -> None:
        try:
            self._call(wire.Tclunk(0, fid), wire.Rclunk, timeout)
        except P9Error:
            self._free_fid(fid)  # gone, whatever the answer
            raise
        self._free_fid(fid)

    def _clunk_quietly(self, fid: int) -> None:
        with contextlib.suppress(AnvilError):
            self._clunk(fid)

    # --- requests ---

    def _call(
        self,
        msg: Any,
        expected: type[M],
        timeout: float | None = DEFAULT,
        started: Callable[[_Pending], None] | None = None,
    ) -> M:
        """Send one request and wait for its answer. The tag of ``msg`` is set here."""
        timeout = self.timeout if timeout == DEFAULT else timeout
        call = self._send(msg)
        if started:
            started(call)
        try:
            answer = self._wait(call, timeout)
        except BaseException:
            self._flush(call)
            raise
        if type(answer) is wire.Rerror:
            raise P9Error(answer.ename)
        if type(answer) is not expected:
            raise self._lose(ConnectionLost(f"server answers {type(msg).__name__} by {type(answer).__name__}"))
        return answer

    def _send(self, msg: Any, ends: _Pending | None = None) -> _Pending:
        with self._state:
            if self._lost:
                raise self._lost
            call = _Pending(wire.NOTAG if type(msg) is wire.Tversion else self._free_tag(), ends)
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

    def _flush(self, call: _Pending) -> None:
        """Ask the server to forget a request, without waiting; its tag is free again when that is answered."""
        with self._state:
            if self._lost or call.answer is not None or call.flushed:
                return
            call.flushed = True
        with contextlib.suppress(AnvilError):
            self._send(wire.Tflush(0, call.tag), ends=call)

    def _wait(self, call: _Pending, timeout: float | None) -> Any:
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

    def _read_until(self, call: _Pending, deadline: float | None) -> None:
        """Read the socket for everybody until this call has its answer or its time is up."""
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
        """The connection is over for everybody; the first reason is kept."""
        with self._state:
            self._lost = self._lost or error
            self._state.notify_all()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        return self._lost

    def _show(self, way: str, msg: wire.Message) -> None:
        from anvilsrv.p9 import text  # only where it is used: programs that start often do not need it

        if self.trace:
            self.trace(f"{way} {text.format(msg)}")


class File:
    """An open file. ``offset`` is where the next read or write without one of its own goes."""

    def __init__(self, client: Client, fid: int, path: str) -> None:
        self.client = client
        self.path = path
        self.offset = 0
        self._fid = fid
        self._closed = False
        self._cancelled = False
        self._lock = threading.Lock()  # of what follows
        self._calls: set[_Pending] = set()

    def read(self, count: int | None = None, offset: int | None = None, timeout: float | None = DEFAULT) -> bytes:
        """What one Tread gives (``count`` bytes or as many as fit in a message); empty at the end."""
        at = self.offset if offset is None else offset
        count = self.client.iounit if count is None else min(count, self.client.iounit)
        data = self._call(wire.Tread(0, self._fid, at, count), wire.Rread, timeout).data
        if offset is None:
            self.offset += len(data)
        return data

    def read_all(self, timeout: float | None = DEFAULT) -> bytes:
        """Everything from ``offset`` to the end."""
        pieces = []
        while data := self.read(timeout=timeout):
            pieces.append(data)
        return b"".join(pieces)

    def write(self, data: bytes, offset: int | None = None, timeout: float | None = DEFAULT) -> int:
        """All of ``data``, in as many Twrites as it takes; one of no bytes if it is empty. Returns its length."""
        at, done = self.offset if offset is None else offset, 0
        while True:
            piece = data[done : done + self.client.iounit]
            count = self._call(wire.Twrite(0, self._fid, at + done, piece), wire.Rwrite, timeout).count
            if count > len(piece) or (piece and not count):
                raise P9Error(f"server took {count} of {len(piece)} bytes")
            done += count
            if done >= len(data):
                break
        if offset is None:
            self.offset += done
        return done

    def lines(self) -> Iterator[bytes]:
        """The lines of a stream, each with its newline, waiting as long as it takes; ends at the end of the file or
        by ``cancel``. A line that is not complete at the end is given as it is."""
        rest = b""
        while True:
            try:
                data = self.read(timeout=None)
            except Cancelled:
                return
            if not data:
                break
            *whole, rest = (rest + data).split(b"\n")
            yield from (line + b"\n" for line in whole)
        if rest:
            yield rest

    def cancel(self) -> None:
        """From another thread: flush what waits on this file. The waiting call, and every later one, raises
        Cancelled; ``lines`` ends."""
        with self._lock:
            self._cancelled = True
            calls = list(self._calls)
        for call in calls:
            self.client._flush(call)

    def close(self, timeout: float | None = DEFAULT) -> None:
        """Clunk; the server's error is raised. The second time nothing happens."""
        if not self._closed:
            self._closed = True
            self.client._clunk(self._fid, timeout)

    def __enter__(self) -> "File":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self.close()
        else:
            with contextlib.suppress(AnvilError):
                self.close()

    def _call(self, msg: Any, expected: type[M], timeout: float | None) -> M:
        if self._closed:
            raise Cancelled(f"'{self.path}' is closed")
        mine: list[_Pending] = []

        def started(call: _Pending) -> None:
            mine.append(call)
            with self._lock:
                self._calls.add(call)
                late = self._cancelled
            if late:
                self.client._flush(call)

        try:
            return self.client._call(msg, expected, timeout, started)
        except P9Error:
            if self._cancelled or self._closed:
                raise Cancelled(f"'{self.path}' was closed") from None
            raise
        finally:
            with self._lock:
                self._calls.difference_update(mine)


def dial(service: str = "agent", **options: Any) -> Client:
    """``Client.connect`` under its usual name: the service in the current namespace."""
    return Client.connect(service, **options)


def connect(path: str, timeout: float | None = None) -> socket.socket:
    """A socket connected to the unix socket at ``path``."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        with fitting(path) as short:
            sock.connect(short)
        return sock
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot connect to '{path}': {error.strerror or error}") from None
    except BaseException:
        sock.close()
        raise
