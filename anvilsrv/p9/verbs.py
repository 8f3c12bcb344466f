"""What each T-message does (section 5 of the manual). An AnvilError that is raised becomes the Rerror."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anvilsrv.errors import AnvilError, Conflict, Denied, Invalid, NotFound
from anvilsrv.p9 import wire
from anvilsrv.p9.calls import Clunk, Open, Read, Remove, Write
from anvilsrv.p9.tree import Dir, File, Node
from anvilsrv.p9.wire import OWRITE

if TYPE_CHECKING:
    from anvilsrv.p9.connection import Connection

MAXMSIZE = 128 * 1024
MINMSIZE = 256

rversion, rattach, rflush, rwalk, rstat, rwstat = (
    wire.PACKERS[cls] for cls in (wire.Rversion, wire.Rattach, wire.Rflush, wire.Rwalk, wire.Rstat, wire.Rwstat)
)

_NEEDS = (4, 2, 6, 1)  # permission bits for OREAD, OWRITE, ORDWR, OEXEC


def version(conn: "Connection", msg: wire.Tversion) -> None:
    """A new session: every fid and every request of the old one is gone."""
    conn.reset()
    conn.msize = 0
    if msg.msize < MINMSIZE:
        raise Invalid(f"msize too small: {msg.msize}, {MINMSIZE} at least")
    known = msg.version.split(".")[0] == wire.VERSION
    conn.msize = min(msg.msize, MAXMSIZE) if known else 0
    conn.send(rversion(msg.tag, min(msg.msize, MAXMSIZE), wire.VERSION if known else "unknown"))


def auth(conn: "Connection", msg: wire.Tauth) -> None:
    raise Denied("no authentication required")


def attach(conn: "Connection", msg: wire.Tattach) -> None:
    """The uname is not looked at: who somebody is was settled by the socket."""
    if msg.afid != wire.NOFID:
        raise Denied("no authentication required")
    if msg.aname not in ("", "/"):
        raise NotFound(f"no tree '{msg.aname}'")
    conn.add(msg.fid, (conn.root,))
    conn.send(rattach(msg.tag, conn.root.qid(conn.who)))


def flush(conn: "Connection", msg: wire.Tflush) -> None:
    conn.flush_call(msg.tag, msg.oldtag)


def walk(conn: "Connection", msg: wire.Twalk) -> None:
    """Partly found is answered by the qids so far, and then ``newfid`` is not made (walk(9p))."""
    tag, number, newfid, names = msg
    trail = conn.unopened(number).trail
    if newfid != number and newfid in conn.fids:
        raise Conflict(f"fid {newfid} is in use")
    qids: list[wire.Qid] = []
    for name in names:
        try:
            trail = (trail[:-1] or trail) if name == ".." else (*trail, step(trail[-1], conn.who, name))
            qids.append(trail[-1].qid(conn.who))
        except AnvilError:
            if not qids:
                raise
            break
    if len(qids) == len(names):
        if newfid == number:
            conn.fids.pop(number)
        conn.add(newfid, trail)
    conn.send(rwalk(tag, qids))


def step(node: Node, who: Any, name: str) -> Node:
    """One name down."""
    if not isinstance(node, Dir):
        raise Denied(f"not a directory: '{node.name}'")
    found = node.lookup(who, name)
    if found is None:
        raise NotFound(f"file does not exist: '{name}'")
    return found


def open(conn: "Connection", msg: wire.Topen) -> None:
    fid = conn.unopened(msg.fid)
    check_open(fid.node, conn.who, msg.mode)
    fid.slow = isinstance(fid.node, File) and fid.node.slow
    conn.call(Open(conn, fid, msg))


def create(conn: "Connection", msg: wire.Tcreate) -> None:
    node = conn.unopened(msg.fid).node
    if not isinstance(node, Dir):
        raise Denied(f"not a directory: '{node.name}'")
    raise Denied(f"permission denied: cannot create '{msg.name}'")


def read(conn: "Connection", msg: wire.Tread) -> None:
    fid = conn.opened(msg.fid)
    if fid.mode == OWRITE:
        raise Denied(f"fid {msg.fid} is not open for reading")
    if msg.count > conn.msize - 11:
        msg = msg._replace(count=conn.msize - 11)
    conn.call(Read(conn, fid, msg))


def write(conn: "Connection", msg: wire.Twrite) -> None:
    fid = conn.opened(msg.fid)
    if fid.mode not in (OWRITE, wire.ORDWR):
        raise Denied(f"fid {msg.fid} is not open for writing")
    conn.call(Write(conn, fid, msg))


def clunk(conn: "Connection", msg: wire.Tclunk) -> None:
    conn.call(Clunk(conn, conn.drop(msg.fid), msg))


def remove(conn: "Connection", msg: wire.Tremove) -> None:
    conn.call(Remove(conn, conn.drop(msg.fid), msg))


def stat(conn: "Connection", msg: wire.Tstat) -> None:
    conn.send(rstat(msg.tag, conn.fid(msg.fid).node.stat(conn.who)))


def wstat(conn: "Connection", msg: wire.Twstat) -> None:
    node = conn.fid(msg.fid).node
    if msg.stat != wire.UNTOUCHED:
        check_wstat(node, conn.who, msg.stat)
        if msg.stat.length == 0 and isinstance(node, File):
            node.truncate(conn.who)
    conn.send(rwstat(msg.tag))


def not_a_request(conn: "Connection", msg: Any) -> None:
    raise Invalid(f"not a request: {type(msg).__name__}")


VERBS: dict[type[Any], Callable[["Connection", Any], None]] = {
    wire.Tversion: version,
    wire.Tauth: auth,
    wire.Tattach: attach,
    wire.Tflush: flush,
    wire.Twalk: walk,
    wire.Topen: open,
    wire.Tcreate: create,
    wire.Tread: read,
    wire.Twrite: write,
    wire.Tclunk: clunk,
    wire.Tremove: remove,
    wire.Tstat: stat,
    wire.Twstat: wstat,
}


def check_open(node: Node, who: Any, mode: int) -> None:
    """Denied unless the node's permission bits allow this Topen."""
    if mode & ~(3 | wire.OTRUNC | wire.ORCLOSE):
        raise Invalid(f"bad open mode {mode:#x}")
    need = _NEEDS[mode & 3] | (2 if mode & wire.OTRUNC else 0)
    if need & 2 and isinstance(node, Dir):
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
