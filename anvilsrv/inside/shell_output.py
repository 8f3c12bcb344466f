"""What a command prints, while it prints it: pieces in a file of JSON lines that the daemon follows.

A piece goes out when something was printed, and the next at least ``GAP`` later with all that came meanwhile. What a terminal would
act on is the reader's to make harmless. Of a command that prints much the beginning is told; its whole output is the response.

One thread; standard library only.
"""

import codecs
import os
import time

GAP = 0.05  # s between two pieces
MOST = 1 << 20  # bytes of one command that are told
LARGE = 4 << 20  # bytes of the file after which it starts over


class Pieces:
    """The file at ``path``; without one nothing is told."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = bytearray()
        self._told = 0
        self._next = 0.0  # monotonic, s

    def begin(self) -> None:
        """Begin another command."""
        self._waiting.clear()
        self._decoder.reset()
        self._told = 0
        try:
            if self._path and os.path.getsize(self._path) > LARGE:
                os.unlink(self._path)
        except OSError:
            pass  # it is not there yet

    def add(self, data: bytes) -> None:
        """Add what was printed."""
        if self._path and self._told < MOST:
            self._told += len(data)
            self._waiting += data
            self.tell()

    @property
    def patience(self) -> float | None:
        """Seconds until ``tell`` is to be called; None: nothing waits."""
        return max(0.0, self._next - time.monotonic()) if self._waiting else None

    def tell(self, now: bool = False) -> None:
        """Write what waits, if it is time, or ``now``."""
        moment = time.monotonic()
        if not self._waiting or not self._path or (moment < self._next and not now):
            return
        import json

        text, self._next = self._decoder.decode(bytes(self._waiting)), moment + GAP
        self._waiting.clear()
        if not text:
            return
        line = json.dumps({"part": text, "at": time.time()}) + "\n"
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)
        except OSError:
            self._path = None  # the disk is full: the response is told all the same
