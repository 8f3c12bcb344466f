"""Files that agents write, of all sessions, followed with inotify(7) by one thread.

A path may have ``*`` in it: every file that matches is followed, also one that comes later. What is watched are directories: each that
exists on the way. News are gathered for a moment, and longer while they come without end, so that many small writes cost one look and
one job.

Agents can write there, so everything is hostile: directories are entered without links, there is a bound on files and directories, and
who writes without end is looked at seldom: a family of sessions has a share of the time of this thread, with what follows in the store.

Threads: ``follow``, ``forget`` and ``close`` from any thread; ``on_news`` is called from the thread of its own, with no lock held.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from anvilsrv.activity.rows import Mark
from anvilsrv.agents.growing import Growing, Line
from anvilsrv.agents.transcript import directory
from anvilsrv.allowance import Shares
from anvilsrv.linux.inotify import IN_CLOSE_WRITE, IN_MODIFY, Event, Inotify
from anvilsrv.linux.reactor import Reactor

LOOK = 0.04  # s in which news are gathered
APART = 0.15  # s between two looks
OWING = 2.0  # s that a session may owe which is read because its turn ends
READS = 16  # of the events of one look; the rest at the next
FILES = 1000  # of one session and one path that are there at a time
OPEN = 256  # that stay open between two looks
LISTED = 2000  # names of one directory that are looked at
OVERFLOW = -1  # the watch of IN_Q_OVERFLOW


class Wanted(NamedTuple):
    """What is to be followed: the number of its row, a path below the top, and how it is read. ``end``: from its end on."""

    row: int
    path: str
    how: str
    end: bool = False


class News(NamedTuple):
    """Lines of one file: of which row, their path, each with the offset where it begins, and how far it is read now (None: it is
    gone)."""

    row: int
    path: str
    lines: list[tuple[int, Line]]
    mark: Mark | None


@dataclass
class Watched:
    """A directory: its descriptor, and the files in it that are followed, by name."""

    session: str
    path: str
    fd: int
    files: dict[str, tuple[Wanted, Growing]] = field(default_factory=dict)


@dataclass
class Followed:
    """A session: the top of its files, what is wanted, how far files were read before, and the watches by path."""

    top: Path
    wanted: tuple[Wanted, ...]
    marks: dict[str, Mark]
    watches: dict[str, int] = field(default_factory=dict)
    old: bool = False  # of a session of an earlier version: what stands in its files is not told


OnNews = Callable[[str, list[News]], None]


class Files:
    """See above. ``on_news(session, news)``; ``on_error`` gets what went wrong in the thread; ``family`` tells for whom time counts."""

    def __init__(
        self, on_news: OnNews, on_error: Callable[[BaseException], None], family: Callable[[str], str] = str
    ) -> None:
        self.shares = Shares(family)
        self._on_news = on_news
        self._on_error = on_error
        self._sessions: dict[str, Followed] = {}  # this and what follows is the thread's own
        self._watched: dict[int, Watched] = {}
        self._changed: dict[tuple[int, str], None] = {}  # files that grew, in order
        self._new: set[str] = set()  # sessions in whose directories something appeared
        self._gone: list[tuple[str, News]] = []  # files that are there no more, of which session
        self._open: dict[Growing, None] = {}  # those that were read last at the end
        self._waiting = False
        self._looked = 0.0  # when (monotonic, s)
        self._inotify = Inotify()
        self._reactor = Reactor("activity", on_error)
        self._reactor.watch(self._inotify.fileno(), self._rest)
        self._reactor.start()

    def follow(self, session: str, top: Path, wanted: tuple[Wanted, ...], marks: dict[str, Mark]) -> None:
        """Follow these from now on, and no others; ``marks``: how far each was read, by its path; what is known here counts more."""
        self._reactor.do(lambda: self._start(session, top, wanted, marks))

    def forget(self, session: str) -> None:
        """Stop following."""
        self._reactor.do(lambda: self._end(session))

    def look(self, session: str) -> None:
        """Read what there is now, without waiting for more; of ``session`` also before its turn. On the thread."""
        self._look(session)

    def soon(self, command: Callable[[], None]) -> None:
        """Run ``command`` on the thread at about the time of the next look."""
        self._reactor.at(LOOK, command)

    def do(self, command: Callable[[], None]) -> None:
        """Run ``command`` on the thread."""
        self._reactor.do(command)

    def close(self) -> None:
        """End and join the thread."""
        self._reactor.close()
        for number in list(self._watched):
            self._unwatch(number)
        self._inotify.close()

    # -- the thread -----------------------------------------------------------------------------------------------------

    def _start(self, session: str, top: Path, wanted: tuple[Wanted, ...], marks: dict[str, Mark]) -> None:
        before = self._sessions.get(session)
        if before is not None and before.wanted != wanted:
            marks = marks | before.marks | self._marks(session)
            self._end(session)
        if before is None or before.wanted != wanted:
            self._sessions[session] = Followed(top, wanted, marks, old="*" in marks)
        self._new.add(session)
        self._look()

    def _marks(self, session: str) -> dict[str, Mark]:
        found = {}
        for watched in self._watched.values():
            if watched.session == session:
                for name, (_, file) in watched.files.items():
                    if file.mark is not None:
                        found[joined(watched.path, name)] = file.mark
        return found

    def _end(self, session: str) -> None:
        if self._sessions.pop(session, None) is not None:
            for number in [number for number, one in self._watched.items() if one.session == session]:
                self._unwatch(number)

    def _unwatch(self, number: int) -> None:
        watched = self._watched.pop(number)
        self._inotify.remove(number)
        for _, file in watched.files.values():
            self._shut(file)
        os.close(watched.fd)

    def _shut(self, file: Growing) -> None:
        self._open.pop(file, None)
        file.close()

    def _rest(self) -> None:
        """Wait a moment after something has happened, without being woken by each event, and look then."""
        if not self._waiting:
            self._waiting = True
            self._reactor.unwatch(self._inotify.fileno())
            self._reactor.at(max(LOOK, self._looked + APART - time.monotonic()), self._look)

    def _gather(self) -> None:
        for event in self._happened():
            watched = self._watched.get(event.watch)
            if event.watch == OVERFLOW:
                self._new |= set(self._sessions)
            elif watched is not None and event.mask & (IN_MODIFY | IN_CLOSE_WRITE):
                if event.name in watched.files:
                    self._changed[event.watch, event.name] = None
            elif watched is not None:
                self._new.add(watched.session)

    def _happened(self) -> Iterator[Event]:
        for _ in range(READS):
            events = self._inotify.events()
            if not events:
                return
            yield from events

    def _look(self, first: str = "") -> None:
        """Read what has grown, and tell it; of ``first`` also before its turn."""
        self._looked = time.monotonic()
        if self._waiting:
            self._waiting = False
            self._reactor.watch(self._inotify.fileno(), self._rest)
        self._gather()
        new, self._new = self._new & set(self._sessions), set()
        for session in new:
            if self._may(session, first):
                self._search(session)
            else:
                self._new.add(session)
        grown, self._changed = self._by_session(self._changed), {}
        gone: dict[str, list[News]] = {}
        for session, one in self._gone:
            gone.setdefault(session, []).append(one)
        self._gone.clear()
        watch = self.shares.stopwatch()
        for session in {**gone, **grown}:
            news = gone.get(session, [])
            for at, file in enumerate(grown.get(session, ())):
                if at:
                    watch.charge(session)
                if not self._may(session, first):
                    self._changed[file] = None
                elif (found := self._read(*file)) is not None:
                    news.append(found)
            if news:
                self._on_news(session, news)
            watch.charge(session)
        if self._changed or self._new:
            self._rest()

    def _by_session(self, changed: Iterable[tuple[int, str]]) -> dict[str, list[tuple[int, str]]]:
        """Return these files by session: what one has is told at once, and charged once."""
        found: dict[str, list[tuple[int, str]]] = {}
        for number, name in changed:
            if (watched := self._watched.get(number)) is not None:
                found.setdefault(watched.session, []).append((number, name))
        return found

    def _may(self, session: str, first: str) -> bool:
        """Return whether it is its turn."""
        return not self.shares.due(session, OWING if session == first else 0.0)

    def _search(self, session: str) -> None:
        with self.shares.charged(session):
            try:
                self._changed |= dict.fromkeys(self._find(session))
            except OSError as error:
                self._on_error(error)

    def _read(self, number: int, name: str) -> News | None:
        watched = self._watched.get(number)
        if watched is None or name not in watched.files:
            return None
        wanted, file = watched.files[name]
        before = file.mark
        try:
            lines = list(file.read(watched.fd))
        except OSError:
            return None  # it is gone again, or no file
        finally:
            self._keep_open(file)
        if file.unread:
            self._changed[number, name] = None
        if file.mark is None or (file.mark == before and not lines):
            return None
        return News(wanted.row, joined(watched.path, name), lines, file.mark)

    def _keep_open(self, file: Growing) -> None:
        """Let it be open until others were read later; to open it costs as much as to read a line."""
        self._open.pop(file, None)
        self._open[file] = None
        if len(self._open) > OPEN:
            self._shut(next(iter(self._open)))

    # -- which files there are --------------------------------------------------------------------------------------------

    def _find(self, session: str) -> Iterator[tuple[int, str]]:
        """Watch the directories of a session's files that exist; the files that are there. Done again until nothing is new."""
        one = self._sessions[session]
        seen: dict[str, int] = {}
        found: dict[tuple[int, str], None] = {}
        for wanted in one.wanted:
            self._enter(session, one, wanted, "", wanted.path.split("/"), seen, found)
        for path, number in one.watches.items():
            if path not in seen and number in self._watched:
                self._unwatch(number)
        one.watches = seen
        return iter(found)

    def _enter(
        self, session: str, one: Followed, wanted: Wanted, path: str, parts: list[str], seen: dict[str, int],
        found: dict[tuple[int, str], None],
    ) -> None:  # fmt: skip
        """Go down one directory: watch it, and look at what is in it by then."""
        number = seen.get(path)
        if number is None:
            number = self._watch(session, one, path)
            if number is None:
                return
            seen[path] = number
        watched, last = self._watched[number], len(parts) == 1
        names = self._names(watched.fd, parts[0])
        if last:
            self._clear(one, wanted, watched, set(names))
        for name in names:
            if not last:
                self._enter(session, one, wanted, joined(path, name), parts[1:], seen, found)
                continue
            if name in watched.files:
                self._shut(watched.files[name][1])  # another may have its name
            else:
                if sum(known is wanted for known, _ in watched.files.values()) >= FILES:
                    continue
                whole = joined(path, name)
                file = Growing(name, wanted.how, one.marks.get(whole), wanted.end or one.old)
                watched.files[name] = (wanted, file)
            found[number, name] = None

    def _clear(self, one: Followed, wanted: Wanted, watched: Watched, names: set[str]) -> None:
        """Forget files that are there no more."""
        for name in [name for name, (known, _) in watched.files.items() if known is wanted and name not in names]:
            if not _there(watched.fd, name):
                self._shut(watched.files.pop(name)[1])
                whole = joined(watched.path, name)
                one.marks.pop(whole, None)
                self._gone.append((watched.session, News(wanted.row, whole, [], None)))

    def _watch(self, session: str, one: Followed, path: str) -> int | None:
        """Return the watch of a directory below the top; None if it is not there."""
        fd = directory(one.top, path.split("/") if path else [])
        if fd is None:
            return None
        number = self._inotify.add(f"/proc/self/fd/{fd}")
        if number in self._watched:  # the same as before
            os.close(fd)
            return number
        self._watched[number] = Watched(session, path, fd)
        return number

    @staticmethod
    def _names(fd: int, pattern: str) -> list[str]:
        if "*" not in pattern:
            return [pattern]
        with os.scandir(fd) as entries:
            names = [entry.name for _, entry in zip(range(LISTED), entries, strict=False)]
        return sorted(name for name in names if fnmatchcase(name, pattern) and not name.startswith("."))


def _there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        pass
    return True


def joined(path: str, name: str) -> str:
    """Return a name in a directory below the top."""
    return f"{path}/{name}" if path else name
