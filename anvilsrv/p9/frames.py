"""Frames and the fields in them, by type of message.

Everything that is read is checked against the end of its own frame before anything is built from it, so that no size
field can make us allocate or read past it. A frame holds exactly its message: trailing bytes are refused.
"""

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any

from anvilsrv.p9.values import Qid, Stat, WireError, pack_stat, pack_string, unpack_stat, unpack_string

MAXWELEM = 16
HEADER = 7  # size[4] type[1] tag[2]

# Names, and layouts after the header in the letters of struct and two more: s a string, q a qid. Those marked OWN have
# functions of their own below.
OWN = ""
KINDS = {
    100: ("Tversion", "Is"), 101: ("Rversion", "Is"), 102: ("Tauth", "Iss"), 103: ("Rauth", "q"),
    104: ("Tattach", "IIss"), 105: ("Rattach", "q"), 107: ("Rerror", "s"), 108: ("Tflush", "H"), 109: ("Rflush", ""),
    110: ("Twalk", OWN), 111: ("Rwalk", OWN), 112: ("Topen", "IB"), 113: ("Ropen", "qI"), 114: ("Tcreate", "IsIB"),
    115: ("Rcreate", "qI"), 116: ("Tread", "IQI"), 117: ("Rread", OWN), 118: ("Twrite", OWN), 119: ("Rwrite", "I"),
    120: ("Tclunk", "I"), 121: ("Rclunk", ""), 122: ("Tremove", "I"), 123: ("Rremove", ""), 124: ("Tstat", "I"),
    125: ("Rstat", OWN), 126: ("Twstat", OWN), 127: ("Rwstat", ""),
}  # fmt: skip

_head = struct.Struct("<IBH")
_counted = struct.Struct("<IBHH")
_qid = struct.Struct("<BIQ")
_walk = struct.Struct("<IBHIIH")
_read = struct.Struct("<IBHI")
_write = struct.Struct("<IBHIQI")
_wstat = struct.Struct("<IBHIH")

size_at = struct.Struct("<I").unpack_from


def tag_of(frame: bytes) -> int:
    """Return the tag of a frame, even if what follows it is malformed."""
    return frame[5] | frame[6] << 8


# --- frames to fields -------------------------------------------------------------------------------------------------
#
# An unpacker gives the fields of a frame that is as long as its size field says, the tag first. It raises WireError, or
# struct.error if the frame is too short for its type, or too long for one of fixed size.

Unpacker = Callable[[bytes], tuple[Any, ...]]


def general_unpacker(layout: str) -> Unpacker:
    parts = [None if letter == "s" else _qid if letter == "q" else struct.Struct("<" + letter) for letter in layout]

    def unpack(frame: bytes) -> tuple[Any, ...]:
        fields: list[Any] = [tag_of(frame)]
        pos = HEADER
        value: Any
        for part in parts:
            if part is None:
                value, pos = unpack_string(frame, pos, len(frame))
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
        name, pos = unpack_string(frame, pos, end)
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
    """Read a stat[n]: a stat within a message has a second count before its own."""
    stat, stop = unpack_stat(frame, pos, len(frame))
    if stop != len(frame) or count != stop - pos:
        raise WireError("stat of the wrong size")
    return stat


def _unpack_rstat(frame: bytes) -> tuple[int, Stat]:
    _size, _kind, tag, count = _counted.unpack_from(frame)
    return tag, _counted_stat(frame, _counted.size, count)


def _unpack_twstat(frame: bytes) -> tuple[int, int, Stat]:
    _size, _kind, tag, fid, count = _wstat.unpack_from(frame)
    return tag, fid, _counted_stat(frame, _wstat.size, count)


_OWN_UNPACKERS: dict[str, Unpacker] = {
    "Twalk": _unpack_twalk, "Rwalk": _unpack_rwalk, "Rread": _unpack_rread,
    "Twrite": _unpack_twrite, "Rstat": _unpack_rstat, "Twstat": _unpack_twstat,
}  # fmt: skip


def _unpacker(name: str, layout: str) -> Unpacker:
    if name in _OWN_UNPACKERS:
        return _OWN_UNPACKERS[name]
    return general_unpacker(layout) if set(layout) & {"s", "q"} else struct.Struct("<5xH" + layout).unpack


_UNPACKERS = {kind: _unpacker(name, layout) for kind, (name, layout) in KINDS.items()}


def unpack(frame: bytes) -> tuple[Any, ...]:
    """Return the fields of a frame whose size field the caller has found to be its length, and at least 7."""
    try:
        return _UNPACKERS[frame[4]](frame)
    except KeyError:
        raise WireError(f"unknown message type {frame[4]}") from None
    except struct.error:
        raise WireError(f"{KINDS[frame[4]][0]} of the wrong size") from None


# --- fields to frames -------------------------------------------------------------------------------------------------
#
# A packer makes a frame of the fields of a message. It raises struct.error or ValueError for what does not fit.

Packer = Callable[..., bytes]


def _fixed_packer(kind: int, layout: str) -> Packer:
    whole = struct.Struct("<IBH" + layout)
    return functools.partial(whole.pack, whole.size, kind)


def _qid_packer(kind: int) -> Packer:
    """Return the packer for Rauth and Rattach."""
    pack = struct.Struct("<IBHBIQ").pack
    return lambda tag, qid: pack(20, kind, tag, *qid)


def _open_packer(kind: int) -> Packer:
    """Return the packer for Ropen and Rcreate."""
    whole = struct.Struct("<IBHBIQI").pack

    def pack(tag: int, qid: Qid, iounit: int) -> bytes:
        qtype, vers, path = qid
        return whole(24, kind, tag, qtype, vers, path, iounit)

    return pack


def _general_packer(kind: int, layout: str) -> Packer:
    def pack(tag: int, *fields: Any) -> bytes:
        body = b"".join(
            pack_string(value) if letter == "s" else struct.pack("<" + letter, value)
            for letter, value in zip(layout, fields, strict=True)
        )
        return _head.pack(HEADER + len(body), kind, tag) + body

    return pack


def _pack_twalk(tag: int, fid: int, newfid: int, names: Sequence[str]) -> bytes:
    if len(names) > MAXWELEM:
        raise ValueError(f"walk of {len(names)} names, {MAXWELEM} at most")
    packed = b"".join(map(pack_string, names))
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


_OWN_PACKERS: dict[str, Packer] = {
    "Twalk": _pack_twalk, "Rwalk": _pack_rwalk, "Rread": _pack_rread,
    "Twrite": _pack_twrite, "Rstat": _pack_rstat, "Twstat": _pack_twstat,
}  # fmt: skip


def _packer(kind: int, name: str, layout: str) -> Packer:
    if name in _OWN_PACKERS:
        return _OWN_PACKERS[name]
    if "s" in layout:
        return _general_packer(kind, layout)
    return _qid_packer(kind) if layout == "q" else _open_packer(kind) if layout == "qI" else _fixed_packer(kind, layout)


PACKERS = {kind: _packer(kind, name, layout) for kind, (name, layout) in KINDS.items()}
