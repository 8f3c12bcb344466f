"""The paths in a git index (versions 2 to 4), read without git. See gitformat-index(5).

Threads: any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

GITLINK = 0o160000
_FIXED = 40  # bytes of an entry before its object name: times, device, inode, mode, owner, size
_EXTENDED = 0x4000


class Entry(NamedTuple):
    """One path, as bytes, with its mode."""

    mode: int
    path: bytes


def entries(index: bytes, width: int) -> Iterator[Entry]:
    """Yield the entries of an index whose object names have ``width`` bytes. Raises ValueError if it is not an index."""
    version = int.from_bytes(index[4:8], "big")
    if index[:4] != b"DIRC" or version not in (2, 3, 4):
        raise ValueError("not a git index of version 2 to 4")
    at, before = 12, b""
    for _ in range(int.from_bytes(index[8:12], "big")):
        start, at = at, at + _FIXED + width + 2
        mode = int.from_bytes(index[start + 24 : start + 28], "big")
        at += 2 if int.from_bytes(index[at - 2 : at], "big") & _EXTENDED else 0
        if version == 4:
            drop, at = _number(index, at)
            end = index.index(b"\0", at)
            before = before[: len(before) - drop] + index[at:end]
            path, at = before, end + 1
        else:
            end = index.index(b"\0", at)
            path, at = index[at:end], end + 8 - (end - start) % 8
        yield Entry(mode, path)


def _number(index: bytes, at: int) -> tuple[int, int]:
    """Return an offset as in packs: seven bits a byte, the highest bit says that there is more."""
    value = index[at] & 0x7F
    while index[at] & 0x80:
        at += 1
        value = ((value + 1) << 7) | (index[at] & 0x7F)
    return value, at + 1
