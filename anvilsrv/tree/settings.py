"""A file that shows how something stands just now, and in which it is set, a line for each value.

Threads: workers of the 9P server.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.p9.tree import Handle, Request
from anvilsrv.tree.files import Content, utf8
from anvilsrv.tree.nodes import FileKind, Place, RowFile


@dataclass(frozen=True)
class Settings(FileKind):
    """``content`` is what a read gives, made at the open; each write is taken as a whole, and may be several lines."""

    content: Callable[[Place], bytes]
    written: Callable[[Place, str], None]

    slow = True

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return _SettingsHandle(self, file)


class _SettingsHandle(Content):
    def __init__(self, kind: Settings, file: RowFile) -> None:
        super().__init__(kind.content(file.at), file.at)
        self._kind = kind
        self._file = file

    def write(self, offset: int, data: bytes, req: Request) -> int:
        self._kind.written(self._file.at, utf8(data))
        return len(data)
