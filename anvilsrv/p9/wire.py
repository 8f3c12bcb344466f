"""The messages of 9P2000 as tuples, and their bytes (intro(9p) and the pages it names).

``encode(message)`` gives one frame, ``decode(frame)`` one message. Messages are NamedTuples whose first field is the
tag. Everything that is read is checked against the end of its own frame before anything is built from it, so that no
size field can make us allocate or read past it. A frame holds exactly its message: trailing bytes are refused.
"""

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from anvilsrv.errors import AnvilError

VERSION = "9P2000"
NOTAG = 0xFFFF
NOFID = 0xFFFFFFFF
MAXWELEM = 16
IOHDRSZ = 24  # room for the header of a Twrite or an Rread, as every 9P program reckons it
HEADER = 7  # size[4] type[1] tag[2]

OREAD, OWRITE, ORDWR, OEXEC = 0, 1, 2, 3
OTRUNC, ORCLOSE = 0x10, 0x40

QTDIR, QTAPPEND, QTEXCL, QTAUTH, QTTMP, QTFILE = 0x80, 0x40, 0x20, 0x08, 0x04, 0x00
DMDIR, DMAPPEND, DMEXCL, DMAUTH, DMTMP = (bits << 24 for bits in (QTDIR, QTAPPEND, QTEXCL, QTAUTH, QTTMP))


class WireError(AnvilError):
    """Bytes that are no 9P message, or a message that has no bytes (a number or a string too large for its field)."""


class Qid(NamedTuple):
    """What a server calls a file: ``path`` is unique among its files, ``vers`` changes with the content."""

    type: int
    vers: int
    path: int


class Stat(NamedTuple):
    """A directory entry, stat(9p)."""

    type: int
    dev: int
    qid: Qid
    mode: int
    atime: int
    mtime: int
    length: int
    name: str
    uid: str
    gid: str
    muid: str


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

# stat(9p): "don't touch" in a Twstat is all ones in a number and an empty string.
_ONES = 0xFFFFFFFF
UNTOUCHED = Stat(0xFFFF, _ONES, Qid(0xFF, _ONES, 2**64 - 1), _ONES, _ONES, _ONES, 2**64 - 1, "", "", "", "")

TYPES: dict[int, type[Any]] = {
    100: Tversion, 101: Rversion, 102: Tauth, 103: Rauth, 104: Tattach, 105: Rattach, 107: Rerror,
    108: Tflush, 109: Rflush, 110: Twalk, 111: Rwalk, 112: Topen, 113: Ropen, 114: Tcreate, 115: Rcreate,
    116: Tread, 117: Rread, 118: Twrite, 119: Rwrite, 120: Tclunk, 121: Rclunk, 122: Tremove, 123: Rremove,
    124: Tstat, 125: Rstat, 126: Twstat, 127: Rwstat,
}  # fmt: skip

# Layouts after the header, in the letters of struct and two more: s a string, q a qid.
# Twalk, Rwalk, Rread, Twrite, Rstat and Twstat have functions of their own below.
_LAYOUTS: dict[type[Any], str] = {
    Tversion: "Is", Rversion: "Is", Tauth: "Iss", Rauth: "q", Tattach: "IIss", Rattach: "q", Rerror: "s",
    Tflush: "H", Rflush: "", Topen: "IB", Ropen: "qI", Tcreate: "IsIB", Rcreate: "qI", Tread: "IQI", Rwrite: "I",
    Tclunk: "I", Rclunk: "", Tremove: "I", Rremove: "", Tstat: "I", Rwstat: "",
}  # fmt: skip

_size = struct.Struct("<I")
_short = struct.Struct("<H")
_head = struct.Struct("<IBH")
_counted = struct.Struct("<IBHH")
_qid = struct.Struct("<BIQ")
_stat = struct.Struct("<HHIBIQIIIQ")
_walk = struct.Struct("<IBHIIH")
_read = struct.Struct("<IBHI")
_write = struct.Struct("<IBHIQI")
_wstat = struct.Struct("<IBHIH")

size_at = _size.unpack_from
new = tuple.__new__  # new(Qid, (0, 1, 2)) takes half the time of Qid(0, 1, 2)


def tag_of(frame: bytes) -> int:
    """The tag of a frame, which may be wrong behind it."""
    return frame[5] | frame[6] << 8


# --- strings, qids, stats ---------------------------------------------------------------------------------------------


def _pack_string(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise ValueError("string is not UTF-8") from None
    if len(data) > 0xFFFF:
        raise ValueError(f"string of {len(data)} bytes is too long")
    if b"\0" in data:
        raise ValueError("string holds a NUL")
    return _short.pack(len(data)) + data


def _string(buf: bytes, pos: int, end: int) -> tuple[str, int]:
    """The string at ``pos`` and the position after it."""
    start = pos + 2
    if start > end:
        raise WireError("truncated message")
    stop = start + (buf[pos] | buf[pos + 1] << 8)
    if stop > end:
        raise WireError("truncated string")
    try:
        text = buf[start:stop].decode()
    except UnicodeDecodeError:
        raise WireError("string is not UTF-8") from None
    if "\0" in text:
        raise WireError("string holds a NUL")
    return text, stop


def pack_stat(stat: Stat) -> bytes:
    """The bytes of one directory entry, its own size first, as a read of a directory returns them.

    struct.error or ValueError if a field does not fit.
    """
    texts = b"".join(map(_pack_string, stat[7:]))
    return _stat.pack(_stat.size - 2 + len(texts), stat.type, stat.dev, *stat.qid, *stat[3:7]) + texts


def _unpack_stat(buf: bytes, pos: int, end: int) -> tuple[Stat, int]:
    if pos + _stat.size > end:
        raise WireError("truncated stat")
    size, kind, dev, qtype, vers, path, *numbers = _stat.unpack_from(buf, pos)
    stop = pos + 2 + size
    if stop > end:
        raise WireError("truncated stat")
    texts = []
    pos += _stat.size
    for _ in range(4):
        text, pos = _string(buf, pos, stop)
        texts.append(text)
    if pos != stop:
        raise WireError("stat of the wrong size")
    return Stat(kind, dev, Qid(qtype, vers, path), *numbers, *texts), stop


def unpack_stats(data: bytes) -> list[Stat]:
    """The entries in what was read from a directory."""
    stats, pos = [], 0
    while pos < len(data):
        stat, pos = _unpack_stat(data, pos, len(data))
        stats.append(stat)
    return stats


# --- bytes to messages ------------------------------------------------------------------------------------------------
#
# An unpacker gives the fields of a frame that is as long as its size field says, the tag first. It raises WireError, or
# struct.error if the frame is too short for its type, or too long for one of fixed size.

Unpacker = Callable[[bytes], tuple[Any, ...]]


def _general_unpacker(layout: str) -> Unpacker:
    parts = [None if letter == "s" else _qid if letter == "q" else struct.Struct("<" + letter) for letter in layout]

    def unpack(frame: bytes) -> tuple[Any, ...]:
        fields: list[Any] = [tag_of(frame)]
        pos = HEADER
        value: Any
        for part in parts:
            if part is None:
                value, pos = _string(frame, pos, len(frame))
            else:
                found = part.unpack_from(frame, pos)
                value = Qid(*found) if part is _qid else found[0]
                pos += part.size
            fields.append(value)
        if pos != len(frame):
            raise WireError("bytes after the message")
        return tuple(fields)

    return unpack


def _unpack_twalk(frame: bytes) -> tuple[int, int, int, tuple[str, ...]]:
    _size, _kind, tag, fid, newfid, count = _walk.unpack_from(frame)
    if count > MAXWELEM:
        raise WireError(f"walk of {count} names, {MAXWELEM} at most")
    names, pos, end = [], _walk.size, len(frame)
    for _ in range(count):
        name, pos = _string(frame, pos, end)
        names.append(name)
    if pos != end:
        raise WireError("bytes after the message")
    return tag, fid, newfid, tuple(names)


def _unpack_rwalk(frame: bytes) -> tuple[int, tuple[Qid, ...]]:
    _size, _kind, tag, count = _counted.unpack_from(frame)
    if count > MAXWELEM or len(frame) != 9 + count * _qid.size:
        raise WireError("Rwalk of the wrong size")
    return tag, tuple(Qid(*qid) for qid in _qid.iter_unpack(frame[9:]))


def _unpack_rread(frame: bytes) -> tuple[int, bytes]:
    _size, _kind, tag, count = _read.unpack_from(frame)
    if len(frame) != _read.size + count:
        raise WireError("Rread of the wrong size")
    return tag, frame[_read.size :]


def _unpack_twrite(frame: bytes) -> tuple[int, int, int, bytes]:
    _size, _kind, tag, fid, offset, count = _write.unpack_from(frame)
    if len(frame) != _write.size + count:
        raise WireError("Twrite of the wrong size")
    return tag, fid, offset, frame[_write.size :]


def _counted_stat(frame: bytes, pos: int, count: int) -> Stat:
    """stat[n]: a stat within a message has a second count before its own."""
    stat, stop = _unpack_stat(frame, pos, len(frame))
    if stop != len(frame) or count != stop - pos:
        raise WireError("stat of the wrong size")
    return stat


def _unpack_rstat(frame: bytes) -> tuple[int, Stat]:
    _size, _kind, tag, count = _counted.unpack_from(frame)
    return tag, _counted_stat(frame, _counted.size, count)


def _unpack_twstat(frame: bytes) -> tuple[int, int, Stat]:
    _size, _kind, tag, fid, count = _wstat.unpack_from(frame)
    return tag, fid, _counted_stat(frame, _wstat.size, count)


_OWN_UNPACKERS: dict[type[Any], Unpacker] = {
    Twalk: _unpack_twalk, Rwalk: _unpack_rwalk, Rread: _unpack_rread,
    Twrite: _unpack_twrite, Rstat: _unpack_rstat, Twstat: _unpack_twstat,
}  # fmt: skip


def _unpacker(cls: type[Any]) -> Unpacker:
    if cls in _OWN_UNPACKERS:
        return _OWN_UNPACKERS[cls]
    layout = _LAYOUTS[cls]
    return _general_unpacker(layout) if set(layout) & {"s", "q"} else struct.Struct("<5xH" + layout).unpack


_UNPACKERS = {kind: _unpacker(cls) for kind, cls in TYPES.items()}


def unpack(frame: bytes) -> tuple[Any, ...]:
    """The fields of a frame whose size field the caller has found to be its length, and at least 7."""
    try:
        return _UNPACKERS[frame[4]](frame)
    except KeyError:
        raise WireError(f"unknown message type {frame[4]}") from None
    except struct.error:
        raise WireError(f"{TYPES[frame[4]].__name__} of the wrong size") from None


def decode(frame: Buffer) -> Message:
    """The message of one whole frame; WireError if it is anything else."""
    frame = bytes(frame)
    if len(frame) < HEADER or size_at(frame)[0] != len(frame):
        raise WireError("frame of the wrong size")
    fields = unpack(frame)
    return new(TYPES[frame[4]], fields)  # type: ignore[no-any-return]


# --- messages to bytes ------------------------------------------------------------------------------------------------
#
# A packer makes a frame of the fields of a message. It raises struct.error or ValueError for what does not fit.

Packer = Callable[..., bytes]


def _fixed_packer(kind: int, layout: str) -> Packer:
    whole = struct.Struct("<IBH" + layout)
    return functools.partial(whole.pack, whole.size, kind)


def _qid_packer(kind: int) -> Packer:
    """For Rauth and Rattach."""
    pack = struct.Struct("<IBHBIQ").pack
    return lambda tag, qid: pack(20, kind, tag, *qid)


def _open_packer(kind: int) -> Packer:
    """For Ropen and Rcreate."""
    whole = struct.Struct("<IBHBIQI").pack

    def pack(tag: int, qid: Qid, iounit: int) -> bytes:
        qtype, vers, path = qid
        return whole(24, kind, tag, qtype, vers, path, iounit)

    return pack


def _general_packer(kind: int, layout: str) -> Packer:
    def pack(tag: int, *fields: Any) -> bytes:
        body = b"".join(
            _pack_string(value) if letter == "s" else struct.pack("<" + letter, value)
            for letter, value in zip(layout, fields, strict=True)
        )
        return _head.pack(HEADER + len(body), kind, tag) + body

    return pack


def _pack_twalk(tag: int, fid: int, newfid: int, names: Sequence[str]) -> bytes:
    if len(names) > MAXWELEM:
        raise ValueError(f"walk of {len(names)} names, {MAXWELEM} at most")
    packed = b"".join(map(_pack_string, names))
    return _walk.pack(_walk.size + len(packed), 110, tag, fid, newfid, len(names)) + packed


def _pack_rwalk(tag: int, qids: Sequence[Qid]) -> bytes:
    if len(qids) > MAXWELEM:
        raise ValueError(f"walk of {len(qids)} qids, {MAXWELEM} at most")
    frame = _counted.pack(_counted.size + _qid.size * len(qids), 111, tag, len(qids))
    for kind, vers, path in qids:
        frame += _qid.pack(kind, vers, path)
    return frame


def _pack_rread(tag: int, data: bytes) -> bytes:
    size = len(data)
    return _read.pack(11 + size, 117, tag, size) + data


def _pack_twrite(tag: int, fid: int, offset: int, data: bytes) -> bytes:
    return _write.pack(_write.size + len(data), 118, tag, fid, offset, len(data)) + data


def _pack_rstat(tag: int, stat: Stat) -> bytes:
    packed = pack_stat(stat)
    return _counted.pack(_counted.size + len(packed), 125, tag, len(packed)) + packed


def _pack_twstat(tag: int, fid: int, stat: Stat) -> bytes:
    packed = pack_stat(stat)
    return _wstat.pack(_wstat.size + len(packed), 126, tag, fid, len(packed)) + packed


_OWN_PACKERS: dict[type[Any], Packer] = {
    Twalk: _pack_twalk, Rwalk: _pack_rwalk, Rread: _pack_rread,
    Twrite: _pack_twrite, Rstat: _pack_rstat, Twstat: _pack_twstat,
}  # fmt: skip


def _packer(kind: int, cls: type[Any]) -> Packer:
    if cls in _OWN_PACKERS:
        return _OWN_PACKERS[cls]
    layout = _LAYOUTS[cls]
    if "s" in layout:
        return _general_packer(kind, layout)
    return _qid_packer(kind) if layout == "q" else _open_packer(kind) if layout == "qI" else _fixed_packer(kind, layout)


PACKERS = {cls: _packer(kind, cls) for kind, cls in TYPES.items()}


def encode(msg: Message) -> bytes:
    """The frame of a message; WireError if one of its fields does not fit."""
    try:
        return PACKERS[type(msg)](*msg)
    except (struct.error, ValueError) as error:
        raise WireError(f"{type(msg).__name__}: {error}") from None
