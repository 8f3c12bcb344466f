"""Waiting for other processes' changes: inotify on the small file that every writer touches after its commit."""

from __future__ import annotations

import ctypes
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

_IN_ATTRIB = 0x4
_IN_DELETE_SELF = 0x400


class Watch:
    """A thread that calls `ring` after each touch of `file`, until `close`. One thread, two descriptors."""

    def __init__(self, file: Path, ring: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._ring = ring
        self._inotify = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._inotify < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        if libc.inotify_add_watch(self._inotify, os.fsencode(file), _IN_ATTRIB | _IN_DELETE_SELF) < 0:
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
        while self._stop not in (ready := [fd for fd, _ in poll.poll()]):
            if ready:
                os.read(self._inotify, 65536)
                self._ring()
