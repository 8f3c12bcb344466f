"""The real acme under a virtual X server, and a hand on its mouse and keyboard.

Places on the screen are found by selecting the text through `addr` and looking which pixels of the frame buffer turn
to the selection's colour; the tag has no such file, so its places are counted out, in a font of fixed width.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from person import Person

from acme.lib.acme import Acme
from acme.lib.window import Window
from anvilsrv.p9.client import P9Error

FONT = "/lib/font/bit/fixed/unicode.9x18.font"
CELL, LINE = 9, 18  # pixels of that font
SIZE = (1500, 1000)
BODY_HIGH, TAG_BACK = b"\x9e\xee\xee", b"\xff\xff\xea"  # blue, green, red: a selection in a body; a tag


class AtReal(Person):
    """Starts the X server and acme, with one column and no window."""

    real = True

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.processes: list[subprocess.Popen[bytes]] = []
        self.programs: list[subprocess.Popen[bytes]] = []  # those that use acme's files, and must not at times
        self._held = 0
        self._starts = 4
        try:
            os.environ["DISPLAY"] = self._x()
            while not self._began():
                self._starts -= 1
                assert self._starts, "acme hears neither mouse nor keyboard: " + self._said()
        except BaseException:
            self._end()
            raise

    def _began(self) -> bool:
        """Start acme; False if that one is no use.

        On a busy machine plan9port's acme now and then dies while it starts, or comes up deaf: its threads begin to
        talk to devdraw at the same time, and the mouse and the keyboard are never heard of again.
        """
        process = self._acme()
        if self._serves(process):
            self.acme = Acme.dial()
            for listed in self.acme.windows():
                self.acme.window(listed.id).delete()
            if self._hears():
                return True
            self.acme.close()
        self._kill(process)
        self.processes.remove(process)
        Path(self.namespace, "acme").unlink(missing_ok=True)
        return False

    def _hears(self) -> bool:
        """Return whether what is typed arrives where the mouse points."""
        self.new("/hears")
        self._point("/hears")
        self._xdo("key", "x")
        with contextlib.suppress(AssertionError):
            self.wait(lambda: self.body("/hears") == "x", "a key", 3)
        heard = self.body("/hears") == "x"
        self._window("/hears").delete()
        return heard

    def stop(self) -> None:
        self.acme.close()
        self._end()

    def end_acme(self) -> None:
        self._kill(self.processes[-1])

    def _end(self) -> None:
        for process in reversed(self.processes):
            self._kill(process)
        os.environ.pop("DISPLAY", None)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)

    def _said(self) -> str:
        return Path(self.namespace, "acme.err").read_text()

    def _run(self, *line: str, **more: Any) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(line, start_new_session=True, cwd=self.namespace, **more)
        self.processes.append(process)
        return process

    def _x(self) -> str:
        said, tell = os.pipe()
        screen = f"{SIZE[0]}x{SIZE[1]}x24"
        with open(os.devnull, "wb") as null:
            line = ("Xvfb", "-displayfd", str(tell), "-screen", "0", screen, "-fbdir", self.namespace, "-noreset")
            self._run(*line, pass_fds=(tell,), stdout=null, stderr=null)
        os.close(tell)
        with open(said) as file:
            return f":{file.readline().strip()}"

    def _acme(self) -> subprocess.Popen[bytes]:
        with open(f"{self.namespace}/acme.err", "wb") as errors:
            size = f"{SIZE[0]}x{SIZE[1]}"
            return self._run("acme", "-c", "1", "-f", FONT, "-F", FONT, "-W", size, stdout=errors, stderr=errors)

    def _serves(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until acme's socket takes connections: it is there before somebody listens. False if acme died."""
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as peer:
                peer.connect(f"{self.namespace}/acme")
                return True
            self.pause()
        return False

    def describe(self) -> str:
        """Return what is known of the screen. A picture of it goes to $ANVILLM_TEST_SCREENS, in the format of xwd(1)."""
        if directory := os.environ.get("ANVILLM_TEST_SCREENS"):
            shutil.copy(f"{self.namespace}/Xvfb_screen0", f"{directory}/{time.time():.0f}.xwd")
        mouse = subprocess.run(["xdotool", "getmouselocation"], capture_output=True, text=True).stdout
        return f"{super().describe()}\n{mouse}\n{self._said()}"

    # looking

    def new(self, name: str, body: str = "") -> None:
        window = self.acme.new()
        window.name(name)
        window.append(body)
        window.clean()
        window.close()

    def names(self) -> list[str]:
        return [listed.name for listed in self.acme.windows()]

    def body(self, name: str) -> str:
        window = self.acme.find(name)
        try:
            return window.body() if window else ""
        except Exception:  # deleted meanwhile
            return ""

    def tag(self, name: str) -> str:
        return self._window(name).tag_text()

    def selection(self, name: str) -> str:
        return self.acme.client.read(f"{self._window(name).id}/rdsel").decode()

    def _window(self, name: str) -> Window:
        window = self.acme.find(name)
        assert window is not None, f"no window {name}: {self.names()}"
        return window

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[Window]:
        """Yield the window, while nobody else uses its `addr`, of which there is one for all programs: they are
        stopped, and find it as they left it.
        """
        programs = [] if self._held else [each for each in self.programs if each.poll() is None]
        self._held += 1
        for program in programs:
            program.send_signal(signal.SIGSTOP)
        self._settle()
        try:
            with contextlib.closing(self._window(name)) as window:
                q0, q1 = window.address(".")
                yield window
                with contextlib.suppress(P9Error):  # the body became shorter
                    window.address(f"#{q0},#{q1}")
        finally:
            self._held -= 1
            for program in programs:
                program.send_signal(signal.SIGCONT)

    def scroll_to(self, name: str, text: str) -> None:
        """Bring `text` into view by the scroll bar's own means, and take the mouse out of the way."""
        with self._alone(name) as window:
            at = self.body(name).find(text)
            window.select(at, at)
            window.show()
        self._xdo("mousemove", SIZE[0] - 1, SIZE[1] - 1)
        self._settle()

    def picture(self) -> bytes:
        self._settle()
        return self._pixels()

    def changed_lines(self, before: bytes) -> int:
        """Return how many lines of text differ from an earlier picture; the scroll bars do not count."""
        now, width = self._pixels(), SIZE[0] * 4
        rows = [
            y
            for y in range(SIZE[1])
            if now[y * width + 80 : (y + 1) * width] != before[y * width + 80 : (y + 1) * width]
        ]
        return sum(row - last > LINE // 2 for last, row in zip([-LINE, *rows], rows, strict=False))

    # acting

    def execute(self, name: str, text: str, *, sweep: bool = False, tag: bool = False, chord: Any = None) -> None:
        where = self._spot(name, text, sweep, tag)
        if chord is None:
            self._press(2, where)
            return
        self.select(*chord)
        where = self._spot(name, text, sweep, tag)  # the same place, unless acme moved things
        rest = ("sleep", 0.03)
        steps = ("mousedown", 2, *rest, "mousemove", *where[1], *rest, "mousedown", 1, *rest, "mouseup", 1, *rest)
        self._xdo("mousemove", *where[0], *rest, *steps, "mouseup", 2, *rest)

    def look(self, name: str, text: str, *, sweep: bool = False, tag: bool = False) -> None:
        self._press(3, self._spot(name, text, sweep, tag))

    def select(self, name: str, text: str) -> None:
        for _ in range(4):  # what Assist writes meanwhile may move the text, or the address it is looked for by
            self._press(1, self._spot(name, text, True, False))
            with contextlib.suppress(AssertionError):
                self.wait(
                    lambda: self.selection(name) == text, f"{text!r} to be selected, not {self.selection(name)!r}", 1
                )
                return
        raise AssertionError(f"{text!r} cannot be selected, but {self.selection(name)!r}\n{self.describe()}")

    def type(self, name: str, text: str) -> None:
        before = self.body(name)
        for _ in range(4):  # a window that comes up meanwhile takes the mouse away; a slow devdraw forgets keys
            self._point(name)
            self._keys(text)
            with contextlib.suppress(AssertionError):
                self.wait(lambda: text in self.body(name), f"{text!r} typed", 2)
                return
            self._take_back(name, before)
        raise AssertionError(f"{text!r} cannot be typed: {self.describe()}")

    def _take_back(self, name: str, before: str) -> None:
        """Remove what was typed of a text that did not arrive whole."""
        with self._alone(name) as window:
            now = window.body()
            if now == before:
                return
            more = len(now) - len(before)
            at = next((i for i in range(len(before) + 1) if now[:i] + now[i + more :] == before), None)
            assert more >= 0 and at is not None, f"half typed: {now!r}"
            window.replace(at, at + more, "")
            window.select(at, at)

    def cut(self, name: str) -> None:
        before = self.body(name)
        self._point(name)
        self._xdo("key", "Escape")  # which cuts; Delete would be typed
        self.wait(lambda: self.body(name) != before, "the selection to go")

    def type_at_end(self, name: str, text: str) -> None:
        with self._alone(name) as window:
            end = window.address("$")[1]
            window.select(end, end)
            window.show()
        self.type(name, text)

    def _keys(self, text: str) -> None:
        for part in text.split("\n")[:-1]:
            self._xdo("type", "--delay", 6 if part.isascii() else 40, "--", part)
            self._xdo("key", "Return")
        last = text.split("\n")[-1]
        if last:
            self._xdo("type", "--delay", 6 if last.isascii() else 40, "--", last)

    def _point(self, name: str) -> None:
        """The mouse into the body, where typing goes to."""
        x, y = self._top(name)
        self._xdo("mousemove", x + CELL, y + 4)

    def _press(self, button: int, where: Any) -> None:
        (x0, y0), (x1, y1) = where
        rest = ("sleep", 0.03)  # as long as a hand needs at least
        down = ("mousemove", x0, y0, *rest, "mousedown", button, *rest)
        self._xdo(*down, "mousemove", x1, y1, *rest, "mouseup", button, *rest)

    def _xdo(self, *words: Any) -> None:
        subprocess.run(["xdotool", *map(str, words)], check=True, stdout=subprocess.DEVNULL)

    # the screen

    def _spot(self, name: str, text: str, sweep: bool, tag: bool) -> Any:
        """Return where on the screen `text` begins and ends; twice its middle for a click."""
        for _ in range(3):
            with contextlib.suppress(P9Error):  # the text became shorter while it was looked for
                return self._sought(name, text, sweep, tag)
        return self._sought(name, text, sweep, tag)

    def _sought(self, name: str, text: str, sweep: bool, tag: bool) -> Any:
        if tag:
            at = self.tag(name).find(text)
            assert at >= 0, f"no {text!r} in {self.tag(name)!r}"
            return self._ends(lambda offset: self._in_tag(name, offset), at, at + len(text), sweep)
        at = self.body(name).find(text)
        assert at >= 0, f"no {text!r} in {self.body(name)!r}"
        return self._ends(lambda offset: self._in_body(name, offset), at, at + len(text), sweep)

    def _ends(self, spot: Any, q0: int, q1: int, sweep: bool) -> Any:
        if not sweep:
            x, y = spot((q0 + q1) // 2)
            return (x + 1, y), (x + 1, y)
        return tuple((x + 1, y) for x, y in (spot(q0), spot(q1)))

    def _in_body(self, name: str, offset: int) -> tuple[int, int]:
        """Return the left edge and middle line of the rune at `offset`: select it and see what turns yellow."""
        with self._alone(name) as window:
            dot, size = window.dot(), len(self.body(name))
            back = 1 if offset >= size or self.body(name)[offset] == "\n" else 0
            window.select(size, size)
            self._settle()
            before = self._pixels()
            window.select(offset - back, offset - back + 1)
            window.show()
            self._settle()
            x, y = self._turned(before, self._pixels())
            window.select(*dot)
            return x + back * CELL, y

    def _settle(self) -> None:
        """Wait until acme has drawn: two looks at the screen are the same, some milliseconds apart."""
        last = None
        while last != (now := self._pixels()):
            last = now
            time.sleep(0.03)

    def _turned(self, before: bytes, now: bytes) -> tuple[int, int]:
        width = SIZE[0] * 4
        for y in range(SIZE[1]):
            row = now[y * width : (y + 1) * width]
            if row == before[y * width : (y + 1) * width]:
                continue
            for x in range(SIZE[0]):
                pixel = row[x * 4 : x * 4 + 3]
                if pixel == BODY_HIGH and before[y * width + x * 4 : y * width + x * 4 + 3] != BODY_HIGH:
                    return x, y + LINE // 2
        raise AssertionError("what was selected is not on the screen")

    def _top(self, name: str) -> tuple[int, int]:
        """Return the upper left corner of a window's body, found on its first visible rune or by an insertion."""
        body = self.body(name)
        if body and body[0] != "\n":
            x, y = self._in_body(name, 0)
            return x, y - LINE // 2
        with self._alone(name) as window:
            window.replace(0, 0, "x")
            try:
                x, y = self._in_body(name, 0)
            finally:
                window.replace(0, 1, "")
                window.clean()
        return x, y - LINE // 2

    def _in_tag(self, name: str, offset: int) -> tuple[int, int]:
        """Counted from the tag's top, which is looked for above the body."""
        x, y = self._top(name)
        pixels, width, columns = self._pixels(), SIZE[0] * 4, self._columns(name)
        top = y
        while True:
            row = pixels[(top - 1) * width + x * 4 : (top - 1) * width + (x + columns * CELL) * 4]
            if top < y - 3 and sum(row[i : i + 3] == TAG_BACK for i in range(0, len(row), 4)) < columns * CELL // 3:
                break
            top -= 1
        return x + offset % columns * CELL, top + offset // columns * LINE + LINE // 2

    def _columns(self, name: str) -> int:
        fields = self.acme.client.read(f"{self._window(name).id}/ctl").decode().split()
        return int(fields[5]) // CELL

    def _pixels(self) -> bytes:
        with open(f"{self.namespace}/Xvfb_screen0", "rb") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                head, colours = struct.unpack(">I", data[:4])[0], struct.unpack(">I", data[76:80])[0]
                start = head + colours * 12
                return data[start : start + SIZE[0] * SIZE[1] * 4]
