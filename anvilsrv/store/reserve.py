"""Room kept on the disk: a file that is removed when the disk is full, so that what has already happened can still be saved.

Threads: belongs to the store's thread.
"""

import logging
import os
from pathlib import Path

from anvilsrv.errors import Full

log = logging.getLogger("anvilsrv")

SIZE = 4 << 20  # bytes: thousands of reports, and the pages of the log that SQLite writes before them


class Reserve:
    """The file ``path`` of ``size`` bytes, all of them allocated."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self._path = path
        self._size = size

    def keep(self) -> bool:
        """Have the room, if there is any; False: the disk is full.

        True where the file system cannot set room aside: then there is none to give up either.
        """
        try:
            if self._path.stat().st_blocks * 512 >= self._size:
                return True
        except FileNotFoundError:
            pass
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self._size)
            finally:
                os.close(fd)
        except OSError as error:
            self.give()
            if error.errno in Full.NUMBERS:
                return False
            log.warning("no room is kept for a full disk: %s", error.strerror)
        return True

    def give(self) -> bool:
        """Give the room up; False if there was none."""
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return True
