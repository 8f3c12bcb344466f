"""Waiting for other processes' changes: inotify on the small file that every writer touches after its commit.

Threads: one of its own, which calls `ring`. `follow` may be called from any thread until `close`.
"""

from collections.abc import Callable
from pathlib import Path

from anvilsrv.linux.inotify import IN_ATTRIB, Inotify
from anvilsrv.linux.reactor import Reactor


class Watch:
    """Calls `ring` after each touch of `file`, also after it was removed or replaced. Raises OSError if there is no inotify left."""

    def __init__(self, file: Path, ring: Callable[[], None], on_error: Callable[[BaseException], None]) -> None:
        self._file = file
        self._ring = ring
        self._inotify = Inotify()
        self._reactor = Reactor("beads", on_error)
        self._reactor.watch(self._inotify.fileno(), self._touched)
        self._reactor.start()

    def follow(self) -> None:
        """Watch the file that is there now; no-op if it is watched already or missing. Raises OSError."""
        try:
            self._inotify.add(str(self._file), IN_ATTRIB)  # also when it is removed: its count of links changes
        except FileNotFoundError:
            pass

    def close(self) -> None:
        """End and join the thread; not to be called from `ring`."""
        self._reactor.close()
        self._inotify.close()

    def _touched(self) -> None:
        self._inotify.read()
        try:
            self.follow()
        finally:
            self._ring()
