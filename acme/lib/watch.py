"""Waiting for a socket to appear, without looking again and again: inotify(7) on its directory."""

from __future__ import annotations

import ctypes
import os
import select
from contextlib import suppress

_CREATED = 0x100 | 0x80  # IN_CREATE | IN_MOVED_TO
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_PERIOD = 1.0  # s between looks where the system has no inotify


class Watch:
    """Notices files that come into a directory. `wait` belongs to one thread, `stop` to any other."""

    def __init__(self, directory: str) -> None:
        self._woken, self._wake = os.pipe()
        self._events = _inotify(directory)

    def wait(self) -> bool:
        """Wait until something came since the last call; False once `stop` was called."""
        watched = [self._woken] if self._events is None else [self._woken, self._events]
        ready, _, _ = select.select(watched, [], [], _PERIOD if self._events is None else None)
        if self._woken in ready:
            return False
        if self._events is not None:
            with suppress(BlockingIOError):
                os.read(self._events, 65536)
        return True

    def stop(self) -> None:
        os.write(self._wake, b"x")

    def close(self) -> None:
        for fd in (self._woken, self._wake, self._events):
            if fd is not None:
                os.close(fd)


def _inotify(directory: str) -> int | None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        return None
    fd: int = libc.inotify_init1(_FLAGS)
    if fd < 0:
        return None
    if libc.inotify_add_watch(fd, os.fsencode(directory), _CREATED) < 0:
        os.close(fd)
        return None
    return fd
