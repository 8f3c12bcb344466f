"""The messages of 9P2000 as tuples (intro(9p) and the pages it names), and their constants.

``encode(message)`` gives one frame, ``decode(frame)`` one message. Messages are NamedTuples whose first field is the
tag. The values in them are in ``values``, their bytes in ``frames``.
"""

import struct
from typing import Any, NamedTuple

from anvilsrv.p9 import frames
from anvilsrv.p9.frames import HEADER as HEADER
from anvilsrv.p9.frames import MAXWELEM as MAXWELEM
from anvilsrv.p9.frames import size_at as size_at
from anvilsrv.p9.values import UNTOUCHED as UNTOUCHED
from anvilsrv.p9.values import Qid as Qid
from anvilsrv.p9.values import Stat as Stat
from anvilsrv.p9.values import WireError as WireError
from anvilsrv.p9.values import new as new
from anvilsrv.p9.values import pack_stat as pack_stat
from anvilsrv.p9.values import unpack_stats as unpack_stats

VERSION = "9P2000"
NOTAG = 0xFFFF
NOFID = 0xFFFFFFFF
IOHDRSZ = 24  # room for the header of a Twrite or an Rread, as every 9P program counts it

OREAD, OWRITE, ORDWR, OEXEC = 0, 1, 2, 3
OTRUNC, ORCLOSE = 0x10, 0x40

QTDIR, QTAPPEND, QTEXCL, QTAUTH, QTTMP, QTFILE = 0x80, 0x40, 0x20, 0x08, 0x04, 0x00
DMDIR, DMAPPEND, DMEXCL, DMAUTH, DMTMP = (bits << 24 for bits in (QTDIR, QTAPPEND, QTEXCL, QTAUTH, QTTMP))


class Tversion(NamedTuple):
    tag: int
    msize: int
    version: str


class Rversion(NamedTuple):
    tag: int
    msize: int
    version: str


class Tauth(NamedTuple):
    tag: int
    afid: int
    uname: str
    aname: str


class Rauth(NamedTuple):
    tag: int
    aqid: Qid


class Tattach(NamedTuple):
    tag: int
    fid: int
    afid: int
    uname: str
    aname: str


class Rattach(NamedTuple):
    tag: int
    qid: Qid


class Rerror(NamedTuple):
    tag: int
    ename: str


class Tflush(NamedTuple):
    tag: int
    oldtag: int


class Rflush(NamedTuple):
    tag: int


class Twalk(NamedTuple):
    tag: int
    fid: int
    newfid: int
    names: tuple[str, ...]


class Rwalk(NamedTuple):
    tag: int
    qids: tuple[Qid, ...]


class Topen(NamedTuple):
    tag: int
    fid: int
    mode: int


class Ropen(NamedTuple):
    tag: int
    qid: Qid
    iounit: int


class Tcreate(NamedTuple):
    tag: int
    fid: int
    name: str
    perm: int
    mode: int


class Rcreate(NamedTuple):
    tag: int
    qid: Qid
    iounit: int


class Tread(NamedTuple):
    tag: int
    fid: int
    offset: int
    count: int  # type: ignore[assignment]  # hides tuple.count


class Rread(NamedTuple):
    tag: int
    data: bytes


class Twrite(NamedTuple):
    tag: int
    fid: int
    offset: int
    data: bytes


class Rwrite(NamedTuple):
    tag: int
    count: int  # type: ignore[assignment]  # hides tuple.count


class Tclunk(NamedTuple):
    tag: int
    fid: int


class Rclunk(NamedTuple):
    tag: int


class Tremove(NamedTuple):
    tag: int
    fid: int


class Rremove(NamedTuple):
    tag: int


class Tstat(NamedTuple):
    tag: int
    fid: int


class Rstat(NamedTuple):
    tag: int
    stat: Stat


class Twstat(NamedTuple):
    tag: int
    fid: int
    stat: Stat


class Rwstat(NamedTuple):
    tag: int


Tmessage = (
    Tversion | Tauth | Tattach | Tflush | Twalk | Topen | Tcreate | Tread | Twrite | Tclunk | Tremove | Tstat | Twstat
)
Rmessage = (
    Rversion
    | Rauth
    | Rattach
    | Rerror
    | Rflush
    | Rwalk
    | Ropen
    | Rcreate
    | Rread
    | Rwrite
    | Rclunk
    | Rremove
    | Rstat
    | Rwstat
)
Message = Tmessage | Rmessage
Buffer = bytes | bytearray | memoryview

TYPES: dict[int, type[Any]] = {
    100: Tversion, 101: Rversion, 102: Tauth, 103: Rauth, 104: Tattach, 105: Rattach, 107: Rerror,
    108: Tflush, 109: Rflush, 110: Twalk, 111: Rwalk, 112: Topen, 113: Ropen, 114: Tcreate, 115: Rcreate,
    116: Tread, 117: Rread, 118: Twrite, 119: Rwrite, 120: Tclunk, 121: Rclunk, 122: Tremove, 123: Rremove,
    124: Tstat, 125: Rstat, 126: Twstat, 127: Rwstat,
}  # fmt: skip

PACKERS = {cls: frames.PACKERS[kind] for kind, cls in TYPES.items()}  # fields to frame


def decode(frame: Buffer) -> Message:
    """Return the message of one whole frame; raises WireError if it is not one."""
    frame = bytes(frame)
    if len(frame) < HEADER or size_at(frame)[0] != len(frame):
        raise WireError("frame of the wrong size")
    fields = frames.unpack(frame)
    return new(TYPES[frame[4]], fields)  # type: ignore[no-any-return]


def encode(msg: Message) -> bytes:
    """Return the frame of a message; raises WireError if one of its fields does not fit."""
    try:
        return PACKERS[type(msg)](*msg)
    except (struct.error, ValueError) as error:
        raise WireError(f"{type(msg).__name__}: {error}") from None
