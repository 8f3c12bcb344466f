"""Waiting for other processes' changes: inotify on the small file that every writer touches after its commit."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from anvilsrv.linux.inotify import Inotify

_IN_ATTRIB = 0x4  # also when the file is removed


class Watch:
    """A thread that calls `ring` after each touch of `file`, until `close` or until the file is gone (`dead`)."""

    def __init__(self, file: Path, ring: Callable[[], None]) -> None:
        self.dead = False
        self._file = file
        self._ring = ring
        self._inotify = Inotify()
        try:
            self._inotify.add(str(file), _IN_ATTRIB)
            self._inode = file.stat().st_ino
        except OSError:
            self._inotify.close()
            raise
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="beads-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; not to be called from `ring`."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self._inotify.close()
        os.close(self._stop)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._inotify.fileno(), select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while not self.dead and self._stop not in [fd for fd, _ in poll.poll()]:
            self._inotify.read()
            try:
                self.dead = self._file.stat().st_ino != self._inode
            except OSError:
                self.dead = True
            self._ring()
