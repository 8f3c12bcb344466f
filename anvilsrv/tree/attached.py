"""The files that the user makes in a session's ``attach/``: read, written at any place, and removed like files anywhere.

Threads: workers of the 9P server; what ``stat`` and a listing show is in memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from anvilsrv.agents.attachments import Known
from anvilsrv.p9 import wire
from anvilsrv.p9.tree import Handle, Node, Request
from anvilsrv.tree.files import Content
from anvilsrv.tree.nodes import FileKind, Place, Row, RowFile


@dataclass(frozen=True)
class Attached(FileKind):
    """A row that stands for all of them."""

    slow = True
    removable = True

    def find(self, row: Row, at: Place, name: str) -> Node | None:
        return RowFile(row, self, at, name) if name in at.domain.attachments.of(at.session) else None

    def listed(self, row: Row, at: Place) -> Iterable[Node]:
        return [RowFile(row, self, at, name) for name in at.domain.attachments.of(at.session)]

    def create(self, row: Row, at: Place, name: str, mode: int, req: Request) -> tuple[RowFile, Handle]:
        at.domain.attachments.create(at.session, name)
        made = RowFile(row, self, at, name)
        return made, self.open(made, mode, req)

    def remove(self, file: RowFile) -> None:
        file.at.domain.attachments.remove(file.at.session, file.name)

    def truncate(self, file: RowFile) -> None:
        file.at.domain.attachments.truncate(file.at.session, file.name)

    def length(self, file: RowFile) -> int:
        return _known(file).size

    def version(self, file: RowFile) -> int:
        return _known(file).version

    def mtime(self, file: RowFile) -> int:
        return int(_known(file).changed)

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        if mode & wire.OTRUNC:
            self.truncate(file)
        if mode & 3 in (wire.OREAD, wire.OEXEC):
            size = _known(file).size
            return Content(file.at.domain.attachments.read(file.at.session, file.name, 0, size), file.at)
        return _Open(file)


def _known(file: RowFile) -> Known:
    return file.at.domain.attachments.of(file.at.session).get(file.name, Known())


class _Open(Handle):
    """One that may be written to, and shows what it holds just now."""

    def __init__(self, file: RowFile) -> None:
        self._file = file

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return self._file.at.domain.attachments.read(self._file.at.session, self._file.name, offset, count)

    def write(self, offset: int, data: bytes, req: Request) -> int:
        self._file.at.domain.attachments.write(self._file.at.session, self._file.name, offset, data)
        return len(data)
