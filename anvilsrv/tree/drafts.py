"""Kinds of file that gather what one fid writes: a text (``in``, ``context``) or JSON (``mail``, ``hook``).

A write is not a message: plan9port's ``9p write`` cuts its input into writes of 4096 bytes.

Threads: methods run on the 9P thread; what they post runs on the store's thread and answers from there.
"""

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anvilsrv.allowance import Bound, Share
from anvilsrv.errors import AnvilError, Conflict, Invalid, NotPermitted
from anvilsrv.p9 import wire
from anvilsrv.p9.tree import LATER, Handle, Later, Request
from anvilsrv.sessions import drafts
from anvilsrv.store.store import Outcome, Tx
from anvilsrv.strict_json import loads
from anvilsrv.tree.domain import Domain
from anvilsrv.tree.files import Said, answer, reason
from anvilsrv.tree.nodes import FileKind, Place, RowFile

MAX_TEXT = 64 << 20  # bytes of a prompt or context
MAX_JSON = 8 << 20  # bytes of a message or report

Parse = Callable[[bytearray], Any]


@dataclass(frozen=True)
class TextDraft(FileKind):
    """``in``, ``context``, ``turns/<n>/prompt``: a text gathered from the writes of one fid, each on disk before it is answered.

    It takes effect (``commit``) at the clunk, and at an empty write after data; what ``commit`` returns is what reading the same
    open file then gives. ``check`` refuses what can be refused on the write; later only a text that is blank as a whole is.
    ``number`` gives a prompt its number, with its first write. ``kept`` is the content now, for a file that can be read; ``stored``
    the same where the store must be asked. No one writes more than ``most`` bytes, and no agent more than ``agents``.
    """

    check: Callable[[Place, Tx], None]
    commit: Callable[[Place, Tx, str, int], str | None]
    kept: Callable[[Place], bytes] | None = None
    stored: Callable[[Place, Tx], bytes] | None = None
    number: Callable[[Place, Tx], int] | None = None
    most: int = MAX_TEXT
    agents: Bound | None = None

    def length(self, file: RowFile) -> int:
        return len(self.kept(file.at)) if self.kept else 0

    def version(self, file: RowFile) -> int:
        return hash(self.kept(file.at)) if self.kept else 0

    def open(self, file: RowFile, mode: int, req: Request) -> Handle | Later:
        stored, kept = self.stored, self.kept
        if stored is None and kept is None:
            return _TextHandle(self, file, mode, b"")

        def opened(content: bytes, error: BaseException | None) -> None:
            if error is None and kept is not None:
                content = kept(file.at)
            try:
                answer(req)(None if error else _TextHandle(self, file, mode, content), error)
            except Conflict as full:
                req.fail(full)

        # In a job, so that it comes after a close that is on its way: 9pfuse does not wait for the answer to its Tclunk.
        file.at.domain.store.post(lambda tx: stored(file.at, tx) if stored else b"", opened, by=file.at.by)
        return LATER


class Refused(NotPermitted):
    """A write was refused, and its client was told so; what it wrote beside that is not taken either."""


class _TextHandle(Handle):
    """One fid's draft of a text. Everything here changes on the 9P thread, but for what is read, which comes from the store's."""

    def __init__(self, kind: TextDraft, file: RowFile, mode: int, kept: bytes) -> None:
        self._kind = kind
        self._file = file
        self._domain = file.at.domain
        self._by = file.at.by
        self._held = Share(file.at.who.allowance, "open", len(kept))
        self._written = Share(file.at.who.allowance, "drafts")
        self._kept = kept
        self._append = not mode & wire.OTRUNC
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._draft = drafts.fresh()
        self._size = 0
        self._writes = 0
        self._said = Said()

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return self._said.read(offset, count) if self._said.given else self._kept[offset : offset + count]

    def write(self, offset: int, data: bytes, req: Request) -> Later:
        if not data and self._writes:
            self._commit(lambda error: answer(req)(0, error))
            return LATER
        before = self._kept[:offset] if self._append and not self._size else b""
        size = len(before) + len(data)
        self._bound(self._size + size)
        self._check(data)
        self._written.grow(size)
        self._size += size
        self._writes += 1
        draft = self._draft
        self._domain.store.post(lambda tx: self._add(tx, draft, before + data, len(data)), answer(req), by=self._by)
        return LATER

    def _bound(self, size: int) -> None:
        agents = self._kind.agents if self._file.at.who.session is not None else None
        if agents is not None and size > agents.most:
            raise agents.refusal()
        if size > self._kind.most:
            raise Invalid(f"{self._file.name}: more than {self._kind.most >> 20} MiB")

    def _check(self, data: bytes) -> None:
        """Refuse bytes that cannot be UTF-8. A character may be cut between two writes; one that is cut at the end is replaced."""
        state = self._decoder.getstate()
        try:
            self._decoder.decode(data)
        except UnicodeDecodeError:
            self._decoder.setstate(state)
            raise Invalid(f"{self._file.name}: invalid UTF-8") from None

    def _add(self, tx: Tx, draft: int, data: bytes, count: int) -> int:
        at, number = self._file.at, self._kind.number
        self._kind.check(at, tx)
        n = number(at, tx) if number is not None and not drafts.there(tx, draft) else 0
        drafts.add(tx, draft, at.session, "/".join((*at.names[1:], self._file.row.name)), n, data, count)
        return count

    def _commit(self, done: Callable[[BaseException | None], None]) -> None:
        """Apply what was written, whole or not at all; the next write begins another text."""
        draft, writes, written = self._draft, self._writes, self._size
        self._draft, self._writes, self._size, self._append = drafts.fresh(), 0, 0, False
        self._decoder.reset()

        def job(tx: Tx) -> str | None:
            taken = drafts.take(tx, draft)
            if taken.writes != writes:
                raise Refused(f"{self._file.name}: a write was refused, so nothing of it was taken")
            return self._kind.commit(self._file.at, tx, taken.data.decode("utf-8", "replace"), taken.n)

        def settled(said: str | None, error: BaseException | None) -> None:
            self._written.shrink_by(written)
            if error is not None:
                self._domain.store.post(lambda tx: drafts.take(tx, draft), by=self._by)
            elif said is not None:
                self._said.give(f"{said}\n".encode())
            done(error)

        self._domain.store.post(job, settled, by=self._by)

    def clunk(self, req: Request) -> Later | None:
        self._held.let_go()
        if not self._writes:
            return None
        self._commit(lambda error: self._clunked(req, error))
        return LATER

    def _clunked(self, req: Request, error: BaseException | None) -> None:
        """Report a refusal as an event too: a client seldom looks at the answer to its Tclunk."""
        if error is not None and not isinstance(error, Refused):
            why = f"{self._file.name}: {reason(error)}"
            self._domain.store.post(lambda tx: self._domain.error(tx, self._file.at.session, why), by=self._by)
        answer(req)(None, None if isinstance(error, Refused) else error)

    def hangup(self) -> None:
        self._held.let_go()
        if self._writes:
            draft, written = self._draft, self._size
            gone: Outcome = lambda result, error: self._written.shrink_by(written)  # noqa: E731
            self._domain.store.post(lambda tx: drafts.take(tx, draft), gone, by=self._by)


def recover(domain: Domain, tx: Tx, file: Callable[[str, str], RowFile | None]) -> None:
    """Finish the drafts that were open when a daemon ended: one whose last write was short takes effect, another is
    reported.

    ``file(session, path)`` is the file that the user wrote to, by its path below the session's directory.
    """
    for one in drafts.left(tx):
        try:
            taken = drafts.take(tx, one.id)
            if not one.whole:
                raise NotPermitted(f"{one.file}: the daemon ended while it was being written; it was dropped")
            found = file(one.session, one.file)
            if found is None or not isinstance(found.kind, TextDraft):
                raise NotPermitted(f"{one.file}: its file is gone; what was written to it was dropped")
            found.kind.commit(found.at, tx, taken.data.decode("utf-8", "replace"), taken.n)
        except AnvilError as error:
            domain.error(tx, one.session, str(error))


@dataclass(frozen=True)
class Json(FileKind):
    """``mail`` and ``hook``: acts as soon as a JSON object is complete, whatever writes it came in.

    ``exchange`` makes what does so, for one open in a mode; with ``slow`` it runs on a worker. ``parse`` is the reader.
    """

    exchange: Callable[[Place, int], "Exchange"]
    slow: bool = False
    parse: Parse = loads

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return _JsonHandle(file, self.exchange(file.at, mode), self.parse)


class Exchange:
    """What a JSON file does for one open: take objects and, perhaps, give a reply."""

    def took(self, found: dict[str, Any], count: int, req: Request, held: Share) -> int | Later:
        """Take a complete object; the write must be answered with ``count``. ``held`` is released when it is no longer
        needed, unless this raises.
        """
        raise NotImplementedError

    def reply(self, offset: int, count: int, req: Request) -> bytes | Later:
        """Answer a read."""
        return b""

    def gone(self) -> None:
        """Forget the fid, which is gone."""

    def cancelled(self, req: Request) -> None:
        """Forget a parked read."""


class Mail(Exchange):
    """``mail``: each complete object is sent, and its write answered when it is on disk."""

    def __init__(self, at: Place, mode: int) -> None:
        self._at = at

    def took(self, found: dict[str, Any], count: int, req: Request, held: Share) -> Later:
        def job(tx: Tx) -> int:
            self._at.domain.send(tx, self._at.owner, found)
            return count

        def done(result: Any, error: BaseException | None) -> None:
            held.let_go()
            answer(req)(result, error)

        self._at.domain.store.post(job, done, by=self._at.by)
        return LATER


class _JsonHandle(Handle):
    def __init__(self, file: RowFile, exchange: Exchange, parse: Parse) -> None:
        self._name = file.name
        self._parse = parse
        self._exchange = exchange
        self._report = file.at.report
        self._allowance = file.at.who.allowance
        self._pieces = JsonPieces(file.name, parse)
        self._held = Share(self._allowance, "open")

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        return self._exchange.reply(offset, count, req)

    def write(self, offset: int, data: bytes, req: Request) -> int | Later:
        (pieces, held), self._pieces = (self._pieces, self._held), JsonPieces(self._name, self._parse)
        self._held = Share(self._allowance, "open")
        try:
            held.grow(len(data))
            found = pieces.add(data)
            if found is not None:
                return self._exchange.took(found, len(data), req, held)
        except BaseException:
            held.let_go()
            raise
        self._pieces, self._held = pieces, held
        return len(data)

    def cancel(self, req: Request) -> None:
        self._exchange.cancelled(req)

    def clunk(self, req: Request) -> None:
        self._exchange.gone()
        self._held.let_go()
        if self._pieces.begun:
            self._report(f"{self._name}: incomplete JSON")
            raise Invalid(f"{self._name}: incomplete JSON")

    def hangup(self) -> None:
        self._exchange.gone()
        self._held.let_go()


class JsonPieces:
    """A JSON object that comes in pieces. Each byte is looked at once, so that a large one in small writes costs no more."""

    def __init__(self, name: str, parse: Parse = loads) -> None:
        self._name = name
        self._read = parse
        self._data = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._at = 0  # up to where it was looked at
        self._depth = 0
        self._quoted = False

    @property
    def begun(self) -> bool:
        """Whether something of an object is there."""
        return bool(self._data)

    def add(self, piece: bytes) -> dict[str, Any] | None:
        """Return the object once it is whole, None while it may still continue. Raises Invalid if it cannot become one."""
        if len(self._data) + len(piece) > MAX_JSON:
            raise Invalid(f"{self._name}: more than {MAX_JSON >> 20} MiB")
        try:
            self._decoder.decode(piece)
        except UnicodeDecodeError:
            raise Invalid(f"{self._name}: invalid UTF-8") from None
        self._data += piece if self._data else piece.lstrip()
        if self._data and self._data[0] != ord("{"):
            raise Invalid(f"{self._name}: not a JSON object")
        return self._parse() if self._closed() else None

    def _closed(self) -> bool:
        """Return whether the brace that opened it is closed; the scan knows only strings and brackets.

        It is made of a few passes over the new bytes, for an agent may send megabytes of brackets.
        """
        data = self._data
        end = len(data) - (len(data) - len(data.rstrip(b"\\"))) % 2  # what the last backslash escapes has not come yet
        parts = bytes(data[self._at : end]).replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        self._at = end
        outside = b"".join(parts[self._quoted :: 2])
        self._quoted ^= len(parts) % 2 == 0
        closing = outside.count(b"}") + outside.count(b"]")
        self._depth += outside.count(b"{") + outside.count(b"[") - closing
        return closing > 0 and self._depth <= 0

    def _parse(self) -> dict[str, Any]:
        try:
            found = self._read(self._data)
        except Invalid as error:
            raise Invalid(f"{self._name}: {error}") from None
        assert isinstance(found, dict)
        return found
