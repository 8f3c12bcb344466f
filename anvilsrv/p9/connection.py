"""One client's connection: its bytes, its fids, its requests. Everything here runs on the server's I/O thread.

Bounds, so that a client can only hurt itself: a frame is refused by its size field before it is kept; input is not
read while more than ``HIGH`` bytes of replies wait to be taken or more than ``HIGH`` bytes of requests wait for the
tree; at most ``MAXFIDS`` fids and ``MAXCALLS`` parked requests.
"""

import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anvilsrv.errors import AnvilError, Conflict, Denied, Invalid, NotFound
from anvilsrv.p9 import wire
from anvilsrv.p9.calls import Call, Fid, Result, Stage
from anvilsrv.p9.tree import LATER, Dir, File, Handle, Node, walk
from anvilsrv.p9.wire import Rerror, Rflush

if TYPE_CHECKING:
    from anvilsrv.p9.server import Server

MAXMSIZE = 128 * 1024
MINMSIZE = 256
FIRSTSIZE = 8192  # the largest message before a version is agreed on
MAXFIDS = 4096
MAXCALLS = 1024
HIGH = 1024 * 1024
RECEIVE = 64 * 1024

CLUNKED = "fid was clunked"


class Connection:
    def __init__(self, server: "Server", sock: socket.socket, root: Dir, who: Any, place: str) -> None:
        self.server = server
        self.sock = sock
        self.fd = sock.fileno()
        self.root = root
        self.who = who
        self.place = place  # the path of the socket that was connected to
        self.alive = True
        self.msize = 0  # 0: no version agreed on
        self.fids: dict[int, Fid] = {}
        self.calls: dict[int, Call] = {}  # by tag; a Tflush that waits stands for the call it waits for
        self.held = 0  # weight of the calls that wait for the tree
        self._mask = select.EPOLLIN
        self._in = bytearray()  # an incomplete frame, or what was not looked at while stalled
        self._need = 4  # no use in looking at less
        self._out: list[bytes] = []
        self._outsize = 0
        self._backlog = memoryview(b"")

    # --- bytes ---

    def ready(self, event: int) -> None:
        """epoll says so."""
        if event & select.EPOLLOUT:
            self.flush()
        if self.alive and event & ~select.EPOLLOUT:
            self._receive()

    def _receive(self) -> None:
        if not self._mask & select.EPOLLIN:  # stalled, and the other side has hung up
            self.hangup()
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
            self.flush()

    def resume(self) -> None:
        """Look again at input that was kept."""
        data = bytes(self._in)
        self._in.clear()
        self._take(data)
        self.flush()

    def _take(self, data: bytes) -> None:
        """Act on each whole frame; keep the rest."""
        pos, available = 0, len(data)
        self._need = 4
        while available - pos >= 4 and self.alive and not self._stalled():
            size = wire.size_at(data, pos)[0]
            if not wire.HEADER <= size <= (self.msize or FIRSTSIZE):
                self.server.say(f"{self.fd} bad frame of {size} bytes")
                self.flush()
                self.hangup()
                return
            if size > available - pos:
                self._need = size
                break
            self._message(data, pos, pos + size)
            pos += size
        if pos < available and self.alive:
            self._in += data[pos:] if pos else data

    def _stalled(self) -> bool:
        if self._outsize > HIGH:
            self.flush()
        return len(self._backlog) > 0 or self.held > HIGH

    def flush(self) -> None:
        """Send what can be sent without waiting, and tell epoll what to wait for."""
        if not self.alive:
            return
        try:
            while self._backlog or self._out:
                if not self._backlog:
                    self._backlog = memoryview(self._out[0] if len(self._out) == 1 else b"".join(self._out))
                    self._out.clear()
                    self._outsize = 0
                self._backlog = self._backlog[self.sock.send(self._backlog) :]
        except BlockingIOError:
            pass
        except OSError:
            self.hangup()
            return
        mask = select.EPOLLOUT if self._backlog else 0 if self.held > HIGH else select.EPOLLIN
        if mask != self._mask:
            self._mask = mask
            self.server.watch(self.fd, mask)
            if mask == select.EPOLLIN and len(self._in) >= self._need:
                self.server.post(self.resume)

    def reply(self, msg: wire.Rmessage) -> None:
        if self.server.trace:
            self.server.show("->", self, msg)
        data = wire.encode(msg)
        if len(data) > self.msize and self.msize:
            data = wire.encode(Rerror(msg.tag, f"reply of {len(data)} bytes does not fit"))
        self._out.append(data)
        self._outsize += len(data)

    def error(self, tag: int, error: AnvilError | str) -> None:
        """An Rerror whatever the text is: cut to what fits, and made valid."""
        text = str(error).encode("utf-8", "replace").replace(b"\0", b"?")
        self.reply(Rerror(tag, text[: min(1024, (self.msize or MINMSIZE) - 9)].decode("utf-8", "ignore")))

    # --- the end ---

    def hangup(self) -> None:
        """The client is gone: let go of everything it had."""
        if self.alive:
            self.alive = False
            self.server.forget(self)
            self.sock.close()
            self._out.clear()
            self._in.clear()
            self._backlog = memoryview(b"")
            self.reset()

    def reset(self) -> None:
        """End every request without an answer, and every fid as if the client had hung up."""
        for call in set(self.calls.values()):
            call.silent = True
            if call.stage is Stage.PARKED:
                self._abandon(call)
            else:
                call.token.acquire(blocking=False)
        self.calls.clear()
        fids = list(self.fids.values())
        self.fids.clear()
        for fid in fids:
            if fid.handle or fid.holder:
                self._order(Call(self, fid, None))

    # --- calls ---

    def _order(self, call: Call) -> None:
        """Let a call go ahead after those before it on its fid."""
        self.held += call.weight
        if call.fid.holder is None:
            self._begin(call)
        else:
            call.stage = Stage.QUEUED
            call.fid.queue.append(call)

    def _begin(self, call: Call) -> None:
        call.stage = Stage.RUNNING
        call.fid.holder = call
        if call.fid.slow:
            self.server.work(call)
        else:
            self.returned(call, call.run())

    def _release(self, call: Call) -> None:
        """The call no longer keeps the next ones on its fid waiting."""
        fid = call.fid
        if fid.holder is call:
            self.held -= call.weight
            fid.holder = fid.queue.popleft() if fid.queue else None
            if fid.holder:
                self.server.post(self._begin, fid.holder)
            self.server.touched.add(self)

    def returned(self, call: Call, result: Result) -> None:
        """The tree's method has returned (posted by a worker, or called)."""
        if result is not LATER:
            if call.token.acquire(blocking=False):
                self.answered(call, result)
            else:
                self._settle(call, result)
            call.stage = Stage.OVER
            self._release(call)
            return
        if call.stage is Stage.OVER:  # answered before the method had returned
            self._release(call)
            return
        call.stage = Stage.PARKED
        if call.reads:
            self._release(call)
        if call.silent or (call.flushes and call.revocable):
            self._abandon(call)
        elif call.reads and call.fid.mode is None:
            self._abandon(call, CLUNKED)

    def answered(self, call: Call, result: Result) -> None:
        """A call whose token was taken for an answer gets it."""
        parked, call.stage = call.stage is Stage.PARKED, Stage.OVER
        self._settle(call, result)
        if not call.silent:
            self._finish(call, result)
        if parked:
            self._release(call)

    def _settle(self, call: Call, result: Result) -> None:
        """What an open leaves behind, even where its client is gone: what lets go of the fid is next in its queue."""
        if isinstance(result, Handle):
            call.fid.handle = result
        elif type(call.msg) is wire.Topen:
            call.fid.mode = None

    def _finish(self, call: Call, result: Result) -> None:
        """Send the answer, then those of the flushes that waited for it."""
        self.calls.pop(call.msg.tag, None)
        try:
            if isinstance(result, AnvilError):
                self.error(call.msg.tag, result)
            else:
                self.reply(_ANSWERS[type(call.msg)](self, call, result))
        except Exception as error:
            self.server.on_error(error)
            self.error(call.msg.tag, "internal error")
        for tag in call.flushes:
            self.calls.pop(tag, None)
            self.reply(Rflush(tag))
        self.server.touched.add(self)

    def _abandon(self, call: Call, error: str = "") -> None:
        """End a call that does not run without its answer, unless the answer is already on its way."""
        if not call.token.acquire(blocking=False):
            return
        if call.stage is Stage.PARKED:
            call.cancel()
        call.stage = Stage.OVER
        if type(call.msg) is wire.Topen:
            call.fid.mode = None
        if not call.silent:
            if error:
                self.error(call.msg.tag, error)
            for tag in call.flushes:
                self.reply(Rflush(tag))
            for tag in (call.msg.tag, *call.flushes):
                self.calls.pop(tag, None)
            self.server.touched.add(self)
        self._release(call)

    def _call(self, fid: Fid, msg: Any) -> None:
        """Run the tree's method for a request: at once, or in order on a worker."""
        call = Call(self, fid, msg)
        if fid.slow or (fid.holder and not call.reads):
            self.calls[msg.tag] = call
            self._order(call)
            return
        result = call.run()
        if result is not LATER:
            call.token.acquire(blocking=False)
            self._settle(call, result)
            self._finish(call, result)
            return
        self.calls[msg.tag] = call
        call.stage = Stage.PARKED
        if not call.reads:
            self.held += call.weight
            fid.holder = call

    # --- requests ---

    def _message(self, buf: bytes, start: int, end: int) -> None:
        tag = wire.tag_at(buf, start)[0]
        try:
            msg: Any = wire.decode_at(buf, start, end)
            if self.server.trace:
                self.server.show("<-", self, msg)
            verb = _VERBS.get(type(msg))
            if verb is None:
                raise Invalid(f"not a request: {type(msg).__name__}")
            if not self.msize and verb is not Connection._version:
                raise Invalid("no version agreed on")
            if tag in self.calls and verb is not Connection._version:
                raise Conflict(f"duplicate tag {tag}")
            if len(self.calls) >= MAXCALLS and type(msg) in (wire.Topen, wire.Tread, wire.Twrite):
                raise Conflict(f"too many requests wait: {MAXCALLS} at most")
            verb(self, msg)
        except AnvilError as error:
            self.error(tag, error)
        except Exception as error:
            self.server.on_error(error)
            self.error(tag, "internal error")

    def _fid(self, number: int) -> Fid:
        try:
            return self.fids[number]
        except KeyError:
            raise NotFound(f"unknown fid {number}") from None

    def _new(self, number: int, trail: tuple[Node, ...]) -> None:
        if number in self.fids:
            raise Conflict(f"fid {number} is in use")
        if number == wire.NOFID:
            raise Invalid("NOFID is no fid")
        if len(self.fids) >= MAXFIDS:
            raise Conflict(f"too many fids: {MAXFIDS} at most")
        self.fids[number] = Fid(trail)

    def _version(self, msg: wire.Tversion) -> None:
        self.reset()
        self.msize = 0
        if msg.msize < MINMSIZE:
            raise Invalid(f"msize too small: {msg.msize}, {MINMSIZE} at least")
        known = msg.version.split(".")[0] == wire.VERSION
        self.msize = min(msg.msize, MAXMSIZE) if known else 0
        self.reply(wire.Rversion(msg.tag, min(msg.msize, MAXMSIZE), wire.VERSION if known else "unknown"))

    def _auth(self, msg: wire.Tauth) -> None:
        raise Denied("no authentication required")

    def _attach(self, msg: wire.Tattach) -> None:
        if msg.afid != wire.NOFID:
            raise Denied("no authentication required")
        if msg.aname not in ("", "/"):
            raise NotFound(f"no tree '{msg.aname}'")
        self._new(msg.fid, (self.root,))
        self.reply(wire.Rattach(msg.tag, self.root.qid(self.who)))

    def _flush(self, msg: wire.Tflush) -> None:
        call = self.calls.get(msg.oldtag)
        if call is None:
            self.reply(Rflush(msg.tag))
            return
        call.flushes.append(msg.tag)
        self.calls[msg.tag] = call
        if not call.revocable:
            return
        if call.stage is Stage.QUEUED:
            call.fid.queue.remove(call)
            self.held -= call.weight
            self._abandon(call)
        elif call.stage is Stage.PARKED:
            self._abandon(call)

    def _walk(self, msg: wire.Twalk) -> None:
        tag, number, newfid, names = msg
        fid = self._fid(number)
        if fid.mode is not None:
            raise Conflict(f"fid {number} is open")
        if newfid != number and newfid in self.fids:
            raise Conflict(f"fid {newfid} is in use")
        trail, qids = fid.trail, []
        for name in names:
            try:
                trail = (trail[:-1] or trail) if name == ".." else (*trail, walk(trail[-1], self.who, name))
                qids.append(trail[-1].qid(self.who))
            except AnvilError:
                if qids:
                    break
                raise
        if len(qids) == len(names):
            if newfid == number:
                self.fids[number] = Fid(trail)
            else:
                self._new(newfid, trail)
        self.reply(wire.Rwalk(tag, tuple(qids)))

    def _open(self, msg: wire.Topen) -> None:
        fid = self._fid(msg.fid)
        if fid.mode is not None:
            raise Conflict(f"fid {msg.fid} is open")
        check_open(fid.node, self.who, msg.mode)
        fid.slow = isinstance(fid.node, File) and fid.node.slow
        fid.mode = msg.mode
        self._call(fid, msg)

    def _create(self, msg: wire.Tcreate) -> None:
        fid = self._fid(msg.fid)
        if fid.mode is not None:
            raise Conflict(f"fid {msg.fid} is open")
        if not isinstance(fid.node, Dir):
            raise Denied(f"not a directory: '{fid.node.name}'")
        raise Denied(f"permission denied: cannot create '{msg.name}'")

    def _opened(self, number: int, allowed: tuple[int, ...], what: str) -> Fid:
        fid = self._fid(number)
        if fid.mode is None:
            raise Invalid(f"fid {number} is not open")
        if fid.mode & 3 not in allowed:
            raise Denied(f"fid {number} is not open for {what}")
        return fid

    def _read(self, msg: wire.Tread) -> None:
        fid = self._opened(msg.fid, (wire.OREAD, wire.ORDWR, wire.OEXEC), "reading")
        if msg.count > self.msize - 11:
            msg = msg._replace(count=self.msize - 11)
        self._call(fid, msg)

    def _write(self, msg: wire.Twrite) -> None:
        self._call(self._opened(msg.fid, (wire.OWRITE, wire.ORDWR), "writing"), msg)

    def _clunk(self, msg: wire.Tclunk | wire.Tremove) -> None:
        fid = self._fid(msg.fid)
        del self.fids[msg.fid]  # at once: 9fans/go clients use the number again before they have the answer
        fid.mode = None
        for call in set(self.calls.values()):
            if call.fid is fid and call.reads and call.stage is Stage.PARKED:
                self._abandon(call, CLUNKED)
        self._call(fid, msg)

    def _stat(self, msg: wire.Tstat) -> None:
        self.reply(wire.Rstat(msg.tag, self._fid(msg.fid).node.stat(self.who)))

    def _wstat(self, msg: wire.Twstat) -> None:
        node = self._fid(msg.fid).node
        if msg.stat != wire.UNTOUCHED:
            check_wstat(node, self.who, msg.stat)
            if msg.stat.length == 0 and isinstance(node, File):
                node.truncate(self.who)
        self.reply(wire.Rwstat(msg.tag))


def check_open(node: Node, who: Any, mode: int) -> None:
    """Denied unless the node's permission bits allow this Topen."""
    need = {wire.OREAD: 4, wire.OWRITE: 2, wire.ORDWR: 6, wire.OEXEC: 1}[mode & 3] | (2 if mode & wire.OTRUNC else 0)
    if mode & ~(3 | wire.OTRUNC | wire.ORCLOSE):
        raise Invalid(f"bad open mode {mode:#x}")
    if isinstance(node, Dir) and (need & 2 or mode & wire.ORCLOSE):
        raise Denied(f"'{node.name}' is a directory")
    if need & ~(node.permissions(who) >> 6) or mode & wire.ORCLOSE:
        raise Denied(f"permission denied: '{node.name}'")


def check_wstat(node: Node, who: Any, wanted: wire.Stat) -> None:
    """Denied unless this Twstat changes nothing, or only truncates a file that may be written."""
    now = node.stat(who)
    changed = {
        field
        for field, new, old, untouched in zip(wire.Stat._fields, wanted, now, wire.UNTOUCHED, strict=True)
        if new not in (untouched, old)
    }
    if changed - {"length"} or (changed and (wanted.length or not now.mode & 0o200 or now.mode & wire.DMDIR)):
        raise Denied(f"permission denied: cannot change {', '.join(sorted(changed))} of '{node.name}'")


_VERBS: dict[type[Any], Callable[[Connection, Any], None]] = {
    wire.Tversion: Connection._version,
    wire.Tauth: Connection._auth,
    wire.Tattach: Connection._attach,
    wire.Tflush: Connection._flush,
    wire.Twalk: Connection._walk,
    wire.Topen: Connection._open,
    wire.Tcreate: Connection._create,
    wire.Tread: Connection._read,
    wire.Twrite: Connection._write,
    wire.Tclunk: Connection._clunk,
    wire.Tremove: Connection._clunk,
    wire.Tstat: Connection._stat,
    wire.Twstat: Connection._wstat,
}


def _ropen(conn: Connection, call: Call, handle: Handle) -> wire.Rmessage:
    assert isinstance(handle, Handle), f"open of '{call.fid.node.name}' gave {handle!r}"
    return wire.Ropen(call.msg.tag, call.fid.node.qid(conn.who), conn.msize - wire.IOHDRSZ)


_ANSWERS: dict[type[Any], Callable[[Connection, Call, Any], wire.Rmessage]] = {
    wire.Topen: _ropen,
    wire.Tread: lambda conn, call, data: wire.Rread(call.msg.tag, data[: call.msg.count]),
    wire.Twrite: lambda conn, call, count: wire.Rwrite(call.msg.tag, count),
    wire.Tclunk: lambda conn, call, nothing: wire.Rclunk(call.msg.tag),
    wire.Tremove: lambda conn, call, nothing: Rerror(
        call.msg.tag, f"permission denied: cannot remove '{call.fid.node.name}'"
    ),
}
