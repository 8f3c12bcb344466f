"""What panes show, and that they have printed something.

All watches share one control client that is sent what panes print. It is attached with the first of them, and stays (see ``server``):
a pane that prints without end costs us 2 % of a processor, and tmux 20. It is not the client that takes commands: there tmux 3.3a never
answers again when output is switched off while some is on its way.

Threads: the Reactor of ``Server`` rings the watches; the lock guards the table of them.
"""

import fcntl
import os
import struct
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anvilsrv.tmux.cells import spaced
from anvilsrv.tmux.control import ControlClient
from anvilsrv.tmux.server import WAIT, Server
from anvilsrv.tmux.windows import target

OUTPUT = b"%output "


def unread(tty: str) -> bool:
    """Return whether keys wait in that terminal for its program to read them. False if it cannot be asked."""
    try:
        fd = os.open(tty, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # the program has ended, and its terminal with it
    try:
        return bool(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0])
    except OSError:
        return False
    finally:
        os.close(fd)


@dataclass(frozen=True)
class Screen:
    """What a pane shows: ``lines`` without trailing blanks, and the cursor (from 0)."""

    lines: list[str]
    x: int
    y: int
    width: int
    height: int
    unread: bool = False  # what was typed lies in the terminal still: the program has not read it

    @property
    def line(self) -> str:
        """The line with the cursor."""
        return self.lines[self.y] if self.y < len(self.lines) else ""


class Watch:
    """Whether a pane printed something. A context manager; made by ``Tmux.watch``."""

    def __init__(self, output: "Output", pane: str) -> None:
        self.pane = pane
        self._output = output
        self._rung = threading.Event()

    def wait(self, timeout: float | None) -> bool:
        """Return True as soon as anything was printed, or ``wake`` was called, since the last wait or since entry;
        False after ``timeout`` s.

        None: for ever, for one whom ``wake`` ends. Raises Unavailable when tmux is gone.
        """
        rung = self._rung.wait(timeout)
        if rung:
            self._rung.clear()
            self._output.listen()
        return rung

    def wake(self) -> None:
        """Have ``wait`` return, or the next one if there is none. From any thread."""
        self._rung.set()

    def __enter__(self) -> "Watch":
        self._output.add(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._output.remove(self)


class Output(Server):
    """The part of ``Tmux`` that looks."""

    def __init__(self, socket: Path, on_error: Callable[[BaseException], None], timeout: float = WAIT) -> None:
        super().__init__(socket, on_error, timeout)
        self._listener: ControlClient | None = None  # under the lock of Server
        self._watches: dict[str, set[Watch]] = {}  # replaced as a whole

    def screen(self, pane: str, styled: bool = False) -> Screen:
        """Return what the pane shows now; with ``styled`` the colours too, as escape sequences."""
        asked = "#{cursor_x} #{cursor_y} #{pane_width} #{pane_height} #{pane_tty}"
        # In one line, so that all is of the same moment; what panes say first, since it cannot forge the end of what was asked before.
        capture = f"capture-pane -p {'-e' if styled else ''} -t {target(pane)}"
        lines, place = self.line(f"{capture} ; display-message -p -t {pane} '{asked}'")
        x, y, width, height, *tty = place[0].split()
        waits = bool(tty) and unread(tty[0])
        return Screen(list(map(spaced, lines)), int(x), int(y), int(width), int(height), waits)

    def capture(self, pane: str, history: int = 0) -> str:
        """Return the text on the screen, and ``history`` lines above it."""
        lines = self.command("capture-pane", "-p", "-J", "-S", str(-history), "-t", target(pane))
        return "\n".join(spaced(line).rstrip(" ") for line in lines).rstrip("\n") + "\n"

    def cursor_line(self, pane: str) -> str:
        """Return the line with the cursor, without trailing blanks."""
        return self.screen(pane).line

    def title(self, pane: str) -> str:
        """Return the title that the program has given its terminal."""
        lines = self.command("display-message", "-p", "-t", target(pane), "#{pane_title}")
        return lines[0] if lines else ""

    def watch(self, pane: str) -> Watch:
        """Return a context manager whose ``wait(timeout)`` returns when the pane has printed something since it was
        entered.
        """
        return Watch(self, target(pane))

    def wait_output(self, pane: str, timeout: float) -> bool:
        """Wait until the pane prints something, at most ``timeout`` seconds; whether it did."""
        with self.watch(pane) as watch:
            return watch.wait(timeout)

    # -- for watches ----------------------------------------------------------------------------------------------

    def add(self, watch: Watch) -> None:
        """Ring it from now on. Raises Unavailable."""
        with self._lock:
            beside = self._watches.get(watch.pane, set())
            self._watches = {**self._watches, watch.pane: beside | {watch}}
        try:
            self.listen()
        except BaseException:
            self.remove(watch)
            raise

    def remove(self, watch: Watch) -> None:
        """Ring it no more."""
        with self._lock:
            left = self._watches.get(watch.pane, set()) - {watch}
            others = {pane: watches for pane, watches in self._watches.items() if pane != watch.pane}
            self._watches = {**others, watch.pane: left} if left else others

    def listen(self) -> None:
        """Attach the client that hears output, unless it is. Raises Unavailable."""
        self._attached(self._listening)

    def _listening(self) -> ControlClient:
        with self._lock:
            if self._listener is None or not self._listener.alive:
                self._listener = self._connect(self._printed, self._deaf, flags="ignore-size")
            return self._listener

    def _printed(self, line: bytes) -> None:
        if line.startswith(OUTPUT):
            pane = line[len(OUTPUT) : line.find(b" ", len(OUTPUT))].decode("ascii", "replace")
            for watch in self._watches.get(pane, ()):
                watch.wake()

    def _deaf(self, client: ControlClient) -> None:
        """Have each look: something may have been printed that was not heard, or tmux is gone."""
        self._lost(client)
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()
