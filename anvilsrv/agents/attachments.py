"""The files of ``<id>/attach/``: what the user gives an agent beside its prompts. They lie in the session's directory, where the
agent reads them and cannot change them, and go with it.

A prompt names one by its path in the tree, ``attach/shot.png``; it gets the path that the agent knows instead (:func:`spelled`).

Threads: names and sizes are in memory, and read by any thread; a dictionary is replaced, never changed. Files are read and written on
workers of the 9P server. The lock guards what is in memory, and is not held while a file is written: what a write needs is taken
before.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from anvilsrv.allowance import BOUNDS
from anvilsrv.errors import AnvilError, Exists, Invalid, NotFound, Unavailable
from anvilsrv.linux import beneath
from anvilsrv.sessions.state import View

PLACE = "run/attach"  # in the session's directory; read-only for its agent
NAME = re.compile(r"\w[\w.+-]{0,99}")
LONGEST = 200  # bytes of a name


class Known(NamedTuple):
    """One file. ``version`` counts its changes."""

    size: int = 0
    changed: float = 0.0
    version: int = 0


class Attachments:
    """Of all sessions; ``directory`` is that of one."""

    def __init__(self, directory: Callable[[str], Path]) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._known: dict[str, Mapping[str, Known]] = {}

    def load(self, sessions: Iterable[str]) -> None:
        """Load what a previous daemon was given."""
        for session in sessions:
            with suppress(OSError), os.scandir(self._directory(session) / PLACE) as entries:
                found = [
                    (one.name, one.stat(follow_symlinks=False)) for one in entries if one.is_file(follow_symlinks=False)
                ]
                self._known[session] = {name: Known(stat.st_size, stat.st_mtime) for name, stat in sorted(found)}

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`: what is gone with its session is not known any more."""
        if after is None and before is not None:
            with self._lock:
                self._known.pop(before.id, None)

    def close(self) -> None:
        """Do nothing."""

    def of(self, session: str) -> Mapping[str, Known]:
        """Return its files by name."""
        return self._known.get(session, {})

    def spelled(self, session: str, text: str) -> str:
        """Return a prompt with the paths of the files that it names."""
        names = self.of(session)
        return spelled(text, names, str(self._directory(session) / PLACE)) if names else text

    # -- on a worker -----------------------------------------------------------------------------------------------------

    def create(self, session: str, name: str) -> None:
        """Make an empty file. Raises Invalid, Exists, Conflict, NotFound, Unavailable."""
        if not NAME.fullmatch(name) or len(name.encode("utf-8", "replace")) > LONGEST:
            raise Invalid(
                f"invalid name '{name[:100]}': letters, digits and . _ + -, 100 at most, a letter or digit first"
            )
        with self._lock:
            there = self.of(session)
            if name in there:
                raise Exists(f"file exists: 'attach/{name}'")
            if len(there) >= BOUNDS["attachments"].most:
                raise BOUNDS["attachments"].refusal()
            self._known[session] = {**there, name: Known(0, time.time())}
        try:
            os.close(beneath.write_to(self._directory(session), f"{PLACE}/{name}", create=True))
        except AnvilError:
            self._forget(session, name)
            raise

    def read(self, session: str, name: str, offset: int, count: int) -> bytes:
        """Return a part of one. Raises NotFound, Unavailable."""
        fd = beneath.read(self._directory(session), f"{PLACE}/{name}")
        with open(fd, "rb") as file:
            file.seek(min(offset, BOUNDS["attachment"].most))
            return file.read(min(count, BOUNDS["attachment"].most))

    def write(self, session: str, name: str, offset: int, data: bytes) -> None:
        """Write at that place. Raises Conflict beyond a bound, NotFound, Unavailable."""
        self._grow(session, name, offset + len(data))
        fd = beneath.write_to(self._directory(session), f"{PLACE}/{name}")
        try:
            while data:
                done = os.pwrite(fd, data, offset)
                data, offset = data[done:], offset + done
        except OSError as error:
            self._measured(session, name, os.fstat(fd).st_size)
            raise Unavailable(f"{(error.strerror or 'error').lower()}: attach/{name}") from None
        finally:
            os.close(fd)

    def truncate(self, session: str, name: str) -> None:
        """Empty one. Raises NotFound, Unavailable."""
        fd = beneath.write_to(self._directory(session), f"{PLACE}/{name}")
        try:
            os.ftruncate(fd, 0)
        except OSError as error:
            raise Unavailable(f"{(error.strerror or 'error').lower()}: attach/{name}") from None
        finally:
            os.close(fd)
        self._measured(session, name, 0)

    def remove(self, session: str, name: str) -> None:
        """Remove one. Raises NotFound, Unavailable."""
        if name not in self.of(session):
            raise NotFound(f"file does not exist: 'attach/{name}'")
        beneath.discard(self._directory(session), f"{PLACE}/{name}")
        self._forget(session, name)

    # -- what is known ---------------------------------------------------------------------------------------------------

    def _grow(self, session: str, name: str, end: int) -> None:
        """Record that a file is to reach that size."""
        with self._lock:
            there = self.of(session)
            known = there.get(name)
            if known is None:
                raise NotFound(f"file does not exist: 'attach/{name}'")
            size = max(known.size, end)
            if size > BOUNDS["attachment"].most:
                raise BOUNDS["attachment"].refusal()
            if sum(one.size for one in there.values()) + size - known.size > BOUNDS["attached"].most:
                raise BOUNDS["attached"].refusal()
            self._known[session] = {**there, name: Known(size, time.time(), known.version + 1)}

    def _measured(self, session: str, name: str, size: int) -> None:
        with self._lock:
            there = self.of(session)
            if name in there:
                self._known[session] = {**there, name: Known(size, time.time(), there[name].version + 1)}

    def _forget(self, session: str, name: str) -> None:
        with self._lock:
            left = {one: known for one, known in self.of(session).items() if one != name}
            if left:
                self._known[session] = left
            else:
                self._known.pop(session, None)


def spelled(text: str, names: Iterable[str], place: str) -> str:
    """Return ``text`` with ``place`` before each of the names that follows ``attach/`` in it; ``@attach/NAME`` keeps
    its mark.
    """
    if "attach/" not in text:
        return text
    longest_first = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w./~+-])attach/({longest_first})(?![\w/+-]|\.\w)", lambda found: f"{place}/{found[1]}", text)
