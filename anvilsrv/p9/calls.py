"""Requests in progress, and the fids they act on.

A ``Call`` is one request that may be answered later. Everything about it belongs to the server's I/O thread except its
token: whoever takes the token first (an answer from some thread, a flush, a lost connection) decides how it ends, and
the others find it gone. Answers are posted to the I/O thread; no lock is ever held while a method of the tree runs.
"""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from anvilsrv.errors import AnvilError, Invalid
from anvilsrv.p9 import wire
from anvilsrv.p9.tree import Dir, File, Handle, Later, Node, Request, entries

if TYPE_CHECKING:
    from anvilsrv.p9.connection import Connection

Result = Any  # what the tree's method returned, LATER, or the AnvilError it raised


class Stage(Enum):
    QUEUED = "waits for the calls before it on its fid"
    RUNNING = "its method runs"
    PARKED = "its method returned LATER"
    OVER = "answered or abandoned"


class Fid:
    """A client's name for a file: where it stands, and its handle once it is open.

    Calls that must keep their order (all but the reads of quick files) form a queue; ``holder`` is the one that
    was let go ahead and has not ended.
    """

    __slots__ = ("handle", "holder", "mode", "queue", "slow", "trail")

    def __init__(self, trail: tuple[Node, ...]) -> None:
        self.trail = trail
        self.mode: int | None = None  # as in Topen, once a Topen was accepted
        self.handle: Handle | None = None
        self.slow = False
        self.holder: Call | None = None
        self.queue: deque[Call] = deque()

    @property
    def node(self) -> Node:
        return self.trail[-1]


class Call:
    """One request on a fid; the ``req`` of the tree's methods. ``msg`` None stands for the end of the connection."""

    __slots__ = ("conn", "fid", "flushes", "msg", "silent", "stage", "token")

    def __init__(self, conn: "Connection", fid: Fid, msg: Any) -> None:
        self.conn = conn
        self.fid = fid
        self.msg = msg
        self.stage = Stage.RUNNING
        self.token = threading.Lock()  # taken once, never given back
        self.silent = msg is None  # nobody waits for the answer
        self.flushes: list[int] = []  # tags of Tflush that wait for this call to end

    @property
    def who(self) -> Any:
        return self.conn.who

    @property
    def reads(self) -> bool:
        return type(self.msg) is wire.Tread

    @property
    def revocable(self) -> bool:
        """A flush ends it while it waits. A clunk, which the fid table has already seen, is waited for instead."""
        return type(self.msg) in (wire.Tread, wire.Twrite, wire.Topen)

    @property
    def weight(self) -> int:
        """Bytes it costs to keep this waiting."""
        return 256 + (len(self.msg.data) if type(self.msg) is wire.Twrite else 0)

    def done(self, value: Any = None) -> bool:
        return self._settle(value)

    def fail(self, error: AnvilError | str) -> bool:
        return self._settle(error if isinstance(error, AnvilError) else AnvilError(error))

    def _settle(self, result: Result) -> bool:
        if not self.token.acquire(blocking=False):
            return False
        self.conn.server.post(self.conn.answered, self, result)
        return True

    def run(self) -> Result:
        """Call the tree. On a worker for slow files, else on the I/O thread; never raises."""
        try:
            return _METHODS[type(self.msg)](self)
        except AnvilError as error:
            return error
        except Exception as error:
            self.conn.server.on_error(error)
            return AnvilError("internal error")

    def cancel(self) -> None:
        """Tell the tree that a parked call is over."""
        target = self.fid.handle or self.fid.node
        try:
            if isinstance(target, Handle | File):
                target.cancel(self)
        except Exception as error:
            self.conn.server.on_error(error)


def _open(call: Call) -> Handle | Later:
    node = call.fid.node
    if isinstance(node, Dir):
        return DirHandle(node, call.who)
    assert isinstance(node, File)
    return node.open(call.who, call.msg.mode, call)


def _handle(call: Call) -> Handle:
    if call.fid.handle is None:  # its open, queued before, has failed
        raise Invalid("fid is not open")
    return call.fid.handle


def _read(call: Call) -> bytes | Later:
    return _handle(call).read(call.msg.offset, call.msg.count, call)


def _write(call: Call) -> int | Later:
    return _handle(call).write(call.msg.offset, call.msg.data, call)


def _clunk(call: Call) -> Later | None:
    handle, call.fid.handle = call.fid.handle, None
    return handle.clunk(call) if handle else None


def _hangup(call: Call) -> None:
    handle, call.fid.handle = call.fid.handle, None
    if handle:
        handle.hangup()


_METHODS: dict[type[Any], Callable[[Call], Any]] = {
    wire.Topen: _open,
    wire.Tread: _read,
    wire.Twrite: _write,
    wire.Tclunk: _clunk,
    wire.Tremove: _clunk,
    type(None): _hangup,
}


class DirHandle(Handle):
    """A listing: whole entries only, from 0 or from where the last read ended (read(9p)); 0 lists anew."""

    def __init__(self, node: Dir, who: Any) -> None:
        self.node = node
        self.who = who
        self.entries: list[bytes] = []
        self.offset = self.index = 0

    def read(self, offset: int, count: int, req: Request) -> bytes:
        if offset == 0:
            self.entries, self.offset, self.index = entries(self.node, self.who), 0, 0
        elif offset != self.offset:
            raise Invalid(f"bad offset in directory: {offset}, not 0 or {self.offset}")
        first, size = self.index, 0
        while self.index < len(self.entries) and size + len(self.entries[self.index]) <= count:
            size += len(self.entries[self.index])
            self.index += 1
        if not size and self.index < len(self.entries):
            raise Invalid(f"count too small for a directory entry: {count}")
        self.offset += size
        return b"".join(self.entries[first : self.index])
