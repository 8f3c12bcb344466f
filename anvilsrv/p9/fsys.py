"""An attached connection to a 9P server and the open files on it, for any number of threads at once.

Nothing is sent that a well-behaved server could choke on: a fid is opened only after its walk was answered, and a
number is used again only after its clunk was.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from anvilsrv import paths
from anvilsrv.errors import AnvilError
from anvilsrv.p9 import wire
from anvilsrv.p9.address import connect
from anvilsrv.p9.channel import Cancelled, Channel, ConnectionLost, P9Error, Pending
from anvilsrv.p9.wire import NOFID

DEFAULT = -1.0  # as a timeout: the connection's own
M = TypeVar("M")


class Fsys:
    """A connection to a 9P server, attached to its tree.

    ``address`` is the path of a unix socket or a connected socket. ``timeout`` seconds bound every request that does
    not say otherwise; None waits without a limit. Raises Unavailable if no server listens there.
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
        sock = address if isinstance(address, socket.socket) else connect(os.fspath(address), timeout)
        sock.settimeout(timeout)
        self.channel = Channel(sock, msize, trace)
        self._lock = threading.Lock()  # of the numbers of fids
        self._fids: list[int] = []  # clunked, to be used again
        self._fid = 0
        try:
            version = self.call(wire.Tversion(wire.NOTAG, msize, wire.VERSION), wire.Rversion)
            if version.version != wire.VERSION or not 64 <= version.msize <= msize:
                raise ConnectionLost(f"server offers {version.version} with msize {version.msize}")
            self.channel.agree(version.msize)
            self.root = self._new_fid()
            self.call(wire.Tattach(0, self.root, NOFID, paths.user() if uname is None else uname, aname), wire.Rattach)
        except BaseException:
            sock.close()
            raise

    @property
    def iounit(self) -> int:
        """The most bytes one Tread or Twrite moves."""
        return self.channel.msize - wire.IOHDRSZ

    def call(
        self,
        msg: Any,
        expected: type[M],
        timeout: float | None = DEFAULT,
        started: Callable[[Pending], None] | None = None,
    ) -> M:
        """Call ``Channel.call`` with a timeout of its own."""
        return self.channel.call(msg, expected, self.timeout if timeout == DEFAULT else timeout, started)

    def close(self) -> None:
        """Hang up. Threads that wait get ConnectionLost."""
        self.channel.close()

    # --- fids ---

    def _new_fid(self) -> int:
        with self._lock:
            if self._fids:
                return self._fids.pop()
            self._fid += 1
            return self._fid

    def free_fid(self, fid: int) -> None:
        with self._lock:
            self._fids.append(fid)

    def walk(self, path: str, timeout: float | None) -> int:
        """Return a new fid at ``path``; more than 16 names take more than one Twalk."""
        names = [name for name in path.split("/") if name]
        fid, start = self._new_fid(), self.root
        done = 0
        while True:
            part = tuple(names[done : done + wire.MAXWELEM])
            try:
                qids = self.call(wire.Twalk(0, start, fid, part), wire.Rwalk, timeout).qids
                if len(qids) != len(part):
                    raise P9Error(f"file does not exist: '{'/'.join(names[: done + len(qids) + 1])}'")
            except P9Error:
                if start == self.root:
                    self.free_fid(fid)
                else:
                    self.clunk_quietly(fid)
                raise
            done, start = done + len(part), fid
            if done >= len(names):
                return fid

    @contextlib.contextmanager
    def walked(self, path: str, timeout: float | None) -> Iterator[int]:
        fid = self.walk(path, timeout)
        try:
            yield fid
        finally:
            self.clunk_quietly(fid)

    def clunk(self, fid: int, timeout: float | None = DEFAULT) -> None:
        try:
            self.call(wire.Tclunk(0, fid), wire.Rclunk, timeout)
        except P9Error:
            self.free_fid(fid)  # gone, whatever the answer
            raise
        self.free_fid(fid)

    def clunk_quietly(self, fid: int) -> None:
        with contextlib.suppress(AnvilError):
            self.clunk(fid)


class File:
    """An open file. Reads and writes that name no offset use, and advance, ``offset``."""

    def __init__(self, client: Fsys, fid: int, path: str) -> None:
        self.client = client
        self.path = path
        self.offset = 0
        self._fid = fid
        self._closed = False
        self._cancelled = False
        self._lock = threading.Lock()  # of what follows
        self._calls: set[Pending] = set()

    def read(self, count: int | None = None, offset: int | None = None, timeout: float | None = DEFAULT) -> bytes:
        """Return what one Tread gives (``count`` bytes or as many as fit in a message); empty at the end."""
        at = self.offset if offset is None else offset
        count = self.client.iounit if count is None else min(count, self.client.iounit)
        data = self._call(wire.Tread(0, self._fid, at, count), wire.Rread, timeout).data
        if offset is None:
            self.offset += len(data)
        return data

    def read_all(self, timeout: float | None = DEFAULT) -> bytes:
        """Return everything from ``offset`` to the end."""
        pieces = []
        while data := self.read(timeout=timeout):
            pieces.append(data)
        return b"".join(pieces)

    def write(self, data: bytes, offset: int | None = None, timeout: float | None = DEFAULT) -> int:
        """Write all of ``data``, in as many Twrites as it takes; one of no bytes if it is empty. Returns its length."""
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
        """Yield the lines of a stream, each with its newline, without a time limit; ends at the end of the file or by
        ``cancel``. An incomplete last line is given as it is.
        """
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
        """Flush what waits on this file, from another thread. The waiting call, and every later one, raises Cancelled;
        ``lines`` ends.
        """
        with self._lock:
            self._cancelled = True
            calls = list(self._calls)
        for call in calls:
            self.client.channel.flush(call)

    def close(self, timeout: float | None = DEFAULT) -> None:
        """Clunk, and raise the server's error if there is one. A second call does nothing."""
        if not self._closed:
            self._closed = True
            self.client.clunk(self._fid, timeout)

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
        mine: list[Pending] = []

        def started(call: Pending) -> None:
            mine.append(call)
            with self._lock:
                self._calls.add(call)
                late = self._cancelled
            if late:
                self.client.channel.flush(call)

        try:
            return self.client.call(msg, expected, timeout, started)
        except P9Error:
            if self._cancelled or self._closed:
                raise Cancelled(f"'{self.path}' was closed") from None
            raise
        finally:
            with self._lock:
                self._calls.difference_update(mine)
