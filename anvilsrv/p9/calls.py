"""Requests in progress, and the fids they act on.

A ``Call`` is one request on an open (or opening, or closing) fid. It may be answered later, by any thread; everything
else about it belongs to the server's I/O thread. Whoever claims it first (an answer, a flush, a lost connection)
decides how it ends, and the others find it gone. Answers are posted to the I/O thread; no lock is held while the tree
runs.

There is one class for each message that reaches a handle: ``act`` calls the tree, ``answer`` makes the reply of what
that returned.
"""

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any

from anvilsrv.errors import AnvilError, Invalid
from anvilsrv.p9 import wire
from anvilsrv.p9.tree import Dir, File, Handle, Later, Node, Request, entries

if TYPE_CHECKING:
    from anvilsrv.p9.connection import Connection

ropen, rread, rwrite, rclunk, rerror = (
    wire.PACKERS[cls] for cls in (wire.Ropen, wire.Rread, wire.Rwrite, wire.Rclunk, wire.Rerror)
)

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

    __slots__ = ("gone", "handle", "holder", "mode", "node", "queue", "slow", "trail")

    def __init__(self, trail: tuple[Node, ...]) -> None:
        self.trail = trail  # from the root to the file
        self.node = trail[-1]
        self.mode: int | None = None  # OREAD to OEXEC once it is open
        self.handle: Handle | None = None
        self.slow = False
        self.gone = False  # clunked
        self.holder: Call | None = None
        self.queue: deque[Call] | None = None  # made when it is first needed: most fids never do


class Call:
    """One request; the ``req`` of the tree's methods."""

    reads = False  # keeps no other call on its fid waiting while it is parked
    revocable = False  # a flush ends it while it waits; what the fid table has already seen is waited for instead
    stage = Stage.RUNNING
    claimed = False  # how it ends is decided
    silent = False  # nobody waits for the answer
    flushes: tuple[int, ...] = ()  # tags of the Tflush that wait for it to end

    def __init__(self, conn: "Connection", fid: Fid, fields: tuple[Any, ...]) -> None:
        self.conn = conn
        self.fid = fid
        self.fields = fields  # of the message
        self.tag = fields[0]

    def act(self) -> Result:
        raise NotImplementedError

    def answer(self, result: Result) -> bytes:
        """The frame of the reply."""
        raise NotImplementedError

    def lost(self, result: Result) -> None:
        """The result came too late for its client."""

    @property
    def who(self) -> Any:
        return self.conn.who

    @property
    def weight(self) -> int:
        """Bytes it costs to keep this waiting."""
        return 256

    def done(self, value: Any = None) -> bool:
        return self._settle(value)

    def fail(self, error: AnvilError | str) -> bool:
        return self._settle(error if isinstance(error, AnvilError) else AnvilError(error))

    def _settle(self, result: Result) -> bool:
        if not self.claim():
            return False
        self.conn.server.post(self.conn.answered, self, result)
        return True

    def claim(self) -> bool:
        """True for the first who asks."""
        with self.conn.server.claims:
            claimed, self.claimed = self.claimed, True
            return not claimed

    def run(self) -> Result:
        """Call the tree. On a worker for slow files, else on the I/O thread; never raises."""
        try:
            return self.act()
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


class Open(Call):
    revocable = True

    def act(self) -> Handle | Later:
        node = self.fid.node
        if isinstance(node, File):
            return node.open(self.conn.who, self.fields[2], self)
        assert isinstance(node, Dir)
        return DirHandle(node, self.conn.who)

    def answer(self, result: Handle) -> bytes:
        assert isinstance(result, Handle), f"open of '{self.fid.node.name}' gave {result!r}"
        self.fid.handle = result
        self.fid.mode = self.fields[2] & 3
        return ropen(self.tag, self.fid.node.qid(self.conn.who), self.conn.msize - wire.IOHDRSZ)

    def lost(self, result: Result) -> None:
        if isinstance(result, Handle):
            self.fid.handle = result  # for the Hangup, which is next on this fid


class Read(Call):
    reads = True
    revocable = True

    def act(self) -> bytes | Later:
        _tag, _fid, offset, count = self.fields
        handle = self.fid.handle
        assert handle
        return handle.read(offset, count, self)

    def answer(self, result: bytes) -> bytes:
        return rread(self.tag, result[: self.fields[3]])


class Write(Call):
    revocable = True

    def act(self) -> int | Later:
        _tag, _fid, offset, data = self.fields
        handle = self.fid.handle
        assert handle
        return handle.write(offset, data, self)

    def answer(self, result: int) -> bytes:
        return rwrite(self.tag, result)

    @property
    def weight(self) -> int:
        return 256 + len(self.fields[3])


class Clunk(Call):
    def act(self) -> Later | None:
        handle, self.fid.handle = self.fid.handle, None
        return handle.clunk(self) if handle else None

    def answer(self, result: None) -> bytes:
        return rclunk(self.tag)


class Remove(Clunk):
    """A clunk that is refused (remove(9p): the fid is gone all the same)."""

    def answer(self, result: None) -> bytes:
        return rerror(self.tag, f"permission denied: cannot remove '{self.fid.node.name}'")


class Hangup(Call):
    """The connection, or the session on it, has ended and left this fid open."""

    silent = True

    def act(self) -> None:
        handle, self.fid.handle = self.fid.handle, None
        if handle:
            handle.hangup()


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
