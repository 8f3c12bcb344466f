"""Windows of files that an agent has changed: clean ones are read again when its turn is over, those with changes are named.

Threads: `reload` owns all of it but `found`, which is replaced, never changed, so that everybody may read it.
"""

from __future__ import annotations

import os
import queue
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress

from acme.lib import files, patch
from acme.lib.acme import Acme, Listed
from acme.lib.agent import Roster, Session
from acme.lib.window import Window, WindowGone
from anvilsrv.errors import AnvilError


class Reload:
    """`told` is called when `found` is another: of a session's id the files whose windows the person has changed, too.
    `looked` is called with the id of each session whose files were looked after.
    """

    def __init__(self, acme: Acme, told: Callable[[], None], looked: Callable[[str], None]) -> None:
        self.found: Mapping[str, tuple[str, ...]] = {}
        self._acme = acme
        self._told = told
        self._looked = looked
        self._over: queue.SimpleQueue[tuple[Session, bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="reload", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.put(None)
        if self._thread.is_alive():
            self._thread.join(5)

    def look(self, session: Session) -> None:
        """Look after the files of that one, and those of the tree into which it may have been merged."""
        self._over.put((session, True))

    def follow(self, before: Roster, now: Roster) -> None:
        """Follow a change of the sessions: look after those whose turn is over."""
        for session in now.sessions:
            was = before.find(session.id)
            if was is not None and (was.answered < session.answered or was.state == "running" != session.state):
                self._over.put((session, False))

    def _work(self) -> None:
        while over := self._those_over():
            for session, _ in over:
                self._looked(session.id)
            before = self.found
            with suppress(AnvilError):  # acme is gone
                windows = self._acme.windows()
                for session, elsewhere in over:
                    found = self._look(session, elsewhere, windows)
                    if found != self.found.get(session.id, ()):
                        self.found = {**self.found, session.id: found}
            if self.found is not before:
                self._told()

    def _those_over(self) -> list[tuple[Session, bool]]:
        """Wait for one, and return it with those that wait behind it: acme is asked once for all. None are left at the end."""
        found = [self._over.get()]
        with suppress(queue.Empty):
            while True:
                found.append(self._over.get_nowait())
        return [] if None in found else [one for one in found if one is not None]

    def _look(self, session: Session, elsewhere: bool, windows: list[Listed]) -> tuple[str, ...]:
        tops = tuple(f"{top.rstrip('/')}/" for top in _tops(session.cwd)[: 2 if elsewhere else 1])
        changed = []
        for listed in windows:
            if not listed.name.startswith(tops) or "/+" in listed.name or listed.name.endswith("/"):
                continue
            content = files.content(listed.name)
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


def _tops(directory: str) -> list[str]:
    """Return the work tree that a directory is in and, if that is a linked one, the main one, into which it is merged."""
    top = patch.top_of(directory)
    linked = re.fullmatch(r"gitdir: (/.*)/\.git/worktrees/[^/]+\n?", files.content(f"{top}/.git") or "")
    return [top, linked[1]] if linked else [top]


def _read_again(window: Window) -> None:
    """Read it again, as `Get` does, with dot where it was."""
    dot = window.dot()
    window.ctl("get")
    end = window.address("$")[1]
    window.select(*(min(place, end) for place in dot))
    window.show()
