"""The terminal of the front: whole lines above, one line of input below; or, for screen readers, lines alone.

``Lined`` redraws the input line with prompt_toolkit, and prints nothing but whole lines: what is flushed without a newline would be
overwritten. A line that is not whole yet stands above the input. ``Plain`` redraws nothing.

Threads: ``run`` is called on the main thread, and comes back when ``close`` was called. The rest may be called from any. What a person
does goes to ``tell``.
"""

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

from anvilsrv.inside import acp_shown

PIECE = 1 << 16
HELD = "keys go into this line, and answer the question when it is sent or emptied (C-u)"
KEYS = {"y": "allow", "n": "deny"}  # not a: who types "allow" must not get "always"


@dataclass(frozen=True)
class Typed:
    """A line."""

    text: str


@dataclass(frozen=True)
class Cancel:
    """Escape, or C-c."""


@dataclass(frozen=True)
class Choice:
    """A key that answers: the number of a choice from 1, or its word."""

    word: str


@dataclass(frozen=True)
class Leave:
    """C-d, or the signal ``number``."""

    number: int = 0


Done = Typed | Cancel | Choice | Leave


class Plain:
    """Lines in and out. ``tell`` gets what a person does."""

    def __init__(self, tell: Callable[[Done], None]) -> None:
        self._tell = tell
        self._read, self._wake = os.pipe()
        self._asking = False

    def line(self, text: str) -> None:
        """Print it."""
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except OSError:
            self._tell(Leave(signal.SIGHUP))

    def unfinished(self, text: str) -> None:
        """Show a line that is not whole yet."""

    def asking(self, open_now: bool) -> None:
        """Set whether a key answers something."""
        self._asking = open_now

    def run(self) -> None:
        """Run until ``close``."""
        signal.signal(signal.SIGINT, self._interrupted)
        rest = b""
        while True:
            ready, _, _ = select.select([0, self._read], [], [])
            if self._read in ready:
                return
            data = os.read(0, PIECE)
            if not data:
                self._tell(Leave())
                return
            *lines, rest = (rest + data).split(b"\n")
            for one in lines:
                self._entered(one.decode("utf-8", "replace"))

    def _entered(self, text: str) -> None:
        if text.strip():
            self._tell(Choice(text.strip()) if self._asking else Typed(text))

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self._tell(Cancel())

    def close(self) -> None:
        """Make ``run`` return."""
        os.write(self._wake, b".")


class Lined:
    """The same with an input line that can be edited."""

    def __init__(self, tell: Callable[[Done], None]) -> None:
        self._tell = tell
        self._last = ""  # of the line that is not whole yet, what fits
        self._asking = False
        self._closed = threading.Event()
        self._session: PromptSession[str] = PromptSession(
            message=self._message, key_bindings=self._bindings(), erase_when_done=True, prompt_continuation="  "
        )
        app = self._session.app
        app.ttimeoutlen = 0.05  # s after which Escape is not a part of a longer key

    def line(self, text: str) -> None:
        """Print it above the input."""
        try:
            print(text)
        except OSError:
            self._tell(Leave(signal.SIGHUP))

    def unfinished(self, text: str) -> None:
        """Show a line that is not whole yet above the input."""
        self._last = text
        self._session.app.invalidate()

    def asking(self, open_now: bool) -> None:
        """Set whether a key answers something. In a line that a person has begun it does not, and that is shown above
        it.
        """
        self._asking = open_now
        self._session.app.invalidate()

    def run(self) -> None:
        """Run until ``close``."""
        with patch_stdout(raw=True):
            while not self._closed.is_set():
                try:
                    text = self._session.prompt(pre_run=self._left)
                except (EOFError, KeyboardInterrupt):
                    continue
                if text.strip():
                    self._tell(Typed(text))

    def _left(self) -> None:
        """Leave if it was closed between two lines."""
        if self._closed.is_set():
            get_app().exit(result="")

    def close(self) -> None:
        """Make ``run`` return."""
        self._closed.set()
        app = self._session.app
        if app.loop is not None:
            app.loop.call_soon_threadsafe(self._exit)

    def _exit(self) -> None:
        app = self._session.app
        if app.is_running and app.future is not None and not app.future.done():
            app.exit(result="")

    def _message(self) -> ANSI:
        width = max(10, get_app().output.get_size().columns - 2)
        held = acp_shown.note(HELD[:width]) if self._asking and get_app().current_buffer.text else ""
        return ANSI("\n".join(filter(None, [self._last[-width:], held, "> "])))

    def _bindings(self) -> KeyBindings:
        keys = KeyBindings()
        asking = Condition(lambda: self._asking and not get_app().current_buffer.text)

        keys.add("escape", eager=True)(lambda event: self._tell(Cancel()))
        keys.add("c-c")(lambda event: self._tell(Cancel()))
        keys.add("c-d", filter=Condition(lambda: not get_app().current_buffer.text))(lambda event: self._tell(Leave()))
        for key, word in {**KEYS, **{str(one): str(one) for one in range(1, 10)}}.items():
            keys.add(key, filter=asking)(self._chooses(word))
        return keys

    def _chooses(self, word: str) -> Callable[[KeyPressEvent], None]:
        return lambda event: self._tell(Choice(word))
