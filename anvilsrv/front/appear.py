"""Waiting for a file to appear, such as the socket of a daemon that is away: by inotify(7), without polling.

Threads: ``wake`` may be called from any thread, the rest belongs to one.
"""

import contextlib
import os
import select

from anvilsrv.linux.inotify import IN_CREATE, IN_DELETE_SELF, IN_MOVE_SELF, IN_MOVED_TO, Inotify

COMES = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF
PERIOD = 1.0  # s between looks where no inotify is to be had


class Appearing:
    """Watches the directory of ``path``, or the nearest above it that exists."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._inotify = _inotify()
        self._watch: int | None = None
        self._arm()

    def wait(self, seconds: float | None) -> bool:
        """Wait until something may have come since the last call, or ``wake`` was called; False after ``seconds`` without."""
        if self._arm():
            return True  # a directory has come, and maybe what is waited for within it, before it was watched
        if self._inotify is None:
            seconds = PERIOD if seconds is None else min(seconds, PERIOD)
        poll = select.poll()
        for fd in self._descriptors():
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if seconds is None else 1000 * seconds)}
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._inotify is not None and self._inotify.fileno() in ready:
            self._inotify.read()
        return bool(ready) or (self._inotify is None and seconds == PERIOD)

    def wake(self) -> None:
        """End the ``wait`` that is under way, or the next one."""
        with contextlib.suppress(BlockingIOError):  # full: it is woken already
            os.write(self._wake, b"x")

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._woken)
        os.close(self._wake)
        if self._inotify is not None:
            self._inotify.close()

    def __enter__(self) -> "Appearing":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _descriptors(self) -> list[int]:
        return [self._woken] if self._inotify is None else [self._woken, self._inotify.fileno()]

    def _arm(self) -> bool:
        """Watch the nearest directory there is now; whether that is another than before."""
        if self._inotify is None:
            return False
        before, self._watch = self._watch, None
        directory = os.path.dirname(self._path)
        while self._watch is None:
            try:
                self._watch = self._inotify.add(directory or "/", COMES)
            except OSError:
                if directory in ("", "/"):
                    raise
                directory = os.path.dirname(directory)
        if before not in (None, self._watch):
            self._inotify.remove(before)
        return self._watch != before


def _inotify() -> Inotify | None:
    """Return an instance; None if there are no more of them, or none at all."""
    try:
        return Inotify()
    except (OSError, AttributeError):
        return None
