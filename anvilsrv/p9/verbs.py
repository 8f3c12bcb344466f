"""The T-messages, section 5 of the manual: ``s<verb>`` handles a request, ``r<verb>`` builds its reply.

A message that reaches no file is handled by ``s<verb>(session, fields)``, which returns the reply; here ``r<verb>``
only packs it. A message that reaches one is admitted to its fid when it comes (``VERBS``). When it is its turn
there, ``s<verb>(call)`` calls the tree, and ``r<verb>(call, result)`` makes the reply of what that returned, then or
later. An AnvilError that is raised becomes the Rerror.

Everything runs on the server's I/O thread, except ``s<verb>(call)`` for a slow file: that runs on a worker.
"""

from collections.abc import Callable
from typing import Any

from anvilsrv.errors import AnvilError, Denied, Invalid, NotDirectory, NotFound
from anvilsrv.p9 import wire
from anvilsrv.p9.admission import Session, check_wstat, creatable, dropped, openable, readable, removed, writable
from anvilsrv.p9.calls import Call, Result
from anvilsrv.p9.dialect import PLAIN, chosen
from anvilsrv.p9.fids import Fid
from anvilsrv.p9.tree import Dir, DirHandle, File, Handle, Later, Node

MAXMSIZE = 128 * 1024
MINMSIZE = 256
RREAD = 11  # bytes of an Rread before its data

rversion, rattach, rflush, rwalk, rwstat = (
    wire.PACKERS[cls] for cls in (wire.Rversion, wire.Rattach, wire.Rflush, wire.Rwalk, wire.Rwstat)
)
pack_ropen, pack_rcreate, pack_rread, pack_rwrite, pack_rclunk, pack_rremove = (
    wire.PACKERS[cls] for cls in (wire.Ropen, wire.Rcreate, wire.Rread, wire.Rwrite, wire.Rclunk, wire.Rremove)
)


# --- the connection, and the fid table --------------------------------------------------------------------------------


def sversion(session: Session, fields: tuple[int, int, str]) -> bytes:
    """Begin a new session: every fid and every request of the old one is gone."""
    tag, msize, name = fields
    session.reset()
    session.msize = 0
    if msize < MINMSIZE:
        raise Invalid(f"msize too small: {msize}, {MINMSIZE} at least")
    dialect, msize = chosen(name), min(msize, MAXMSIZE)
    session.msize = msize if dialect else 0
    session.dialect = dialect or PLAIN
    return rversion(tag, msize, dialect.version if dialect else "unknown")


def sauth(session: Session, fields: tuple[int, int, str, str]) -> bytes:
    raise Denied("no authentication required")


def sattach(session: Session, fields: tuple[int, int, int, str, str]) -> bytes:
    """Attach, whatever the uname: the socket says who the client is."""
    tag, number, afid, _uname, aname = fields
    if afid != wire.NOFID:
        raise Denied("no authentication required")
    if aname not in ("", "/"):
        raise NotFound(f"no such tree '{aname}'")
    session.fids.check_unused(number)
    session.fids.add(number, (session.root,))
    return rattach(tag, session.root.qid(session.who))


def sflush(session: Session, fields: tuple[int, int]) -> bytes | None:
    tag, oldtag = fields
    return None if session.await_end(oldtag, tag) else rflush(tag)


def swalk(session: Session, fields: tuple[int, int, int, tuple[str, ...]]) -> bytes:
    """Walk. A partial walk is answered by the qids so far, and then ``newfid`` is not made (walk(9p))."""
    tag, number, newfid, names = fields
    fids, who = session.fids, session.who
    trail = fids.unopened(number).trail
    if newfid != number:
        fids.check_unused(newfid)
    qids: list[wire.Qid] = []
    for name in names:
        try:
            trail = up(trail) if name == ".." else (*trail, step(trail[-1], who, name))
            qids.append(trail[-1].qid(who))
        except AnvilError:
            if not qids:
                raise
            break
    if len(qids) == len(names):
        if newfid == number:
            fids.remove(number)
        fids.add(newfid, trail)
    return rwalk(tag, qids)


def up(trail: tuple[Node, ...]) -> tuple[Node, ...]:
    """Go to the directory above; the root is above itself."""
    if not isinstance(trail[-1], Dir):
        raise NotDirectory(f"not a directory: '{trail[-1].name}'")
    return trail[:-1] or trail


def step(node: Node, who: Any, name: str) -> Node:
    """Go one name down."""
    if not isinstance(node, Dir):
        raise NotDirectory(f"not a directory: '{node.name}'")
    found = node.lookup(who, name)
    if found is None:
        raise NotFound(f"file does not exist: '{name}'")
    return found


def sstat(session: Session, fields: tuple[int, int]) -> bytes | None:
    tag, number = fields
    fid = session.fids.get(number)
    if fid.node.slow_stat:
        session.call(Stat(session, fid, fields))
        return None
    return session.dialect.rstat(tag, fid.node.stat(session.who))


def swstat(session: Session, fields: tuple[int, int, wire.Stat]) -> bytes:
    tag, number, wanted = fields
    node = session.fids.get(number).node
    if wanted != wire.UNTOUCHED:
        check_wstat(node, session.who, wanted)
        if wanted.length == 0 and isinstance(node, File):
            node.truncate(session.who)
    return rwstat(tag)


# --- what reaches a file ----------------------------------------------------------------------------------------------


def sopen(call: Call) -> Handle | Later:
    node = call.fid.node
    if isinstance(node, File):
        return node.open(call.caller.who, call.fields[2], call)
    assert isinstance(node, Dir)
    return DirHandle(node, call.caller.who, call.caller.dialect.pack_stat)


def ropen(call: Call, handle: Handle) -> bytes:
    fid = call.fid
    assert isinstance(handle, Handle), f"open of '{fid.node.name}' gave {handle!r}"
    fid.handle = handle
    fid.mode = call.fields[2] & 3
    return pack_ropen(call.tag, fid.node.qid(call.caller.who), call.caller.msize - wire.IOHDRSZ)


def keep(call: Call, handle: Result) -> None:
    """Keep the handle of an open whose client has gone before it was done. Hangup, which is next on this fid, releases
    it.
    """
    if isinstance(handle, Handle):
        call.fid.handle = handle


def screate(call: Call) -> tuple[File, Handle]:
    _tag, _number, name, _perm, mode = call.fields
    node = call.fid.node
    assert isinstance(node, Dir)
    return node.create(call.caller.who, name, mode, call)


def rcreate(call: Call, made: tuple[File, Handle]) -> bytes:
    """Make the fid stand for the new file, which is open."""
    fid = call.fid
    fid.node, fid.handle = made
    fid.trail = (*fid.trail, fid.node)
    fid.mode = call.fields[4] & 3
    return pack_rcreate(call.tag, fid.node.qid(call.caller.who), call.caller.msize - wire.IOHDRSZ)


def keep_made(call: Call, made: Result) -> None:
    """Keep the handle of a new file in the same way: the file exists and is not open."""
    if isinstance(made, tuple):
        call.fid.handle = made[1]


def sread(call: Call) -> bytes | Later:
    tag, number, offset, count = call.fields
    most = (call.caller.msize or MINMSIZE) - RREAD  # there is none in a session that has ended meanwhile
    if count > most:
        call.fields = tag, number, offset, most
        count = most
    handle = call.fid.handle
    assert handle
    return handle.read(offset, count, call)


def rread(call: Call, data: bytes) -> bytes:
    return pack_rread(call.tag, data[: call.fields[3]])


def swrite(call: Call) -> int | Later:
    _tag, _number, offset, data = call.fields
    handle = call.fid.handle
    assert handle
    return handle.write(offset, data, call)


def rwrite(call: Call, count: int) -> bytes:
    return pack_rwrite(call.tag, count)


def sslowstat(call: Call) -> wire.Stat:
    return call.fid.node.stat(call.caller.who)


def rslowstat(call: Call, stat: wire.Stat) -> bytes:
    return call.caller.dialect.rstat(call.tag, stat)


def sclunk(call: Call) -> Later | None:
    handle, call.fid.handle = call.fid.handle, None
    return handle.clunk(call) if handle else None


def rclunk(call: Call, result: None) -> bytes:
    return pack_rclunk(call.tag)


def sremove(call: Call) -> Later | None:
    """Remove as remove(9p) says: the fid is gone even if the remove is refused, as it mostly is."""
    found, node, who = sclunk(call), call.fid.node, call.caller.who
    if isinstance(node, File) and node.removable(who):
        node.remove(who)
    return found


def rremove(call: Call, result: None) -> bytes:
    node = call.fid.node
    if isinstance(node, File) and node.removable(call.caller.who):
        return pack_rremove(call.tag)
    refused = Denied(f"permission denied: cannot remove '{node.name}'")
    return call.caller.dialect.rerror(call.tag, str(refused), refused.errno)


def shangup(call: Call) -> None:
    """Handle the end of the connection, or of the session on it, that left this fid open."""
    handle, call.fid.handle = call.fid.handle, None
    if handle:
        handle.hangup()


class Open(Call):
    serve, reply, lost = sopen, ropen, keep
    revocable = True


class Create(Call):
    serve, reply, lost = screate, rcreate, keep_made
    revocable = True


class Read(Call):
    serve, reply = sread, rread
    revocable = reads = True


class Stat(Call):
    serve, reply = sslowstat, rslowstat
    slow = revocable = True


class Write(Call):
    serve, reply = swrite, rwrite
    revocable = True


class Clunk(Call):
    serve, reply = sclunk, rclunk


class Remove(Call):
    serve, reply = sremove, rremove


class Hangup(Call):
    """Sent by no client: what ends a fid that was left open."""

    serve = shangup
    silent = True


# --- the table: what answers a message; or what admits it to a fid, and what it is there ------------------------------

Answer = Callable[[Session, Any], bytes | None]  # of the fields of the message
Admit = Callable[[Session, Any], Fid[Call]]
Verb = Answer | tuple[Admit, type[Call]]

VERBS: dict[int, Verb] = {
    100: sversion, 102: sauth, 104: sattach, 108: sflush, 110: swalk, 112: (openable, Open), 114: (creatable, Create),
    116: (readable, Read), 118: (writable, Write), 120: (dropped, Clunk), 122: (removed, Remove), 124: sstat, 126: swstat,
}  # fmt: skip

PARKABLE = (VERBS[112], VERBS[114], VERBS[116], VERBS[118])  # may wait for the tree
