"""What each T-message does (section 5 of the manual), given its fields. An AnvilError that is raised becomes the Rerror."""

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


def version(conn: "Connection", fields: tuple[int, int, str]) -> None:
    """A new session: every fid and every request of the old one is gone."""
    tag, msize, name = fields
    conn.reset()
    conn.msize = 0
    if msize < MINMSIZE:
        raise Invalid(f"msize too small: {msize}, {MINMSIZE} at least")
    known = name.split(".")[0] == wire.VERSION
    conn.msize = min(msize, MAXMSIZE) if known else 0
    conn.send(rversion(tag, min(msize, MAXMSIZE), wire.VERSION if known else "unknown"))


def auth(conn: "Connection", fields: tuple[int, int, str, str]) -> None:
    raise Denied("no authentication required")


def attach(conn: "Connection", fields: tuple[int, int, int, str, str]) -> None:
    """The uname is not looked at: who somebody is was settled by the socket."""
    tag, number, afid, _uname, aname = fields
    if afid != wire.NOFID:
        raise Denied("no authentication required")
    if aname not in ("", "/"):
        raise NotFound(f"no tree '{aname}'")
    conn.add(number, (conn.root,))
    conn.send(rattach(tag, conn.root.qid(conn.who)))


def flush(conn: "Connection", fields: tuple[int, int]) -> None:
    conn.flush_call(*fields)


def walk(conn: "Connection", fields: tuple[int, int, int, tuple[str, ...]]) -> None:
    """Partly found is answered by the qids so far, and then ``newfid`` is not made (walk(9p))."""
    tag, number, newfid, names = fields
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


def open(conn: "Connection", fields: tuple[int, int, int]) -> None:
    _tag, number, mode = fields
    fid = conn.unopened(number)
    check_open(fid.node, conn.who, mode)
    fid.slow = isinstance(fid.node, File) and fid.node.slow
    conn.call(Open(conn, fid, fields))


def create(conn: "Connection", fields: tuple[int, int, str, int, int]) -> None:
    _tag, number, name, _perm, _mode = fields
    node = conn.unopened(number).node
    if not isinstance(node, Dir):
        raise Denied(f"not a directory: '{node.name}'")
    raise Denied(f"permission denied: cannot create '{name}'")


def read(conn: "Connection", fields: tuple[int, int, int, int]) -> None:
    tag, number, offset, count = fields
    fid = conn.opened(number)
    if fid.mode == OWRITE:
        raise Denied(f"fid {number} is not open for reading")
    if count > conn.msize - 11:
        fields = tag, number, offset, conn.msize - 11
    conn.call(Read(conn, fid, fields))


def write(conn: "Connection", fields: tuple[int, int, int, bytes]) -> None:
    number = fields[1]
    fid = conn.opened(number)
    if fid.mode not in (OWRITE, wire.ORDWR):
        raise Denied(f"fid {number} is not open for writing")
    conn.call(Write(conn, fid, fields))


def clunk(conn: "Connection", fields: tuple[int, int]) -> None:
    conn.call(Clunk(conn, conn.drop(fields[1]), fields))


def remove(conn: "Connection", fields: tuple[int, int]) -> None:
    conn.call(Remove(conn, conn.drop(fields[1]), fields))


def stat(conn: "Connection", fields: tuple[int, int]) -> None:
    tag, number = fields
    conn.send(rstat(tag, conn.fid(number).node.stat(conn.who)))


def wstat(conn: "Connection", fields: tuple[int, int, wire.Stat]) -> None:
    tag, number, wanted = fields
    node = conn.fid(number).node
    if wanted != wire.UNTOUCHED:
        check_wstat(node, conn.who, wanted)
        if wanted.length == 0 and isinstance(node, File):
            node.truncate(conn.who)
    conn.send(rwstat(tag))


Verb = Callable[["Connection", Any], None]

VERBS: dict[int, Verb] = {
    100: version, 102: auth, 104: attach, 108: flush, 110: walk, 112: open, 114: create, 116: read, 118: write,
    120: clunk, 122: remove, 124: stat, 126: wstat,
}  # fmt: skip

PARKABLE = (open, read, write)  # may wait for the tree


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
