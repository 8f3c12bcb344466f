"""The windows of Assist that there are: one for each kind and subject.

Threads: any thread opens and finds them; a pane that ends says so on its own. The lock guards which there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from acme.lib.acme import Acme
from acme.lib.pane import Pane

Key = tuple[str, str]  # kind and subject


class Panes:
    """`make` makes the pane of a kind about a subject."""

    def __init__(self, acme: Acme, make: Callable[[str, str], Pane]) -> None:
        self._acme = acme
        self._make = make
        self._lock = threading.Lock()
        self._panes: dict[Key, Pane | None] = {}  # None while the window is being made

    def find(self, kind: str, subject: str) -> Pane | None:
        """Return the window of that kind and subject, if it is there and made."""
        return self._panes.get((kind, subject))

    def made(self) -> list[Pane]:
        """Return those that are made."""
        with self._lock:
            return [pane for pane in self._panes.values() if pane is not None]

    def open(self, kind: str, subject: str) -> None:
        """Show the window of that kind about that subject, making it if there is none; one that an earlier Assist left is
        taken over.
        """
        key = (kind, subject)
        with self._lock:
            known = key in self._panes
            pane = self._panes.setdefault(key, None)
            if pane is not None:
                pane.show()
        if known:
            return
        try:
            pane = self._make(kind, subject)
            left = self._acme.find(pane.title())
            window = left or self._acme.new()
        except BaseException:
            with self._lock:
                del self._panes[key]
            raise
        with self._lock:
            self._panes[key] = pane
        pane.start(window, adopted=left is not None)

    def gone(self, pane: object) -> tuple[list[Key], bool]:
        """Forget a window that is deleted; returns what it was, and whether it was the last."""
        with self._lock:
            keys = [key for key, value in self._panes.items() if value is pane]
            for key in keys:
                del self._panes[key]
            return keys, not self._panes

    def stale(self, *kinds: str) -> None:
        """Have the windows of these kinds look again; without kinds, all."""
        with self._lock:
            panes = [pane for (kind, _), pane in self._panes.items() if not kinds or kind in kinds]
        for pane in panes:
            if pane is not None:
                pane.stale()
