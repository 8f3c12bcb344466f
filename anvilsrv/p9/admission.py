"""What a request may do: to its connection, to the fid it names, and to the file by its permission bits.

The checks run on the server's I/O thread when the request has come, also if its turn on the fid is later.
"""

from typing import Any, Protocol

from anvilsrv.errors import Denied, Invalid, IsDirectory, NotDirectory
from anvilsrv.p9 import wire
from anvilsrv.p9.calls import Call, Caller
from anvilsrv.p9.fids import BadFid, Fid, Fids
from anvilsrv.p9.tree import Dir, Node
from anvilsrv.p9.wire import OWRITE

_NEEDS = (4, 2, 6, 1)  # permission bits for OREAD, OWRITE, ORDWR, OEXEC


class Session(Caller, Protocol):
    """The connection as requests see it."""

    @property
    def root(self) -> Dir: ...

    @property
    def fids(self) -> Fids[Call]: ...

    def call(self, call: Call) -> None:
        """Run the tree's method for a request: now, or when its turn comes."""

    def reset(self) -> None:
        """End every call without an answer, and every fid as if the client had hung up."""

    def drop(self, number: int) -> Fid[Call]:
        """Free the number of a fid, and end the reads that wait on it."""

    def await_end(self, oldtag: int, tag: int) -> bool:
        """End a call, or wait for its end, and then answer the Tflush ``tag``. False if there is no such call."""


# --- the fids of messages that reach a file: the request is refused here if it must not go ahead ----------------------


def openable(session: Session, fields: tuple[int, int, int]) -> Fid[Call]:
    _tag, number, mode = fields
    fid = session.fids.unopened(number)
    check_open(fid.node, session.who, mode)
    fid.slow = fid.node.slow
    return fid


def creatable(session: Session, fields: tuple[int, int, str, int, int]) -> Fid[Call]:
    _tag, number, name, perm, mode = fields
    fid = session.fids.unopened(number)
    check_create(fid.node, session.who, name, perm, mode)
    fid.slow = fid.node.slow
    return fid


def readable(session: Session, fields: tuple[int, int, int, int]) -> Fid[Call]:
    fid = session.fids.opened(fields[1])
    if fid.mode == OWRITE:
        raise BadFid(f"bad fid {fields[1]}: not open for reading")
    return fid


def writable(session: Session, fields: tuple[int, int, int, bytes]) -> Fid[Call]:
    fid = session.fids.opened(fields[1])
    if fid.mode not in (OWRITE, wire.ORDWR):
        raise BadFid(f"bad fid {fields[1]}: not open for writing")
    return fid


def dropped(session: Session, fields: tuple[int, int]) -> Fid[Call]:
    return session.drop(fields[1])


def removed(session: Session, fields: tuple[int, int]) -> Fid[Call]:
    fid = session.drop(fields[1])
    fid.slow = fid.slow or fid.node.slow  # also of one that is not open
    return fid


# --- the permission bits ----------------------------------------------------------------------------------------------


def check_open(node: Node, who: Any, mode: int) -> None:
    """Raise Denied unless the node's permission bits allow this Topen, Invalid if its mode is not one."""
    if mode & ~(3 | wire.OTRUNC | wire.ORCLOSE):
        raise Invalid(f"invalid open mode {mode:#x}")
    need = _NEEDS[mode & 3] | (2 if mode & wire.OTRUNC else 0)
    if need & 2 and isinstance(node, Dir):
        raise IsDirectory(f"'{node.name}' is a directory")
    if need & ~(node.permissions(who) >> 6) or mode & wire.ORCLOSE:
        raise Denied(f"permission denied: '{node.name}'")


def check_create(node: Node, who: Any, name: str, perm: int, mode: int) -> None:
    """Raise unless this Tcreate is for a plain file in a directory in which the caller may make one."""
    if not isinstance(node, Dir):
        raise NotDirectory(f"not a directory: '{node.name}'")
    if not node.permissions(who) & 0o200 or perm & ~0o777 or mode & wire.ORCLOSE:
        raise Denied(f"permission denied: cannot create '{name}'")
    if mode & ~(3 | wire.OTRUNC) or mode & 3 == wire.OEXEC:
        raise Invalid(f"invalid open mode {mode:#x}")
    if name in ("", ".", "..") or "/" in name:
        raise Invalid(f"invalid name '{name}'")


def check_wstat(node: Node, who: Any, wanted: wire.Stat) -> None:
    """Raise Denied unless this Twstat changes nothing, or only truncates a file that may be written (the times may come along)."""
    now = node.stat(who)
    changed = {
        field
        for field, new, old, untouched in zip(wire.Stat._fields, wanted, now, wire.UNTOUCHED, strict=True)
        if new not in (untouched, old)
    }
    if wanted.length == 0 and now.mode & 0o200:
        changed -= {"atime", "mtime"}  # Linux sets the time too when it truncates
    if changed - {"length"} or (changed and (wanted.length or not now.mode & 0o200 or now.mode & wire.DMDIR)):
        raise Denied(f"permission denied: cannot change {', '.join(sorted(changed))} of '{node.name}'")
