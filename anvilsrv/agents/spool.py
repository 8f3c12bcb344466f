"""What a session leaves in its own directory for the daemon: reports of hooks that found none, and the lines of its transcript.

The agent can write there, so everything is hostile: what is a link, not a regular file, too large or not JSON is skipped.

A spool is watched: a hook that gave up on a daemon which was there, but silent, is not the last that anybody hears of its report.

Threads: a :class:`Kept` is used on any, nothing is kept; :class:`Spools` has one of its own, for an agent may put much into its spool.
"""

import itertools
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from anvilsrv.agents import transcript
from anvilsrv.allowance import BOUNDS
from anvilsrv.errors import AnvilError
from anvilsrv.linux import beneath
from anvilsrv.linux.inotify import IN_MOVED_TO, Inotify
from anvilsrv.linux.reactor import Deadline, Reactor
from anvilsrv.sessions.state import View
from anvilsrv.strict_json import loads_bytes

MOST = 1000  # reports read at a time
BYTES = 16 << 20  # the same, and as many more as the last one has
LISTED = 10_000  # names looked at at a time
LARGEST = 16 << 20  # bytes of one
TOTAL = BOUNDS["spool"].most  # bytes of all; what comes after is removed unread
SETTLE = 0.05  # s from the first news of a spool to its reading: what comes meanwhile is read with it
OVERFLOW = -1  # the watch of IN_Q_OVERFLOW
AGAIN = 5.0  # s until a spool is read again that could not be read, or not all of it


class Kept:
    """The directories of all sessions, below ``<state>/sessions``."""

    def __init__(self, state: Path) -> None:
        self._sessions = state / "sessions"

    def spooled(self, session: str) -> list[tuple[object, dict[str, Any]]]:
        """Return the reports that hooks left while no daemon answered, oldest first, each with its path. Raises
        AnvilError.
        """
        return list(spooled(self._sessions / session / "ns" / "spool"))

    def take(self, place: object) -> None:
        """Remove that report, which is on disk elsewhere now. Raises Unavailable."""
        assert isinstance(place, Path)
        try:
            place.unlink(missing_ok=True)
        except OSError as error:
            raise AnvilError(f"cannot remove spooled report '{place.name}': {error.strerror}") from None

    def lines(self, session: str, path: str) -> Iterator[dict[str, Any]]:
        """Yield every line of a transcript from its beginning. Raises AnvilError."""
        return transcript.lines(self._sessions / session / "data", path)

    def text(self, session: str, path: str, most: int) -> str:
        """Return a text of the agent's, at most that many bytes of it. Raises AnvilError."""
        top = self._sessions / session / "data"
        fd = beneath.read(top, beneath.relative(top, path))
        try:
            return os.pread(fd, most, 0).decode("utf-8", "replace")
        except OSError as error:
            raise AnvilError(f"cannot read '{path[:200]}': {error.strerror}") from None
        finally:
            os.close(fd)

    def since(self, session: str, path: str, offset: int) -> Iterator[dict[str, Any]]:
        """Yield its lines from ``offset`` bytes on. Raises AnvilError."""
        return transcript.lines(self._sessions / session / "data", path, offset)

    def size(self, session: str, path: str) -> int:
        """Return its length in bytes. Raises AnvilError."""
        return transcript.size(self._sessions / session / "data", path)


class Spools:
    """Follows the rows: the spool of each session is read when it is met, and when something comes into it.

    ``directory`` is the one that a session owns; ``read`` takes the reports in its spool and returns how many there were. ``on_error``
    gets what went wrong, and the spool is read again later.
    """

    def __init__(
        self, directory: Callable[[str], Path], read: Callable[[str], int], on_error: Callable[[BaseException], None]
    ) -> None:
        self._directory = directory
        self._read = read
        self._on_error = on_error
        self._watches: dict[int, str] = {}  # number of the watch -> session; this and what follows is the thread's own
        self._next: dict[str, Deadline] = {}
        self._inotify = Inotify()
        self._reactor = Reactor("spool", on_error)
        self._reactor.watch(self._inotify.fileno(), self._changed)
        self._reactor.start()

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`. A start makes the directory again if the agent has removed it."""
        if after is None and before is not None:
            self._reactor.do(lambda: self._leave(before.id))
        elif after is not None and (before is None or before.state != after.state):
            self._reactor.do(lambda: self._watch(after.id))

    def close(self) -> None:
        """End and join the thread."""
        self._reactor.close()
        self._inotify.close()

    def _watch(self, session: str) -> None:
        fd = transcript.directory(self._directory(session), ["ns", "spool"])
        if fd is None:
            return
        try:
            number = self._inotify.add(f"/proc/self/fd/{fd}", IN_MOVED_TO)
        finally:
            os.close(fd)
        if self._watches.get(number) != session:
            self._forget(session)
            self._watches[number] = session
            self._soon(session, 0.0)

    def _changed(self) -> None:
        self._reactor.unwatch(self._inotify.fileno())  # what comes soon is looked at with what comes after it
        self._reactor.at(SETTLE, lambda: self._reactor.watch(self._inotify.fileno(), self._changed))
        news = set(self._inotify.read())
        for number, session in self._watches.items():
            if number in news or OVERFLOW in news:
                self._soon(session, SETTLE)

    def _soon(self, session: str, delay: float) -> None:
        if session not in self._next:
            self._next[session] = self._reactor.at(delay, lambda: self._look(session))

    def _look(self, session: str) -> None:
        self._next.pop(session, None)
        try:
            more = self._read(session) > 0  # perhaps not all of it
        except Exception as error:
            self._on_error(error)
            more = True
        if more and session in self._watches.values():
            self._soon(session, AGAIN)

    def _leave(self, session: str) -> None:
        self._forget(session)
        deadline = self._next.pop(session, None)
        if deadline is not None:
            deadline.cancel()

    def _forget(self, session: str) -> None:
        for number in [number for number, one in self._watches.items() if one == session]:
            del self._watches[number]
            self._inotify.remove(number)


def spooled(directory: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Return the reports in a spool, oldest first, each with its path, as many as are read at a time; what is not one
    is removed.

    Raises AnvilError.
    """
    found: list[tuple[Path, dict[str, Any]]] = []
    try:
        top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        size = 0
        for name in _names(top)[:MOST]:
            report, length = _report(top, name)
            size += length
            if report is None:
                _unlink(top, name)
            else:
                found.append((directory / name, report))
            if size >= BYTES:
                break
    finally:
        os.close(top)
    return found


def _names(top: int) -> list[str]:
    """Return the names of what may be reports, sorted. A directory is not one, and cannot be removed as one.

    What is beyond the size that a spool may have is removed, the last first.
    """
    with os.scandir(top) as entries:
        listed = [
            (one.name, _size(one))
            for one in itertools.islice(entries, LISTED)
            if one.name.endswith(".json") and not one.is_dir(follow_symlinks=False)
        ]
    names, size = list[str](), 0
    for name, more in sorted(listed):
        size += more
        if size <= TOTAL:
            names.append(name)
        else:
            _unlink(top, name)
    return names


def _size(entry: "os.DirEntry[str]") -> int:
    """Return its size in bytes; 0 if it is too large to be read, and is removed for that."""
    try:
        size = entry.stat(follow_symlinks=False).st_size
    except OSError:  # it is gone
        return 0
    return size if size <= LARGEST else 0


def _report(top: int, name: str) -> tuple[dict[str, Any] | None, int]:
    """Return the report in a file, and how many bytes were read for it."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=top)
    except OSError:
        return None, 0
    data = b""
    try:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode) or state.st_size > LARGEST:
            return None, 0
        with open(fd, "rb", closefd=False) as file:
            data = file.read(LARGEST + 1)  # it may grow while it is read
        content = loads_bytes(data, LARGEST)
    except (OSError, AnvilError):
        return None, len(data)
    finally:
        os.close(fd)
    return content if isinstance(content, dict) else None, len(data)


def _unlink(top: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=top)
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, IsADirectoryError)):
            raise AnvilError(f"cannot remove spooled report '{name}': {error.strerror}") from None
