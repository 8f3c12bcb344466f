"""The values in a message other than numbers and data: strings, qids and stats (intro(9p), stat(9p))."""

import errno as numbers
import struct
from typing import NamedTuple

from anvilsrv.errors import AnvilError


class WireError(AnvilError):
    """Bytes that are not a 9P message, or a message that cannot be encoded (a number or string too large for its field)."""

    errno = numbers.EPROTO
    phrases = ("protocol error",)


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


# stat(9p): "don't touch" in a Twstat is all ones in a number and an empty string.
_ONES = 0xFFFFFFFF
UNTOUCHED = Stat(0xFFFF, _ONES, Qid(0xFF, _ONES, 2**64 - 1), _ONES, _ONES, _ONES, 2**64 - 1, "", "", "", "")

_short = struct.Struct("<H")
_stat = struct.Struct("<HHIBIQIIIQ")

new = tuple.__new__  # new(Qid, (0, 1, 2)) takes half the time of Qid(0, 1, 2)


def pack_string(text: str) -> bytes:
    """Return the bytes of a string, its size first; raises ValueError if there are none."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise ValueError("string is not UTF-8") from None
    if len(data) > 0xFFFF:
        raise ValueError(f"string of {len(data)} bytes is too long")
    if b"\0" in data:
        raise ValueError("string holds a NUL")
    return _short.pack(len(data)) + data


def unpack_string(buf: bytes, pos: int, end: int) -> tuple[str, int]:
    """Return the string at ``pos`` and the position after it."""
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
    """Return the bytes of one directory entry, its own size first, as a read of a directory returns them.

    struct.error or ValueError if a field does not fit.
    """
    texts = b"".join(map(pack_string, stat[7:]))
    return _stat.pack(_stat.size - 2 + len(texts), stat.type, stat.dev, *stat.qid, *stat[3:7]) + texts


def unpack_stat(buf: bytes, pos: int, end: int) -> tuple[Stat, int]:
    """Return the stat at ``pos`` and the position after it."""
    if pos + _stat.size > end:
        raise WireError("truncated stat")
    size, kind, dev, qtype, vers, path, *numbers = _stat.unpack_from(buf, pos)
    stop = pos + 2 + size
    if stop > end:
        raise WireError("truncated stat")
    texts = []
    pos += _stat.size
    for _ in range(4):
        text, pos = unpack_string(buf, pos, stop)
        texts.append(text)
    if pos != stop:
        raise WireError("stat of the wrong size")
    return Stat(kind, dev, Qid(qtype, vers, path), *numbers, *texts), stop


def unpack_stats(data: bytes) -> list[Stat]:
    """Return the entries in what was read from a directory."""
    stats, pos = [], 0
    while pos < len(data):
        stat, pos = unpack_stat(data, pos, len(data))
        stats.append(stat)
    return stats
