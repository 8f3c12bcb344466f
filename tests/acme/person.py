"""A person at an acme: clicks, sweeps, chords and types, and looks at what is on the screen.

`AtFake` does to a `FakeAcme` what the hand does to the real one; `AtReal` (realacme.py) uses the mouse of an X server.
Tests are written for both. A place is named by the text that stands there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fakeacme import FakeAcme
from fakescreen import Window
from faketext import file_at, grow, in_word


class Person:
    """What both have in common. Windows are named by their names."""

    def new(self, name: str, body: str = "") -> None:
        """Open another window, of no program."""
        raise NotImplementedError

    def end_acme(self) -> None:
        """Make an end of acme, as a crash or a logout does."""
        raise NotImplementedError

    def names(self) -> list[str]:
        raise NotImplementedError

    def body(self, name: str) -> str:
        raise NotImplementedError

    def tag(self, name: str) -> str:
        raise NotImplementedError

    def selection(self, name: str) -> str:
        """Return the text selected in a window's body."""
        raise NotImplementedError

    def execute(self, name: str, text: str, *, sweep: bool = False, tag: bool = False, chord: Any = None) -> None:
        """Middle-click in the middle of `text`, or sweep it; `chord` is (window, text) to be selected for a 2-1."""
        raise NotImplementedError

    def look(self, name: str, text: str, *, sweep: bool = False, tag: bool = False) -> None:
        """Do the same with the right button."""
        raise NotImplementedError

    def select(self, name: str, text: str) -> None:
        """Sweep `text` with the left button."""
        raise NotImplementedError

    def type(self, name: str, text: str) -> None:
        """Type at dot."""
        raise NotImplementedError

    def type_at_end(self, name: str, text: str) -> None:
        raise NotImplementedError

    def cut(self, name: str) -> None:
        """Take the selection away, by a key."""
        raise NotImplementedError

    def rewrite(self, name: str, text: str, new: str) -> None:
        """Write something in place of a text; of an empty one, cut it."""
        self.select(name, text)
        if new:
            self.type(name, new)
        else:
            self.cut(name)

    def has(self, name: str) -> bool:
        return name.rstrip("/") in [each.rstrip("/") for each in self.names()]

    def sees(self, name: str, text: str) -> None:
        """Wait until `text` stands in the window."""
        self.wait(lambda: self.has(name) and text in self.body(name), f"{text!r} in {name}")

    def sees_its_top(self, name: str, text: str) -> None:
        """Wait until a new window shows its beginning, with `text`: who selects before that is quicker than the eye."""
        self.sees(name, text)

    def misses(self, name: str) -> None:
        """Wait until there is no window of that name."""
        self.wait(lambda: not self.has(name), f"no {name}")

    def wait(self, true: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
        deadline = time.monotonic() + timeout
        while not (result := true()):
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}\n{self.describe()}")
            self.pause()
        return result

    def pause(self) -> None:
        """Wait until something changes, or for a moment."""
        time.sleep(0.02)

    def describe(self) -> str:
        return "\n".join(f"{self.tag(name)!r}: {self.body(name)!r}" for name in self.names())


class AtFake(Person):
    """Every act returns when acme has done its part of it."""

    real = False

    def __init__(self, acme: FakeAcme) -> None:
        self.acme = acme
        self.programs: list[Any] = []

    def end_acme(self) -> None:
        self.acme.stop()

    def new(self, name: str, body: str = "") -> None:
        self.acme.new(name, body)

    def names(self) -> list[str]:
        with self.acme.lock:
            return [window.name for window in self.acme.windows.values()]

    def body(self, name: str) -> str:
        with self.acme.lock:
            window = self.acme.find(name)
            return window.body.content if window else ""

    def sees_its_top(self, name: str, text: str) -> None:
        self.sees(name, text)
        self.wait(lambda: self._window(name).shown, f"{name} shown")

    def tag(self, name: str) -> str:
        return self._window(name).tag.content

    def selection(self, name: str) -> str:
        body = self._window(name).body
        return body.content[body.q0 : body.q1]

    def execute(self, name: str, text: str, *, sweep: bool = False, tag: bool = False, chord: Any = None) -> None:
        with self.acme.changed:
            argument = self._argument(*chord) if chord is not None else None
            window, shown, q0, q1 = self._place(name, text, sweep, tag)
            self.acme.execute(window, shown, q0, q1, argument, back=False)

    def look(self, name: str, text: str, *, sweep: bool = False, tag: bool = False) -> None:
        with self.acme.changed:
            window, shown, q0, q1 = self._place(name, text, sweep, tag)
            self.acme.look(window, shown, q0, q1, back=False)

    def select(self, name: str, text: str) -> None:
        with self.acme.changed:
            window, _, q0, q1 = self._place(name, text, True, False)
            window.body.q0, window.body.q1 = q0, q1

    def type(self, name: str, text: str) -> None:
        with self.acme.changed:
            window = self._window(name)
            q0, q1 = window.body.q0, window.body.q1
            if q1 > q0:
                window.cut("K", q0, q1)
            window.insert("K", q0, text)
            window.body.q0 = window.body.q1 = q0 + len(text)

    def cut(self, name: str) -> None:
        with self.acme.changed:
            window = self._window(name)
            window.cut("K", window.body.q0, window.body.q1)

    def type_at_end(self, name: str, text: str) -> None:
        with self.acme.changed:
            body = self._window(name).body
            body.q0 = body.q1 = len(body.content)
            self.type(name, text)

    def pause(self) -> None:
        with self.acme.changed:
            self.acme.changed.wait(0.05)

    def _window(self, name: str) -> Window:
        window = self.acme.find(name)
        assert window is not None, f"no window {name}: {self.names()}"
        return window

    def _place(self, name: str, text: str, sweep: bool, tag: bool) -> tuple[Window, Any, int, int]:
        window = self._window(name)
        shown = window.tag if tag else window.body
        at = shown.content.find(text)
        assert at >= 0, f"no {text!r} in {shown.content!r}"
        return (
            (window, shown, at, at + len(text)) if sweep else (window, shown, at + len(text) // 2, at + len(text) // 2)
        )

    def _argument(self, name: str, text: str) -> tuple[str, str]:
        """A chord takes the word under an empty selection, and a file name as a whole."""
        self.select(name, text)
        window = self._window(name)
        body = window.body
        found = file_at(body, body.q0, body.q1, window.directory, set(self.names()))
        start, end = found[:2] if found else grow(body, body.q0, body.q1, in_word)
        place = f"#{start}" if start == end else f"#{start},#{end}"
        said = found[2].split(":")[0] if found else body.content[start:end]
        return said, f"{window.name}:{place}"
