"""The messages of 9P2000 as tuples, and their bytes (intro(9p) and the pages it names).

``encode(message)`` gives one frame, ``decode(frame)`` one message. Messages are NamedTuples whose first field is the
tag. Everything that is read is checked against the end of its own frame before anything is built from it, so that no
size field can make us allocate or read past it. A frame holds exactly its message: trailing bytes are refused.
"""

import struct
from collections.abc import Callable
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
_counted = struct.Struct("<IBHH")
_head = struct.Struct("<IBH")
_qid = struct.Struct("<BIQ")
_stat = struct.Struct("<HHIBIQIIIQ")
_walk = struct.Struct("<IBHIIH")
_walk_body = struct.Struct("<7xIIH")
_read = struct.Struct("<IBHI")
_write = struct.Struct("<IBHIQI")
_write_body = struct.Struct("<5xHIQI")
_read_body = struct.Struct("<5xHI")
_wstat = struct.Struct("<IBHIH")

size_at = _size.unpack_from
tag_at = struct.Struct("<5xH").unpack_from
_new = tuple.__new__


# --- strings, qids, stats ---------------------------------------------------------------------------------------------


def _pack_string(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise WireError("string is not UTF-8") from None
    if len(data) > 0xFFFF:
        raise WireError(f"string of {len(data)} bytes is too long")
    if b"\0" in data:
        raise WireError("string holds a NUL")
    return _short.pack(len(data)) + data


def _string(buf: Buffer, pos: int, end: int) -> tuple[str, int]:
    """The string at ``pos`` and the position after it."""
    if pos + 2 > end:
        raise WireError("truncated message")
    start = pos + 2
    stop = start + (buf[pos] | buf[pos + 1] << 8)
    if stop > end:
        raise WireError("truncated string")
    try:
        text = str(buf[start:stop], "utf-8")
    except UnicodeDecodeError:
        raise WireError("string is not UTF-8") from None
    if "\0" in text:
        raise WireError("string holds a NUL")
    return text, stop


def pack_stat(stat: Stat) -> bytes:
    """The bytes of one directory entry, its own size first, as a read of a directory returns them."""
    texts = b"".join(map(_pack_string, stat[7:]))
    try:
        return _stat.pack(_stat.size - 2 + len(texts), stat.type, stat.dev, *stat.qid, *stat[3:7]) + texts
    except struct.error as error:
        raise WireError(f"stat of '{stat.name}': {error}") from None


def _unpack_stat(buf: Buffer, pos: int, end: int) -> tuple[Stat, int]:
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


def unpack_stats(data: Buffer) -> list[Stat]:
    """The entries in what was read from a directory."""
    stats, pos = [], 0
    while pos < len(data):
        stat, pos = _unpack_stat(data, pos, len(data))
        stats.append(stat)
    return stats


# --- bytes to messages ------------------------------------------------------------------------------------------------

Decoder = Callable[[Buffer, int, int], Any]


def _fixed_decoder(cls: type[Any], layout: str) -> Decoder:
    body = struct.Struct("<5xH" + layout)
    unpack, size = body.unpack_from, body.size

    def decode(buf: Buffer, start: int, end: int) -> Any:
        if end - start != size:
            raise WireError(f"{cls.__name__} of the wrong size")
        return _new(cls, unpack(buf, start))

    return decode


def _general_decoder(cls: type[Any], layout: str) -> Decoder:
    numbers = {letter: struct.Struct("<" + letter) for letter in layout if letter not in "sq"}

    def decode(buf: Buffer, start: int, end: int) -> Any:
        fields: list[Any] = [*tag_at(buf, start)]
        pos = start + HEADER
        value: Any
        for letter in layout:
            if letter == "s":
                value, pos = _string(buf, pos, end)
            else:
                part = _qid if letter == "q" else numbers[letter]
                if pos + part.size > end:
                    raise WireError("truncated message")
                found = part.unpack_from(buf, pos)
                value = Qid(*found) if letter == "q" else found[0]
                pos += part.size
            fields.append(value)
        if pos != end:
            raise WireError(f"{cls.__name__} of the wrong size")
        return _new(cls, fields)

    return decode


def _decode_twalk(buf: Buffer, start: int, end: int) -> Twalk:
    if end - start < _walk.size:
        raise WireError("truncated message")
    fid, newfid, count = _walk_body.unpack_from(buf, start)
    if count > MAXWELEM:
        raise WireError(f"walk of {count} names, {MAXWELEM} at most")
    names, pos = [], start + _walk.size
    for _ in range(count):
        name, pos = _string(buf, pos, end)
        names.append(name)
    if pos != end:
        raise WireError("Twalk of the wrong size")
    return Twalk(tag_at(buf, start)[0], fid, newfid, tuple(names))


def _decode_rwalk(buf: Buffer, start: int, end: int) -> Rwalk:
    if end - start < 9:
        raise WireError("truncated message")
    count = buf[start + 7] | buf[start + 8] << 8
    if count > MAXWELEM or end - start != 9 + count * _qid.size:
        raise WireError("Rwalk of the wrong size")
    qids = tuple(Qid(*_qid.unpack_from(buf, start + 9 + i * _qid.size)) for i in range(count))
    return Rwalk(tag_at(buf, start)[0], qids)


def _decode_rread(buf: Buffer, start: int, end: int) -> Rread:
    if end - start < 11:
        raise WireError("truncated message")
    tag, count = _read_body.unpack_from(buf, start)
    if end - start != 11 + count:
        raise WireError("Rread of the wrong size")
    return Rread(tag, bytes(buf[start + 11 : end]))


def _decode_twrite(buf: Buffer, start: int, end: int) -> Twrite:
    if end - start < _write.size:
        raise WireError("truncated message")
    tag, fid, offset, count = _write_body.unpack_from(buf, start)
    if end - start != _write.size + count:
        raise WireError("Twrite of the wrong size")
    return Twrite(tag, fid, offset, bytes(buf[start + _write.size : end]))


def _counted_stat(buf: Buffer, pos: int, end: int) -> Stat:
    """stat[n]: a stat within a message has a second count before its own."""
    if pos + 2 > end or (buf[pos] | buf[pos + 1] << 8) != end - pos - 2:
        raise WireError("stat of the wrong size")
    stat, stop = _unpack_stat(buf, pos + 2, end)
    if stop != end:
        raise WireError("stat of the wrong size")
    return stat


def _decode_rstat(buf: Buffer, start: int, end: int) -> Rstat:
    return Rstat(tag_at(buf, start)[0], _counted_stat(buf, start + HEADER, end))


def _decode_twstat(buf: Buffer, start: int, end: int) -> Twstat:
    if end - start < HEADER + 4:
        raise WireError("truncated message")
    tag, fid = _read_body.unpack_from(buf, start)
    return Twstat(tag, fid, _counted_stat(buf, start + HEADER + 4, end))


_OWN_DECODERS: dict[type[Any], Decoder] = {
    Twalk: _decode_twalk, Rwalk: _decode_rwalk, Rread: _decode_rread,
    Twrite: _decode_twrite, Rstat: _decode_rstat, Twstat: _decode_twstat,
}  # fmt: skip


def _decoder(cls: type[Any]) -> Decoder:
    if cls in _OWN_DECODERS:
        return _OWN_DECODERS[cls]
    layout = _LAYOUTS[cls]
    return (_general_decoder if set(layout) & {"s", "q"} else _fixed_decoder)(cls, layout)


_DECODERS = {kind: _decoder(cls) for kind, cls in TYPES.items()}


def decode_at(buf: Buffer, start: int, end: int) -> Message:
    """The message in ``buf[start:end]``, whose size field the caller has found to be ``end - start`` (at least 7)."""
    decoder = _DECODERS.get(buf[start + 4])
    if decoder is None:
        raise WireError(f"unknown message type {buf[start + 4]}")
    return decoder(buf, start, end)  # type: ignore[no-any-return]


def decode(frame: Buffer) -> Message:
    """The message of one whole frame; WireError if it is anything else."""
    if len(frame) < HEADER or size_at(frame, 0)[0] != len(frame):
        raise WireError("frame of the wrong size")
    return decode_at(frame, 0, len(frame))


# --- messages to bytes ------------------------------------------------------------------------------------------------

Encoder = Callable[[Any], bytes]


def _fixed_encoder(kind: int, layout: str) -> Encoder:
    whole = struct.Struct("<IBH" + layout)
    pack, size = whole.pack, whole.size
    return lambda msg: pack(size, kind, *msg)


def _general_encoder(kind: int, layout: str) -> Encoder:
    def encode(msg: Any) -> bytes:
        parts = []
        for letter, value in zip(layout, msg[1:], strict=True):
            if letter == "s":
                parts.append(_pack_string(value))
            elif letter == "q":
                parts.append(_qid.pack(*value))
            else:
                parts.append(struct.pack("<" + letter, value))
        body = b"".join(parts)
        return _head.pack(HEADER + len(body), kind, msg[0]) + body

    return encode


def _qid_encoder(kind: int, layout: str) -> Encoder:
    whole = struct.Struct("<IBH" + layout.replace("q", "BIQ"))
    pack, size = whole.pack, whole.size
    return lambda msg: pack(size, kind, msg[0], *msg[1], *msg[2:])


def _encode_twalk(msg: Twalk) -> bytes:
    if len(msg.names) > MAXWELEM:
        raise WireError(f"walk of {len(msg.names)} names, {MAXWELEM} at most")
    names = b"".join(map(_pack_string, msg.names))
    return _walk.pack(_walk.size + len(names), 110, msg.tag, msg.fid, msg.newfid, len(msg.names)) + names


def _encode_rwalk(msg: Rwalk) -> bytes:
    qids = b"".join([_qid.pack(*qid) for qid in msg.qids])
    if len(msg.qids) > MAXWELEM:
        raise WireError(f"walk of {len(msg.qids)} qids, {MAXWELEM} at most")
    return _counted.pack(9 + len(qids), 111, msg.tag, len(msg.qids)) + qids


def _encode_rread(msg: Rread) -> bytes:
    tag, data = msg
    return _read.pack(11 + len(data), 117, tag, len(data)) + data


def _encode_twrite(msg: Twrite) -> bytes:
    tag, fid, offset, data = msg
    return _write.pack(_write.size + len(data), 118, tag, fid, offset, len(data)) + data


def _encode_rstat(msg: Rstat) -> bytes:
    stat = pack_stat(msg.stat)
    return _counted.pack(9 + len(stat), 125, msg.tag, len(stat)) + stat


def _encode_twstat(msg: Twstat) -> bytes:
    stat = pack_stat(msg.stat)
    return _wstat.pack(_wstat.size + len(stat), 126, msg.tag, msg.fid, len(stat)) + stat


_OWN_ENCODERS: dict[type[Any], Encoder] = {
    Twalk: _encode_twalk, Rwalk: _encode_rwalk, Rread: _encode_rread,
    Twrite: _encode_twrite, Rstat: _encode_rstat, Twstat: _encode_twstat,
}  # fmt: skip


def _encoder(kind: int, cls: type[Any]) -> Encoder:
    if cls in _OWN_ENCODERS:
        return _OWN_ENCODERS[cls]
    layout = _LAYOUTS[cls]
    if "s" in layout:
        return _general_encoder(kind, layout)
    return _qid_encoder(kind, layout) if "q" in layout else _fixed_encoder(kind, layout)


_ENCODERS = {cls: _encoder(kind, cls) for kind, cls in TYPES.items()}


def encode(msg: Message) -> bytes:
    """The frame of a message; WireError if one of its fields does not fit."""
    try:
        return _ENCODERS[type(msg)](msg)
    except struct.error as error:
        raise WireError(f"{type(msg).__name__}: {error}") from None
