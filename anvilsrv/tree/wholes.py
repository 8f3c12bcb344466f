"""Kinds of file whose content takes a while, and is made or taken on a worker: diffs, and texts that are taken as a whole.

Threads: methods run on a worker of the 9P server, and may wait.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.allowance import Share
from anvilsrv.errors import AnvilError, Invalid
from anvilsrv.p9 import wire
from anvilsrv.p9.tree import Handle, Request
from anvilsrv.tree.files import FULL, Content, Said, utf8
from anvilsrv.tree.nodes import FileKind, Place, RowFile

MOST = 8 << 20  # bytes of a text


@dataclass(frozen=True)
class Made(FileKind):
    """A file whose content is made at the open, on a worker, since that may take a while."""

    content: Callable[[Place], bytes]

    slow = True

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return Content(self.content(file.at), file.at)


@dataclass(frozen=True)
class Whole(FileKind):
    """A text that is taken when it is complete: at the end of a write that is shorter than 4096 bytes, or at the clunk. What ``take``
    returns is what reading the same open file then gives; ``content`` is what is read else.
    """

    take: Callable[[Place, str], str | None]
    content: Callable[[Place], bytes] = lambda at: b""

    slow = True

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        content = b"" if mode & 3 == wire.OWRITE else self.content(file.at)
        return _WholeHandle(self, file, Content(content, file.at))


class _WholeHandle(Handle):
    def __init__(self, kind: Whole, file: RowFile, content: Content) -> None:
        self._kind = kind
        self._file = file
        self._content = content
        self._text = b""
        self._said = Said()
        self._held = Share(file.at.who.allowance, "open")

    def read(self, offset: int, count: int, req: Request) -> bytes:
        if self._said.given:
            return self._said.read(offset, count)
        found = self._content.read(offset, count, req)
        assert isinstance(found, bytes)
        return found

    def write(self, offset: int, data: bytes, req: Request) -> int:
        if len(self._text) + len(data) > MOST:
            self._text = b""
            raise Invalid(f"{self._file.name}: text larger than {MOST >> 20} MiB")
        self._held.grow(len(data))
        self._text += data
        if len(data) < FULL:
            self._take()
        return len(data)

    def _take(self) -> None:
        text, self._text = self._text, b""
        self._held.shrink()
        said = self._kind.take(self._file.at, utf8(text))
        if said is not None:
            self._said.give(f"{said}\n".encode())

    def hangup(self) -> None:
        self._held.let_go()
        self._content.hangup()

    def clunk(self, req: Request) -> None:
        try:
            if self._text.strip():
                self._take()
        except AnvilError as error:
            self._file.at.report(f"{self._file.name}: {error}")
            raise
        finally:
            self.hangup()
