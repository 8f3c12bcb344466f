"""Kinds of file that block: ``events``, the logs, and ``out``. How a read waits is in ``parked.py``.

Threads: methods run on the 9P thread; ``ask`` runs on the store's thread.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from anvilsrv.allowance import Share
from anvilsrv.errors import Conflict
from anvilsrv.p9.tree import LATER, Handle, Later, Node, Request
from anvilsrv.store.events import Reader, Stream
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import answer_to
from anvilsrv.tree import access
from anvilsrv.tree.files import answer
from anvilsrv.tree.nodes import FileKind, Place, Row, RowFile
from anvilsrv.tree.parked import Found, Parked, Stored


@dataclass(frozen=True)
class Events(FileKind):
    """Events as JSON lines. Each open has its own cursor, which starts now, or after the number in the file's name."""

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        domain = file.at.domain
        sees = access.sees(file.at.who, domain.descends)
        return _Events(domain.stream, domain.stream.reader(sees, file.number), file.at)


class _Events(Parked):
    def __init__(self, stream: Stream, reader: Reader, at: Place) -> None:
        super().__init__()
        self._held = Share(at.who.allowance, "streams", 1)
        self._stream = stream
        self._reader = reader
        self._after = reader.mark()  # what was looked at

    def peek(self, offset: int, count: int) -> bytes | None:
        before = self._reader.mark()
        data = self._reader.take(count)
        self._after = self._reader.mark()
        if data:
            self._reader.back(before)
        return data or None

    def advance(self, data: bytes) -> None:
        self._reader.back(self._after)

    def want(self) -> None:
        self._stream.wait(self, self.wake)
        self.wake()  # something may have come before we waited

    def close(self) -> None:
        self._held.let_go()
        self._stream.forget(self)


@dataclass(frozen=True)
class Tail(FileKind):
    """A log: everything from the beginning, then what comes, as ``tail -f`` shows a file; offsets are ignored.

    ``page(at, tx, cursor)`` gives the bytes after ``cursor`` (none at the end) and the next cursor; ``topic`` is notified when there
    is more. With ``ends`` it has an end, where there is no more by then, and is in no listing.
    """

    topic: Callable[[Place], str]
    page: Callable[[Place, Tx, object], tuple[bytes, object]]
    ends: bool = False

    def listed(self, row: Row, at: Place) -> Iterable[Node]:
        return () if self.ends else super().listed(row, at)

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return _Tail(self, file.at)


class _Tail(Stored):
    def __init__(self, kind: Tail, at: Place) -> None:
        super().__init__(at, kind.topic(at))
        self._kind = kind
        self._at = at
        self._page, self._given = b"", 0
        self._over = False

    def peek(self, offset: int, count: int) -> bytes | None:
        if not self._page:
            return b"" if self._over else None
        return self._page[self._given : self._given + count]

    def advance(self, data: bytes) -> None:
        self._given += len(data)
        if self._given == len(self._page):
            self._page, self._given = b"", 0
            self.held.shrink()

    def ask(self, tx: Tx, cursor: object) -> Found:
        page, after = self._kind.page(self._at, tx, cursor)
        return Found(page or (b"" if self._kind.ends else None), after)

    def keep(self, data: bytes) -> None:
        self.held.grow(len(data))
        self._page, self._given = self._page[self._given :] + data, 0
        self._over = not data


@dataclass(frozen=True)
class Answer(FileKind):
    """``out``: the answer to the last prompt accepted before the open; a read waits for it.

    ``last(at, tx)`` is that prompt (0: none, and the file is empty); ``response(at, tx, prompt)`` its answer, None while it may still
    come. Raises Conflict when it cannot come.
    """

    last: Callable[[Place, Tx], int]
    response: Callable[[Place, Tx, int], bytes | None]

    def open(self, file: RowFile, mode: int, req: Request) -> Later:
        def opened(prompt: Any, error: BaseException | None) -> None:
            try:
                answer(req)(None if error else _Answer(self, file.at, prompt), error)
            except Conflict as full:
                req.fail(full)

        file.at.domain.store.post(lambda tx: self.last(file.at, tx), opened, by=file.at.by)
        return LATER


class _Answer(Stored):
    def __init__(self, kind: Answer, at: Place, prompt: int) -> None:
        super().__init__(at, answer_to(prompt))
        self._kind = kind
        self._at = at
        self._prompt = prompt
        self._data: bytes | None = None if prompt else b""

    def peek(self, offset: int, count: int) -> bytes | None:
        return None if self._data is None else self._data[offset : offset + count]

    def ask(self, tx: Tx, cursor: object) -> Found:
        return Found(self._kind.response(self._at, tx, self._prompt))

    def keep(self, data: bytes) -> None:
        self.held.grow(len(data))
        self._data = data
