"""Waiting for other processes' changes: inotify on the small file that every writer touches after its commit."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable
from pathlib import Path

_IN_ATTRIB = 0x4
_IN_IGNORED = 0x8000
_EVENT = struct.Struct("iIII")


class Watch:
    """A thread that calls `ring` after each touch of `file`, until `close` or until the file is gone (`dead`)."""

    def __init__(self, file: Path, ring: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.dead = False
        self._ring = ring
        self._inotify = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._inotify < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        if libc.inotify_add_watch(self._inotify, os.fsencode(file), _IN_ATTRIB) < 0:
            os.close(self._inotify)
            raise OSError(ctypes.get_errno(), f"cannot watch {file}")
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="beads-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; not to be called from `ring`."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        os.close(self._inotify)
        os.close(self._stop)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._inotify, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while not self.dead and self._stop not in [fd for fd, _ in poll.poll()]:
            events = os.read(self._inotify, 65536)
            # Nothing but names follows the head of an event, and a watched file has none.
            self.dead = any(mask & _IN_IGNORED for _, mask, _, _ in _EVENT.iter_unpack(events))
            self._ring()
