"""Plain kinds of file: texts, queries, one-line files, ctl files.

What gathers a text or JSON from many writes is in ``drafts.py``, what blocks in ``streams.py``.

Threads: methods run on the 9P thread unless the kind is ``slow``; what they post runs on the store's thread and answers from there.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anvilsrv import words
from anvilsrv.allowance import Share
from anvilsrv.errors import AnvilError, Conflict, Invalid
from anvilsrv.p9 import wire
from anvilsrv.p9.tree import LATER, Handle, Later, Request, SnapshotHandle
from anvilsrv.store.store import Outcome, Tx
from anvilsrv.strict_json import dumps
from anvilsrv.tree.nodes import FileKind, Place, RowFile

FULL = 4096  # bytes; a shorter write ends what it carries, a longer one may have been cut (``9p write`` cuts there)
MAX_COMMANDS = 1 << 20  # bytes of one command


def answer(req: Request) -> Outcome:
    """Return an outcome for ``Store.post`` that answers ``req``."""

    def done(result: Any, error: BaseException | None) -> None:
        if error is None:
            req.done(result)
        else:
            req.fail(reason(error))

    return done


def reason(error: BaseException) -> AnvilError | str:
    """Return what a client is told of an error; details only of our own."""
    return error if isinstance(error, AnvilError) else "internal error"


def compact(value: Any) -> str:
    """Return JSON in one line without spaces between its parts, so that grep finds ``"state":"idle"`` in every file of
    the tree.
    """
    return dumps(value)


def line(value: str) -> bytes:
    """Return the content of a one-line file: with a newline at the end, empty for an empty value."""
    return f"{value}\n".encode() if value else b""


def utf8(data: bytes) -> str:
    """Return ``data`` as text. Raises Invalid."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid("invalid UTF-8") from None


def one_line(file: RowFile, data: bytes) -> str:
    """Return ``data`` as a line without surrounding blanks. Raises Invalid."""
    value = utf8(data).strip()
    if "\n" in value:
        raise Invalid(f"invalid {file.name}: must be a single line")
    return value


class Content(SnapshotHandle):
    """Content that is fixed at the open, and counts as the reader's as long as it is open. Raises Conflict when that is too much."""

    def __init__(self, content: bytes, at: Place) -> None:
        self._held = Share(at.who.allowance, "open", len(content))
        super().__init__(content)

    def clunk(self, req: Request) -> Later | None:
        self._held.let_go()
        return None

    def hangup(self) -> None:
        self._held.let_go()


class Said:
    """What an open file says after a write: its reading begins at the first read after it, whatever the offset.

    plan9port's ``9p rdwr`` reads at 0; the kernel and 9pfuse go on reading after what they wrote.
    """

    def __init__(self) -> None:
        self.given = False
        self._data = b""
        self._start: int | None = None

    def give(self, data: bytes) -> None:
        """Give the answer to the last write."""
        self._data, self._start, self.given = data, None, True

    def read(self, offset: int, count: int) -> bytes:
        """Return what a read at ``offset`` gives."""
        if self._start is None or offset < self._start:
            self._start = offset
        return self._data[offset - self._start : offset - self._start + count]


@dataclass(frozen=True)
class Text(FileKind):
    """A file that is read: ``content`` at the open. ``changed(at, name)`` tells its mtime (epoch s)."""

    content: Callable[[Place], bytes]
    changed: Callable[[Place, str], float] | None = None

    def length(self, file: RowFile) -> int:
        return len(self.content(file.at))

    def version(self, file: RowFile) -> int:
        return zlib.crc32(self.content(file.at))

    def mtime(self, file: RowFile) -> int:
        return int(self.changed(file.at, file.name)) if self.changed else file.born

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return Content(self.content(file.at), file.at)


@dataclass(frozen=True)
class Query(FileKind):
    """A file whose content the store is asked for at the open. ``size`` is its length for stat, ``changed(at, name)`` its mtime."""

    content: Callable[[Place, Tx], bytes]
    size: Callable[[Place], int]
    changed: Callable[[Place, str], float] | None = None

    def length(self, file: RowFile) -> int:
        return self.size(file.at)

    def version(self, file: RowFile) -> int:
        return self.size(file.at)

    def mtime(self, file: RowFile) -> int:
        return int(self.changed(file.at, file.name)) if self.changed else file.born

    def open(self, file: RowFile, mode: int, req: Request) -> Later:
        def opened(result: Any, error: BaseException | None) -> None:
            try:
                answer(req)(None if error else Content(result, file.at), error)
            except Conflict as full:
                req.fail(full)

        file.at.domain.store.post(lambda tx: self.content(file.at, tx), opened, by=file.at.by)
        return LATER


@dataclass(frozen=True)
class Choices(Query):
    """The same, into which a line can be written; what was opened to be written is not read."""

    written: Callable[[Place, Tx, str], None] = lambda at, tx, text: None

    def open(self, file: RowFile, mode: int, req: Request) -> "Later | Handle":  # type: ignore[override]
        return super().open(file, mode, req) if mode & 3 == wire.OREAD else _LineHandle(self.written, file)


def _take(file: RowFile, written: Callable[[Place, Tx, str], None], data: bytes, req: Request) -> Later:
    """Have the store take a line that was written, and answer when it has."""
    value = one_line(file, data)

    def job(tx: Tx) -> int:
        written(file.at, tx, value)
        return len(data)

    file.at.domain.store.post(job, answer(req), by=file.at.by)
    return LATER


class _LineHandle(Handle):
    def __init__(self, written: Callable[[Place, Tx, str], None], file: RowFile) -> None:
        self._written = written
        self._file = file

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return b""

    def write(self, offset: int, data: bytes, req: Request) -> Later:
        return _take(self._file, self._written, data, req)


@dataclass(frozen=True)
class Word(FileKind):
    """A one-line file: reading gives ``value`` and a newline, each write is one new value."""

    value: Callable[[Place], str]
    written: Callable[[Place, Tx, str], None]

    def content(self, file: RowFile) -> bytes:
        return line(self.value(file.at))

    def length(self, file: RowFile) -> int:
        return len(self.content(file))

    def version(self, file: RowFile) -> int:
        return hash(self.content(file))

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return _WordHandle(self, file)


class _WordHandle(SnapshotHandle):
    def __init__(self, kind: Word, file: RowFile) -> None:
        super().__init__(kind.content(file))
        self._written = kind.written
        self._file = file

    def write(self, offset: int, data: bytes, req: Request) -> Later:
        return _take(self._file, self._written, data, req)


@dataclass(frozen=True)
class Action(FileKind):
    """A file that is only written: each write is one line (``lines``: or several), and one call, on a worker, which may wait for the
    store."""

    run: Callable[[Place, str], None]
    lines: bool = False

    slow = True

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return _ActionHandle(self, file)


class _ActionHandle(Handle):
    def __init__(self, kind: Action, file: RowFile) -> None:
        self._kind = kind
        self._file = file

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return b""

    def write(self, offset: int, data: bytes, req: Request) -> int:
        self._kind.run(self._file.at, utf8(data).strip() if self._kind.lines else one_line(self._file, data))
        return len(data)


@dataclass(frozen=True)
class Command(FileKind):
    """A ctl file: each complete command (quoted as in rc) runs; reading gives what the last one returned.

    A command ends at a newline outside quotes, and at the end of a write that is shorter than 4096 bytes.
    """

    run: Callable[[Place, list[str]], str | None]

    slow = True

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return _CommandHandle(self, file)


class _CommandHandle(Handle):
    def __init__(self, kind: Command, file: RowFile) -> None:
        self._kind = kind
        self._file = file
        self._rest = b""
        self._said = Said()
        self._held = Share(file.at.who.allowance, "open")

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return self._said.read(offset, count)

    def write(self, offset: int, data: bytes, req: Request) -> int:
        buffer, self._rest = self._rest + data, b""
        self._held.shrink()
        if len(buffer) > MAX_COMMANDS:
            raise Invalid(f"{self._file.name}: command larger than {MAX_COMMANDS >> 20} MiB")
        if len(data) >= FULL and not data.endswith(b"\n"):
            cut = _whole_utf8(buffer)
            commands, rest = words.lines(utf8(buffer[:cut]))
            kept = rest.encode() + buffer[cut:]
            self._held.grow(len(kept))
            self._rest = kept
        else:
            commands, rest = words.lines(utf8(buffer))
            commands += [rest] if rest.strip() else []
        for command in commands:
            self._run(command)
        return len(data)

    def _run(self, command: str) -> None:
        said = self._kind.run(self._file.at, words.split(command))
        if said is not None:
            self._said.give(f"{said}\n".encode())

    def hangup(self) -> None:
        self._held.let_go()

    def clunk(self, req: Request) -> None:
        self._held.let_go()
        if self._rest.strip():
            try:
                self._run(utf8(self._rest))
            except AnvilError as error:
                self._file.at.report(f"{self._file.name}: {error}")
                raise


def _whole_utf8(data: bytes) -> int:
    """Return how many bytes of ``data`` end on a character."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            need = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if need <= back else len(data) - back
    return len(data)


def unknown(words: list[str], known: str) -> Invalid:
    """Return the error for a ctl command that does not exist."""
    return Invalid(f"invalid command '{words[0][:80]}': {known}") if words else Invalid(f"no command: {known}")
