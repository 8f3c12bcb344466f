"""inotify(7) through ctypes: which watched files and directories something happened to."""

import ctypes
import os
import struct
from typing import NamedTuple

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_DELETE_SELF, IN_MOVE_SELF, IN_MASK_ADD = (
    0x2, 0x4, 0x8, 0x80, 0x100, 0x400, 0x800, 0x20000000,
)  # fmt: skip
CHANGES = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_MOVE_SELF | IN_DELETE_SELF
EVENT = struct.Struct("=iIII")  # watch, mask, cookie, length of the name


class Event(NamedTuple):
    """What happened to a watch; ``name`` is that of the file in a watched directory."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One instance; ``fileno`` for poll, ``read`` for what happened. Not thread-safe but for ``add``."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        return self._fd

    def add(self, path: str, mask: int = CHANGES) -> int:
        """Watch what ``path`` is now; the number by which ``read`` names it (the same again for the same file). Raises OSError."""
        return self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), ctypes.c_uint32(mask)))

    def remove(self, watch: int) -> None:
        """Stop watching; a file that is gone already is not an error."""
        self._libc.inotify_rm_watch(self._fd, watch)

    def read(self) -> list[int]:
        """Return the watches that something happened to, in order, once for each event; empty when nothing did."""
        return [event.watch for event in self.events()]

    def events(self) -> list[Event]:
        """Return what happened, in order; empty when nothing did."""
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            watch, mask, _, length = EVENT.unpack_from(data, at)
            at += EVENT.size + length
            found.append(Event(watch, mask, os.fsdecode(data[at - length : at].rstrip(b"\0"))))
        return found

    def close(self) -> None:
        os.close(self._fd)

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
