"""Windows of files that an agent has changed: clean ones are read again when its turn is over, those with changes are named.

Threads: `reload` owns all of it but `found`, which is replaced, never changed, so that everybody may read it.
"""

from __future__ import annotations

import os
import queue
import stat
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress

from acme.lib import patch
from acme.lib.acme import Acme
from acme.lib.agent import Roster, Session
from acme.lib.window import Window, WindowGone
from anvilsrv.errors import AnvilError

_LARGEST = 8 << 20  # bytes of a file that is compared with its window


class Reload:
    """`told` is called when `found` is another: of a session's id the files whose windows the person has changed, too."""

    def __init__(self, acme: Acme, told: Callable[[], None]) -> None:
        self.found: Mapping[str, tuple[str, ...]] = {}
        self._acme = acme
        self._told = told
        self._over: queue.SimpleQueue[Session | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="reload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.put(None)
        if self._thread.is_alive():
            self._thread.join(5)

    def look(self, session: Session) -> None:
        """Look after the files of that one."""
        self._over.put(session)

    def follow(self, before: Roster, now: Roster) -> None:
        """Follow a change of the sessions: look after those whose turn is over."""
        for session in now.sessions:
            was = before.find(session.id)
            if was is not None and (was.answered < session.answered or was.state == "running" != session.state):
                self._over.put(session)

    def _work(self) -> None:
        while (session := self._over.get()) is not None:
            try:
                found = self._look(session)
            except AnvilError:
                continue  # acme is gone
            if found != self.found.get(session.id, ()):
                self.found = {**self.found, session.id: found}
                self._told()

    def _look(self, session: Session) -> tuple[str, ...]:
        top = patch.top_of(session.cwd).rstrip("/") + "/"
        changed = []
        for listed in self._acme.windows():
            if not listed.name.startswith(top) or "/+" in listed.name or listed.name.endswith("/"):
                continue
            content = _content(listed.name)
            if content is None:
                continue
            window = self._acme.window(listed.id)
            with closing(window), suppress(WindowGone):
                if window.body() == content:
                    continue
                if window.dirty():
                    changed.append(os.path.relpath(listed.name, session.cwd))
                else:
                    _read_again(window)
        return tuple(changed)


def _read_again(window: Window) -> None:
    """Read it again, as `Get` does, with dot where it was."""
    dot = window.dot()
    window.ctl("get")
    end = window.address("$")[1]
    window.select(*(min(place, end) for place in dot))
    window.show()


def _content(path: str) -> str | None:
    """Return the file's text; None if it is not a regular file, is too large or is not text. Follows no links, never blocks."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            known = os.fstat(fd)
            if not stat.S_ISREG(known.st_mode) or known.st_size > _LARGEST:
                return None
            data = file.read(_LARGEST)
        return None if b"\0" in data else data.decode("utf-8", "replace")
    return None
