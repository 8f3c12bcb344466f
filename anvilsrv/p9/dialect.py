"""What differs between the two dialects that a client may choose, 9P2000 and 9P2000.u; and the text of an error for both.

9P2000.u, the one that Linux mounts, adds an errno to Rerror, a uid to Tauth and Tattach, an extension to Tcreate, and to
stat an extension and three numeric ids. Requests are read into the fields of the plain message: the socket says who the
client is, plain files alone can be created, and ids cannot be changed.
"""

import os
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from anvilsrv.errors import AnvilError
from anvilsrv.p9 import frames, values
from anvilsrv.p9.values import Stat, WireError, pack_string, unpack_string

_INTERRUPT = re.compile(
    "interrupt(ed)?", re.IGNORECASE
)  # 9pfuse makes EINTR of it, and the system call is begun again for ever

_short = struct.Struct("<H")
_number = struct.Struct("<I")
_ids = struct.Struct("<III")
_counted = struct.Struct("<IBHH")
_STAT = 41  # bytes of a stat before its strings
_AT = {125: 9, 126: 13}  # where the stat is in an Rstat and a Twstat; its count stands before it

_plain_rerror: Callable[[int, str], bytes] = frames.PACKERS[107]
_unpack_create = frames.general_unpacker("IsIBs")


def ename(error: AnvilError | str) -> str:
    """Return the text of an Rerror, with a phrase from which 9pfuse makes the matching ``number``."""
    text = _INTERRUPT.sub(lambda found: "cancelled" if found[1] else "cancel", str(error))
    phrases, lower = _kind(error).phrases, text.lower()
    return text if any(one in lower for one in phrases) else f"{phrases[0]}: {text}"


def number(error: AnvilError | str) -> int:
    """Return the errno that goes with it."""
    return _kind(error).errno


def _kind(error: AnvilError | str) -> type[AnvilError]:
    return AnvilError if isinstance(error, str) else type(error)


class Dialect(NamedTuple):
    """One way to write the messages."""

    version: str
    unpack: Callable[[bytes], tuple[Any, ...]]  # a frame to the fields of the plain message
    pack_stat: Callable[[Stat], bytes]
    rstat: Callable[[int, Stat], bytes]
    rerror: Callable[[int, str, int], bytes]  # tag, text, errno


def _rerror(tag: int, text: str, errno: int) -> bytes:
    return _plain_rerror(tag, text)


def _pack_stat_u(stat: Stat) -> bytes:
    plain, uid = values.pack_stat(stat), os.getuid()
    body = plain[2:] + pack_string("") + _ids.pack(uid, os.getgid(), uid)
    return _short.pack(len(body)) + body


def _rstat_u(tag: int, stat: Stat) -> bytes:
    packed = _pack_stat_u(stat)
    return _counted.pack(_counted.size + len(packed), 125, tag, len(packed)) + packed


def _rerror_u(tag: int, text: str, errno: int) -> bytes:
    frame = _plain_rerror(tag, text)
    return _number.pack(len(frame) + 4) + frame[4:] + _number.pack(errno)


def _unpack_u(frame: bytes) -> tuple[Any, ...]:
    kind = frame[4]
    if kind in (102, 104, 107):  # a number at the end
        if len(frame) < frames.HEADER + 4:
            raise WireError(f"{frames.KINDS[kind][0]} of the wrong size")
        return frames.unpack(frame[:-4])
    if kind in _AT:
        return frames.unpack(_without_ids(frame, _AT[kind]))
    if kind == 114:
        try:
            return _unpack_create(frame)[:-1]
        except struct.error:
            raise WireError("Tcreate of the wrong size") from None
    return frames.unpack(frame)


def _without_ids(frame: bytes, at: int) -> bytes:
    """Return the plain message of one that ends with a stat."""
    end = len(frame)
    if end < at + _STAT or frame[at - 2 : at + 2] != _short.pack(end - at) + _short.pack(end - at - 2):
        raise WireError("stat of the wrong size")
    pos = at + _STAT
    for _ in range(4):
        _, pos = unpack_string(frame, pos, end)
    _, stop = unpack_string(frame, pos, end)
    if stop + _ids.size != end:
        raise WireError("stat of the wrong size")
    return frame[: at - 2] + _short.pack(pos - at) + _short.pack(pos - at - 2) + frame[at + 2 : pos]


PLAIN = Dialect("9P2000", frames.unpack, values.pack_stat, frames.PACKERS[125], _rerror)
UNIX = Dialect("9P2000.u", _unpack_u, _pack_stat_u, _rstat_u, _rerror_u)


def chosen(version: str) -> Dialect | None:
    """Return the dialect for a client that offers ``version``; None if it speaks something else (version(9p): the part
    after a dot may be dropped).
    """
    return UNIX if version == UNIX.version else PLAIN if version.split(".")[0] == PLAIN.version else None
