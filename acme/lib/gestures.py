"""What a click in a window means: a choice, a command, a backend, a session, or what acme makes of it.

Threads: the owner of the window does everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from acme.lib import clicked
from acme.lib.agent import Session
from acme.lib.event import Gesture
from acme.lib.host import Call, Host
from acme.lib.window import Window, WindowGone
from anvilsrv.errors import AnvilError, Invalid, NotFound
from anvilsrv.p9.client import ConnectionLost

DELETES = ("Del", "Delete")


class Clicked(Protocol):
    """A window, as its clicks see it (`acme.lib.pane`, which says what each of these is)."""

    app: Host
    window: Window
    acts: dict[str, str]
    shown: list[str]
    any_word: bool

    def title(self) -> str: ...
    def meant(self, word: str, gesture: Gesture) -> Session | None: ...
    def chosen(self, text: str, gesture: Gesture) -> bool: ...
    def executed(self, text: str, gesture: Gesture) -> bool: ...
    def looked(self, word: str, gesture: Gesture) -> bool: ...
    def mine(self, q0: int, q1: int) -> bool: ...
    def undone(self) -> None: ...
    def row_key(self, line: str) -> str: ...
    def delete(self, call: Call) -> None: ...
    def keep(self) -> None: ...


class Gestures:
    """Those in one window. `acting` is the one that is being done."""

    def __init__(self, pane: Clicked) -> None:
        self._pane = pane
        self.acting: Gesture | None = None

    def do(self, gesture: Gesture) -> None:
        """Do what it means. Raises AnvilError."""
        self.acting = gesture
        try:
            if gesture.in_body and gesture.body is None:
                self._pane.window.look_again()
                raise clicked.moved()
            if gesture.kind in "Xx":
                self._execute(gesture)
            else:
                self._look(gesture)
        finally:
            self.acting = None

    def _execute(self, gesture: Gesture) -> None:
        text = clicked.text(self._pane.window, gesture).strip()
        word, _, rest = text.partition(" ") if " " in text else text.partition("\t")
        call = Call(word, rest.strip(), gesture.argument, gesture.source)
        if gesture.in_body and self._pane.chosen(text, gesture):
            return
        if word in DELETES:
            self._pane.delete(call)
        elif word in self._pane.acts:
            with self.taken(gesture):
                getattr(self._pane, self._pane.acts[word])(call)
        elif self._pane.executed(text, gesture):
            return
        elif word in ("Undo", "Redo"):
            self._back(gesture)
            self._pane.undone()
            self._pane.keep()
        elif gesture.builtin or not self._common(text, call, gesture):
            if gesture.in_body and self._is_row(text):
                raise Invalid("these are rows, and no command: click one word of them, with nothing selected")
            self._back(gesture)

    def _is_row(self, text: str) -> bool:
        """Return whether it is of rows of this list, as those that were selected when one of them was clicked: a shell
        would run them.
        """
        return any(
            "\t" in line.strip() and any(line.strip() in row for row in self._pane.shown) for line in text.split("\n")
        )

    def _back(self, gesture: Gesture) -> None:
        """Let acme do it, with what was clicked."""
        self._pane.window.back(gesture, clicked.shift(self._pane.window, gesture, self._pane.row_key))

    @contextmanager
    def taken(self, gesture: Gesture) -> Iterator[None]:
        """Remove from the window a command that the person typed here and gave by a sweep, or that has a line of its
        own; it comes back if it is refused.
        """
        place = self._written(gesture)
        if place is None:
            yield
            return
        q0, q1 = place
        text = self._pane.window.text(q0, q1)
        self._pane.window.replace(q0, q1, "")
        self._pane.keep()
        try:
            yield
        except (WindowGone, ConnectionLost):
            raise
        except AnvilError:
            end = self._pane.window.address("$")[1]
            self._pane.window.replace(min(q0, end), min(q0, end), text)
            self._pane.keep()
            raise

    def _written(self, gesture: Gesture) -> tuple[int, int] | None:
        """Return where the command is that the person wrote, with the end of its line if it is all of it."""
        if not gesture.in_body:
            return None
        start, line = clicked.line(self._pane.window, gesture)
        by = clicked.shift(self._pane.window, gesture, self._pane.row_key)
        start, q0, q1 = start + by, gesture.meant.q0 + by, gesture.meant.q1 + by
        alone = q0 - start >= 0 and q1 <= start + len(line) and line.strip() == line[q0 - start : q1 - start].strip()
        if not (alone or (not gesture.empty and gesture.clicked.q0 + by == q0)):
            return None
        if not self._pane.mine(q0, q1):
            return None
        return (start, start + len(line)) if alone else (q0, q1)

    def _common(self, text: str, call: Call, gesture: Gesture) -> bool:
        """Do what a word means in every window: a backend, a session."""
        backend = self._pane.app.roster.backend(call.word)
        if backend is not None:
            with self.taken(gesture):
                self._pane.app.begin(backend, call, os.path.dirname(self._pane.title()))
            return True
        session = self._pane.meant(text, gesture)
        if session is None:
            return False
        if call.chord is None:
            self._pane.app.attach(session)
        else:
            self._pane.app.fire(session, call.chord, call.source)
        return True

    def _look(self, gesture: Gesture) -> None:
        for word in clicked.words(self._pane.window, gesture):
            session = self._pane.meant(word, gesture)
            if session is not None and (self._pane.any_word or word in (session.id, f"anvil:{session.label}")):
                self._pane.app.open("prompt", session.id)
                return
            if session is None and word.startswith("anvil:"):
                raise NotFound(f"no such session '{word.removeprefix('anvil:')}'")
            if self._pane.looked(word, gesture):
                return
        self._back(gesture)
