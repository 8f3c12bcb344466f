"""One file that an agent writes, read on from where it was read last: JSON lines, lines, or bytes as they come; or a document, read
again whenever it is another.

The agent is hostile: the file is opened without links in a directory that was reached without links, and must be a regular one. A line
has a bounded length; of what was written since the last look only the end is read where it is too much.

It stays open until ``close``: which is to be called when another file may have its name.

Threads: belongs to the thread of the follower.
"""

import codecs
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any

from anvilsrv.activity.rows import Mark
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import loads_bytes

LINE = 8 << 20  # bytes; a longer line is skipped
CHUNK = 1 << 18
LOOK = 4 << 20  # bytes read at one look; the rest at the next
MOST = 64 << 20  # bytes that may wait; of more the last are read
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
Line = Mapping[str, Any]


class Growing:
    """A file called ``name``; ``how`` is json, lines, bytes or document. ``mark`` is how far it was read before."""

    def __init__(self, name: str, how: str, mark: Mark | None, end: bool = False) -> None:
        self.name = name
        self.how = how
        self.mark = mark
        self.unread = False  # there was more than one look takes
        self._fd: int | None = None
        self._end = end  # what stands in it already is old
        self._partial = b""
        self._skipping = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self, directory: int) -> Iterator[tuple[int, Line]]:
        """Yield what came since the last look, each with the offset where it begins. Raises OSError."""
        if self._fd is None:
            self._fd = os.open(self.name, OPEN, dir_fd=directory)
        fd, state = self._fd, os.fstat(self._fd)
        if not stat.S_ISREG(state.st_mode):
            self.close()
            return
        if self.how == "document":
            yield from self._document(fd, state)
            return
        at = self._begin(state)
        end = min(state.st_size, at + LOOK)
        self.unread = end < state.st_size
        while at < end and (data := os.pread(fd, min(CHUNK, end - at), at)):
            at += len(data)
            yield from self._take(data, at)

    def close(self) -> None:
        """Close it; the next look opens what has its name then."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _begin(self, state: os.stat_result) -> int:
        """Return where to go on reading: at the start of another file, and of one that has become shorter."""
        mark, size = self.mark, state.st_size
        read = mark.offset + len(self._partial) if mark is not None else 0
        if mark is None or (mark.device, mark.inode) != (state.st_dev, state.st_ino) or size < read:
            self._forget(skipping=False)
            read = size if self._end and mark is None else 0
        self._end = False
        if size - read > MOST:
            read = size - MOST
            self._forget(skipping=self.how != "bytes")
        self.mark = Mark(state.st_dev, state.st_ino, read - len(self._partial))
        return read

    def _document(self, fd: int, state: os.stat_result) -> Iterator[tuple[int, Line]]:
        """Yield the whole document, unless it was read. What is not yet written to its end is not a document, and is
        read when it has grown.
        """
        before, self.mark = self.mark, Mark(state.st_dev, state.st_ino, state.st_size)
        if self.mark == before or (self._end and before is None):
            return
        if (made := self._made(os.pread(fd, LINE + 1, 0))) is not None:
            yield 0, made

    def _forget(self, skipping: bool) -> None:
        self._partial, self._skipping = b"", skipping
        self._decoder.reset()

    def _take(self, data: bytes, after: int) -> Iterator[tuple[int, Line]]:
        assert self.mark is not None
        if self.how == "bytes":
            begun, self.mark = self.mark.offset, self.mark._replace(offset=after)
            if text := self._decoder.decode(data):
                yield begun, {"text": text, "file": self.name}
            return
        *lines, rest = (self._partial + data).split(b"\n")
        begun = self.mark.offset
        self.mark = self.mark._replace(offset=after - len(rest))
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif (made := self._made(line)) is not None:
                yield begun, made
            begun += len(line) + 1
        self._partial = rest
        if len(rest) > LINE:
            self._partial, self._skipping = b"", True
            self.mark = self.mark._replace(offset=after)

    def _made(self, line: bytes) -> Line | None:
        if not line or len(line) > LINE:
            return None
        if self.how == "lines":
            return {"line": line.decode("utf-8", "replace"), "file": self.name}
        try:
            found = loads_bytes(line, LINE)
        except Invalid:
            return None
        return {**found, "file": found.get("file", self.name)} if isinstance(found, dict) else None
