"""The kinds of file that the tree is made of: how each behaves when it is read and written (DESIGN section 2).

These are the plain ones: queries, one-line files, ctl files. What gathers a text or JSON from many writes is in ``drafts.py``,
what blocks in ``streams.py``. Which domain method a file stands for is said in ``fs.py``; nothing here knows a session.

Threads: methods run on the 9P thread unless the file is ``slow``; what they post runs on the store's thread and answers from there.
"""

from collections.abc import Callable
from typing import Any

from anvilsrv import words
from anvilsrv.errors import AnvilError, Invalid
from anvilsrv.p9.tree import LATER, File, Handle, Later, Request, SnapshotHandle
from anvilsrv.store.store import Store, Tx

FULL = 4096  # bytes; a shorter write ends what it carries, a longer one may have been cut (``9p write`` cuts there)
MAX_COMMANDS = 1 << 20  # bytes of one command


def answer(req: Request) -> Callable[[Any, BaseException | None], None]:
    """An outcome for ``Store.post`` that answers ``req``."""

    def done(result: Any, error: BaseException | None) -> None:
        if error is None:
            req.done(result)
        else:
            req.fail(error if isinstance(error, AnvilError) else "internal error")

    return done


class QueryFile(File):
    """A file whose content is asked of the database at the open. ``size(who)`` is its length for stat."""

    def __init__(
        self, name: str, path: int, mode: int, store: Store, query: Callable[[Tx, Any], bytes], size: Callable[[], int]
    ) -> None:
        super().__init__(name, path, mode)
        self._store = store
        self._query = query
        self._size = size

    def length(self, who: Any) -> int:
        return self._size()

    def version(self, who: Any) -> int:
        return self._size()

    def open(self, who: Any, mode: int, req: Request) -> Later:
        def opened(result: Any, error: BaseException | None) -> None:
            answer(req)(None if error else SnapshotHandle(result), error)

        self._store.post(lambda tx: self._query(tx, who), opened)
        return LATER


class WordFile(File):
    """A one-line file: reading gives ``read()`` and a newline, each write is one new value. ``write(tx, who, value)``."""

    def __init__(
        self,
        name: str,
        path: int,
        mode: int,
        store: Store,
        read: Callable[[], str],
        write: Callable[[Tx, Any, str], None],
    ) -> None:
        super().__init__(name, path, mode)
        self._store = store
        self.read = read
        self.written = write

    def length(self, who: Any) -> int:
        return len(self._content())

    def version(self, who: Any) -> int:
        return hash(self._content())

    def _content(self) -> bytes:
        text = self.read()
        return f"{text}\n".encode() if text else b""

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return _WordHandle(self, self._store, who, self._content())


class _WordHandle(SnapshotHandle):
    def __init__(self, file: WordFile, store: Store, who: Any, content: bytes) -> None:
        super().__init__(content)
        self._file = file
        self._store = store
        self._who = who

    def write(self, offset: int, data: bytes, req: Request) -> Later:
        value = utf8(data).strip()
        if "\n" in value:
            raise Invalid(f"{self._file.name}: one line, please")

        def job(tx: Tx) -> int:
            self._file.written(tx, self._who, value)
            return len(data)

        self._store.post(job, answer(req))
        return LATER


def utf8(data: bytes) -> str:
    """``data`` as text. Raises Invalid."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid("invalid UTF-8") from None


class CommandFile(File):
    """A ctl file: each complete command (quoted as in rc) runs in ``run(who, words)``; reading gives what the last one said.

    A command ends at a newline outside quotes, and at the end of a write that is shorter than 4096 bytes.
    """

    slow = True

    def __init__(
        self,
        name: str,
        path: int,
        mode: int,
        run: Callable[[Any, list[str]], str | None],
        report: Callable[[str], None],
    ) -> None:
        super().__init__(name, path, mode)
        self.run = run
        self.report = report

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return _CommandHandle(self, who)


class _CommandHandle(Handle):
    def __init__(self, file: CommandFile, who: Any) -> None:
        self._file = file
        self._who = who
        self._rest = b""
        self._said = b""

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return self._said[offset : offset + count]

    def write(self, offset: int, data: bytes, req: Request) -> int:
        buffer, self._rest = self._rest + data, b""
        if len(buffer) > MAX_COMMANDS:
            raise Invalid(f"{self._file.name}: a command of more than {MAX_COMMANDS >> 20} MiB")
        if len(data) >= FULL and not data.endswith(b"\n"):
            cut = _whole_utf8(buffer)
            commands, rest = words.lines(utf8(buffer[:cut]))
            self._rest = rest.encode() + buffer[cut:]
        else:
            commands, rest = words.lines(utf8(buffer))
            commands += [rest] if rest.strip() else []
        for command in commands:
            self._run(command)
        return len(data)

    def _run(self, command: str) -> None:
        said = self._file.run(self._who, words.split(command))
        if said is not None:
            self._said = f"{said}\n".encode()

    def clunk(self, req: Request) -> None:
        if self._rest.strip():
            try:
                self._run(utf8(self._rest))
            except AnvilError as error:
                self._file.report(f"{self._file.name}: {error}")
                raise


def _whole_utf8(data: bytes) -> int:
    """How many bytes of ``data`` end on a character."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            need = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if need <= back else len(data) - back
    return len(data)
