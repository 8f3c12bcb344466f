"""Transcripts: the JSON lines that an agent appends to a file while it works, followed as they come.

Hooks do not say everything: an interrupt, the tokens used and a few more stand in the transcript alone. A ``Watcher`` follows the
transcripts of all sessions with inotify(7), one thread for all, and hands on the parsed lines. What they mean is said by the
backend (``Backend.transcript_reports``).

Subagents may have files of their own beside it, in a directory called as it is without its ending. They are followed too (``beside``).

The file belongs to the agent, so it is hostile input: it is opened beneath the session's own directory (``beneath``), a line has a
bounded length, what is not a JSON object is skipped, and a file that shrinks or is replaced is read from its new beginning. Who writes
without end is looked at seldom: a family of sessions has a share of the thread's time.

Threads: ``watch``, ``forget`` and ``close`` from any thread; ``on_lines`` is called from the watcher's thread, with no lock held.
"""

import fnmatch
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from anvilsrv.allowance import BOUNDS, Shares
from anvilsrv.backends.registry import Backends
from anvilsrv.errors import AnvilError, Denied, Invalid, NotFound
from anvilsrv.linux import beneath
from anvilsrv.linux.inotify import CHANGES, IN_CLOSE_WRITE, IN_MASK_ADD, IN_MODIFY, Inotify
from anvilsrv.linux.reactor import Deadline, Reactor
from anvilsrv.sessions.state import View
from anvilsrv.strict_json import loads_bytes

LINE = 8 << 20  # bytes of one line; a longer one is skipped
CHUNK = 1 << 18
MOST = BOUNDS["transcript"].most  # bytes that may wait: of more the last are read
LOOK = 4 << 20  # bytes read at one look of the watcher; the rest at the next
Line = dict[str, Any]
OnLines = Callable[[str, list[Line], bool], None]
OnBeside = Callable[[str, list[Line]], None]
FILES = 10_000  # beside one transcript
REST = 0.03  # s between two looks at what has happened
WRITES = IN_MODIFY | IN_CLOSE_WRITE
COMES = CHANGES & ~WRITES  # a file is new in a directory, or is another one
AGAIN = 10  # times that is looked for what to watch: who changes it without end is seen by what is watched then
OVERFLOW = -1  # the watch of IN_Q_OVERFLOW


class Tail:
    """A growing file of JSON lines, read on from where the last read ended."""

    def __init__(self, top: Path, path: str, offset: int = 0) -> None:
        self._first = offset
        self.top = top
        self.name = beneath.relative(top, path)
        self._identity: tuple[int, int] | None = None
        self._offset = 0
        self._partial = b""
        self._skipping = False
        self.taken = 0  # bytes at the last look
        self.unread = False  # there is more than that look took

    def read(self, most: int = MOST) -> Iterator[Line]:
        """Yield the objects on the lines completed since, in that many bytes. Raises AnvilError when the file cannot be
        read; a file that does not exist yet is not an error.
        """
        self.taken, self.unread = 0, False
        try:
            fd = beneath.read(self.top, self.name)
        except NotFound:
            return
        try:
            yield from self._read(fd, most)
        finally:
            os.close(fd)

    def _read(self, fd: int, most: int) -> Iterator[Line]:
        state = os.fstat(fd)
        if (state.st_dev, state.st_ino) != self._identity or state.st_size < self._offset:
            self._identity = (state.st_dev, state.st_ino)
            self._offset, self._partial, self._skipping = min(self._first, state.st_size), b"", False
            self._first = 0
        if state.st_size - self._offset > MOST:  # it may be sparse, of terabytes: what came last counts
            self._offset, self._partial, self._skipping = state.st_size - MOST, b"", True
        end = min(state.st_size, self._offset + most)  # what comes now has an event of its own
        self.unread = end < state.st_size
        while self._offset < end and (data := os.pread(fd, min(CHUNK, end - self._offset), self._offset)):
            self._offset += len(data)
            self.taken += len(data)
            yield from self._lines(data)

    def _lines(self, data: bytes) -> Iterator[Line]:
        *complete, rest = (self._partial + data).split(b"\n") if not self._skipping else self._skip(data)
        self._partial = rest
        if len(rest) > LINE:
            self._partial, self._skipping = b"", True
        for line in complete:
            found = parse(line)
            if found is not None:
                yield found

    def _skip(self, data: bytes) -> list[bytes]:
        """Return what follows the end of a line that was too long."""
        _, newline, rest = data.partition(b"\n")
        self._skipping = not newline
        return rest.split(b"\n")


def parse(line: bytes) -> Line | None:
    """Return the object on a line, or None."""
    if not line:
        return None
    try:
        found = loads_bytes(line, LINE)
    except Invalid:
        return None
    return found if isinstance(found, dict) else None


def lines(top: Path, path: str, offset: int = 0) -> Iterator[Line]:
    """Yield every object in a transcript, once, from its beginning or from ``offset`` bytes. Raises AnvilError."""
    yield from Tail(top, path, offset).read()


def size(top: Path, path: str) -> int:
    """Return how long a transcript is, in bytes; 0: it is not there. Raises AnvilError."""
    try:
        fd = beneath.read(top, beneath.relative(top, path))
    except NotFound:
        return 0
    try:
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


class Beside:
    """The files in a directory beside a transcript, ``pattern`` being ``DIRECTORY/NAMES``."""

    def __init__(self, tail: Tail, pattern: str) -> None:
        where, _, self._names = pattern.rpartition("/")
        stem = tail.name.rpartition(".")[0] if "." in tail.name.rpartition("/")[2] else tail.name
        self.parts = [*stem.split("/"), *where.split("/")]
        self._top = tail.top
        self._tails: dict[str, Tail] = {}
        self.unread = False  # as of a Tail

    def meant(self, name: str) -> bool:
        """Return whether that may be the name of such a file."""
        return fnmatch.fnmatch(name, self._names)

    def read(self) -> Iterator[Line]:
        """Yield the objects on the lines completed since in all of them, as much as is read at one look. Raises
        AnvilError.
        """
        self.unread, left = False, LOOK
        fd = directory(self._top, self.parts)
        if fd is None:
            return
        try:
            with os.scandir(fd) as entries:
                names = [one.name for one in itertools.islice(entries, FILES)]
        finally:
            os.close(fd)
        for name in sorted(fnmatch.filter(names, self._names)):
            if name not in self._tails:
                self._tails[name] = Tail(self._top, str(self._top / "/".join([*self.parts, name])))
            tail = self._tails[name]
            yield from tail.read(left)
            left -= tail.taken
            self.unread |= tail.unread
            if left <= 0:
                self.unread = True
                break


class Watcher:
    """Follows one transcript for each session.

    ``on_lines(session, lines, old)`` gets what was appended, in batches as it comes; ``old`` marks the first batches, which stood in
    the file when ``watch`` was called. ``on_beside(session, lines)`` gets those of the files beside it. ``on_error`` gets what went
    wrong in the thread (a file that cannot be opened, a callback). ``family`` tells for whom the time that a session needs counts.
    """

    def __init__(
        self, on_lines: OnLines, on_error: Callable[[BaseException], None], on_beside: OnBeside = lambda *_: None,
        family: Callable[[str], str] = str,
    ) -> None:  # fmt: skip
        self.shares = Shares(family)
        self._on_lines = on_lines
        self._on_beside = on_beside
        self._on_error = on_error
        self._tails: dict[str, Tail] = {}  # this and what follows is the thread's own
        self._beside: dict[str, Beside] = {}
        self._watches: dict[str, frozenset[int]] = {}  # session -> numbers of its watches
        self._whose: dict[int, set[str]] = {}  # the other way round
        self._old: set[str] = set()  # sessions of which something is not read that stood there when watching began
        self._later: dict[str, Deadline] = {}  # sessions that are looked at later
        self._inotify = Inotify()
        self._reactor = Reactor("transcripts", on_error)
        self._reactor.watch(self._inotify.fileno(), self._changed)
        self._reactor.start()

    def watch(self, session: str, top: Path, path: str, beside: str = "") -> None:
        """Follow ``path``, which must lie beneath ``top``, from now on, and the files that match ``beside``; the same path again
        changes nothing. Raises Denied.
        """
        tail = Tail(top, path)
        self._reactor.do(lambda: self._start(session, tail, Beside(tail, beside) if beside else None))

    def forget(self, session: str) -> None:
        """Stop following; a batch under way may still be handed on."""
        self._reactor.do(lambda: self._end(session))

    def close(self) -> None:
        """End and join the thread."""
        self._reactor.close()
        self._inotify.close()

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _start(self, session: str, tail: Tail, beside: "Beside | None") -> None:
        before = self._tails.get(session)
        if before is None or (before.top, before.name) != (tail.top, tail.name):
            with self.shares.charged(session):
                self._read_beside(session)
            self._leave(session)
            self._tails[session] = tail
            self._beside.pop(session, None)
            if beside is not None:
                self._beside[session] = beside
            self._old.add(session)
            self._serve(session)

    def _end(self, session: str) -> None:
        self._tails.pop(session, None)
        self._beside.pop(session, None)
        self._old.discard(session)
        if (later := self._later.pop(session, None)) is not None:
            later.cancel()
        self._leave(session)

    def _changed(self) -> None:
        self._reactor.unwatch(self._inotify.fileno())  # what comes soon is looked at with what comes after it
        self._reactor.at(REST, lambda: self._reactor.watch(self._inotify.fileno(), self._changed))
        meant: set[str] = set()
        for event in self._inotify.events():
            if event.watch == OVERFLOW:
                meant |= set(self._tails)
            elif event.name and not event.mask & ~WRITES:  # a write to others in the directory is no news
                meant |= {one for one in self._whose.get(event.watch, ()) if self._meant(one, event.name)}
            else:
                meant |= self._whose.get(event.watch, set())
        for session in meant & set(self._tails):
            self._serve(session)

    def _meant(self, session: str, name: str) -> bool:
        """Return whether this may be a file beside that is followed."""
        beside = self._beside.get(session)
        return beside is not None and beside.meant(name)

    def _leave(self, session: str, numbers: frozenset[int] = frozenset()) -> None:
        """Watch these for it, and no others."""
        before = self._watches.pop(session, frozenset())
        if numbers:
            self._watches[session] = numbers
        for number in numbers - before:
            self._whose.setdefault(number, set()).add(session)
        for number in before - numbers:
            self._whose[number].discard(session)
            if not self._whose[number]:
                del self._whose[number]
                self._inotify.remove(number)

    def _serve(self, session: str) -> None:
        """Look at what is new, now or when it is its turn."""
        due = self.shares.due(session)
        if due:
            self._put_off(session, due)
            return
        with self.shares.charged(session):
            more = self._look(session, self._tails[session])
        if more:
            self._put_off(session, self.shares.due(session))

    def _put_off(self, session: str, delay: float) -> None:
        if session not in self._later:
            self._later[session] = self._reactor.at(max(REST, delay), lambda: self._again(session))

    def _again(self, session: str) -> None:
        self._later.pop(session, None)
        if session in self._tails:
            self._serve(session)

    def _look(self, session: str, tail: Tail) -> bool:
        """Hand on what is new; whether there is more than is read at one look."""
        beside = self._beside.get(session)
        try:
            self._follow(session, tail)
            for batch in batches(tail.read(LOOK)):
                self._on_lines(session, batch, session in self._old)
        except Exception as error:
            self._on_error(error)
        if not tail.unread:
            self._old.discard(session)
        self._read_beside(session)
        return tail.unread or (beside is not None and beside.unread)

    def _read_beside(self, session: str) -> None:
        beside = self._beside.get(session)
        if beside is None:
            return
        try:
            for batch in batches(beside.read()):
                self._on_beside(session, batch)
        except Exception as error:
            self._on_error(error)

    def _follow(self, session: str, tail: Tail) -> None:
        """Watch the file and the nearest directories that exist. Done again until nothing changed meanwhile, so that nothing is
        missed."""
        beside = self._beside.get(session)
        for _ in range(AGAIN):
            numbers = frozenset(self._wanted(tail, beside))
            if numbers == self._watches.get(session, frozenset()):
                return
            self._leave(session, numbers)

    def _wanted(self, tail: Tail, beside: "Beside | None") -> Iterator[int]:
        """Yield the watches: of the file alone its writes, since its directory may hold others that are written often."""
        *parts, name = tail.name.split("/")
        for way, writes in ((parts, 0), *(((beside.parts, WRITES),) if beside is not None else ())):
            fd, whole = nearest(tail.top, way)
            if fd is None:
                continue
            try:
                yield self._inotify.add(f"/proc/self/fd/{fd}", COMES | IN_MASK_ADD | (writes if whole else 0))
                if whole and way is parts:
                    yield from self._file(fd, name)
            finally:
                os.close(fd)

    def _file(self, directory: int, name: str) -> Iterator[int]:
        try:
            fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except OSError:
            return  # it comes, and is an event of its directory
        try:
            yield self._inotify.add(f"/proc/self/fd/{fd}", WRITES | IN_MASK_ADD)
        finally:
            os.close(fd)


def batches(found: Iterator[Line], size: int = 1000) -> Iterator[list[Line]]:
    """Yield the same lines, in lists of at most ``size``."""
    while batch := list(itertools.islice(found, size)):
        yield batch


def directory(top: Path, parts: list[str]) -> int | None:
    """Return a descriptor of a directory beneath ``top``, reached without links, or None."""
    try:
        fd = os.open(top, beneath.DIRECTORY)
    except OSError:
        return None
    for part in parts:
        try:
            following = os.open(part, beneath.DIRECTORY, dir_fd=fd)
        except OSError:
            return None
        finally:
            os.close(fd)
        fd = following
    return fd


def nearest(top: Path, parts: list[str]) -> tuple[int | None, bool]:
    """Return a descriptor of the nearest directory on that way beneath ``top`` that exists, and whether it is the whole way."""
    for depth in range(len(parts), -1, -1):
        fd = directory(top, parts[:depth])
        if fd is not None:
            return fd, depth == len(parts)
    return None, False


class Transcripts:
    """Follows the rows: each session's transcript is watched as soon as it is known; it must lie in ``data(session)``."""

    def __init__(
        self,
        watcher: Watcher,
        backends: Backends,
        data: Callable[[str], Path],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._watcher = watcher
        self._backends = backends
        self._data = data
        self._on_error = on_error
        self._refused: set[str] = set()  # sessions of which that was told; the store's thread

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if after is None and before is not None:
            self._refused.discard(before.id)
            self._watcher.forget(before.id)
        elif after is not None and after.transcript and (before is None or before.transcript != after.transcript):
            backend = self._backends.last(after.backend)
            try:
                self._watcher.watch(
                    after.id, self._data(after.id), after.transcript, backend.beside if backend is not None else ""
                )
            except AnvilError as error:
                if after.id not in self._refused:  # an agent may name others without end
                    self._refused.add(after.id)
                    self._on_error(Denied(f"session '{after.id}': transcript: {error}"))

    def close(self) -> None:
        """End and join the watcher's thread."""
        self._watcher.close()
