"""The shell agent: what runs in the pane of a ``shell`` session. A prompt is a command, the response its output.

    python3 -I -S /path/anvilsrv/inside/shellagent.py [output]

The response is byte for byte what the command printed (standard output and errors in their order), with a last line
``exit N`` when N is not 0. ``output`` is a file in which it is told while the command runs. The shell behind it lives on: directory,
variables and functions stay. ``exit`` ends the agent; a shell that is killed is replaced by a new one, and the response says so.
Commands read an empty standard input and have no terminal. C-c interrupts the command; pressed again it terminates it, a third time it
kills it with the shell.

One thread, one poll loop; standard library only, since it runs sandboxed on whatever Python there is.
"""

import os
import re
import select
import signal
import sys
import termios
from types import FrameType
from typing import Any

if __package__ in (None, ""):  # run by its path
    # The package is made from its own directory: without mounts, the one above is closed to an agent.
    sys.modules["anvilsrv"] = package = type(sys)("anvilsrv")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from anvilsrv.inside import hook
from anvilsrv.inside.shell_editor import Editor
from anvilsrv.inside.shell_output import Pieces
from anvilsrv.inside.shell_process import Capture, Display, Shell

LEAVES = re.compile(r"\b(exit|exec|logout)\b")
NEW_SHELL = b"[the shell ended: a new one was started, in the first directory and without its variables]\n"
ECHO = 2000  # characters of a command that are shown when it starts
ASK = 0.3  # s between two questions for the status after an interrupt
JSON_LIMIT = 7 << 20  # bytes: a report must be smaller than 8 MiB


class Agent:
    """The terminal, the line, the shell, and what is told to the daemon."""

    def __init__(self, tty: int, output: str | None = None) -> None:
        self._tty = tty
        self._pieces = Pieces(output)
        self._editor = Editor()
        self._shell = Shell(dict(os.environ))
        self._text = ""
        self._ahead = b""  # typed while a command ran
        self._capture, self._display = Capture(), Display()
        self._interrupts = 0
        self._background: dict[int, Display] = {}
        self._leaving = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> int:
        """Run until the end. Returns the exit status."""
        before = termios.tcgetattr(self._tty)
        signal.set_wakeup_fd(self._wake_write)
        for number in (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _nothing)
        try:
            raw = termios.tcgetattr(self._tty)
            raw[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON | termios.ISTRIP)
            raw[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
            termios.tcsetattr(self._tty, termios.TCSANOW, raw)
            self._write(
                "\x1b[?2004h\x1b[2mA prompt is a command, the response its output. C-c interrupts, C-d ends.\x1b[0m\n"
            )
            self._redraw()
            hook.send("Ready", {"pid": os.getpid()})
            return self._loop()
        finally:
            self._shell.close()
            self._write("\x1b[?2004l")
            termios.tcsetattr(self._tty, termios.TCSANOW, before)

    def _loop(self) -> int:
        while not self._leaving:
            fds = [self._tty, self._wake_read, *self._shell.fds, *self._background]
            if self._shell.running:
                fds.append(self._shell.output)
            waits = [ASK if self._interrupts else None, self._pieces.patience]
            ready = readable(fds, min((one for one in waits if one is not None), default=None))
            self._pieces.tell()
            if self._wake_read in ready and self._signalled():
                return 128 + signal.SIGTERM
            for fd in [fd for fd in self._background if fd in ready]:
                self._late(fd)
            self._serve_shell(ready)
            if self._tty in ready and not self._typed():
                return 0
        return 0

    def _signalled(self) -> bool:
        numbers = os.read(self._wake_read, 64)
        if signal.SIGTERM in numbers or signal.SIGHUP in numbers:
            return True
        if not self._shell.running:
            self._redraw()
        return False

    # -- typing -------------------------------------------------------------------------------------------------------

    def _typed(self) -> bool:
        """Take input; False when the terminal is gone."""
        try:
            data = os.read(self._tty, 1 << 16)
        except OSError:
            data = b""
        if not data:
            return False
        if self._shell.running:
            self._type_ahead(data)
        else:
            self._edit(data)
        return True

    def _type_ahead(self, data: bytes) -> None:
        """Handle keys while a command runs: only C-c acts; the rest waits. (A C-c that was pasted is not a key:
        sanitised prompts have none.)
        """
        for _ in range(data.count(b"\x03")):
            self._interrupt()
        self._ahead += data.replace(b"\x03", b"")

    def _edit(self, data: bytes) -> None:
        while data or self._ahead:
            data, self._ahead = self._ahead + data, b""
            event, data = self._editor.feed(data)
            if event == "enter":
                self._ahead = data
                self._enter()
                return
            if event == "interrupt":
                self._write("^C\n")
                self._editor.drop()
            elif event == "redraw":
                self._write("\x1b[H\x1b[2J")
            elif event == "end":
                self._write("\n")
                self._leaving = True
                return
        if not self._editor.pasting:
            self._redraw()

    def _enter(self) -> None:
        self._text = self._editor.take()
        if not self._text.strip():
            self._write("\n")
            self._edit(b"")
            return
        self._write(f"\r\x1b[K{echo(self._text)}\n")
        hook.send("Submit", payload(self._text.encode("utf-8", "surrogateescape")))
        self._capture, self._display, self._interrupts = Capture(), Display(), 0
        self._pieces.begin()
        try:
            self._shell.run(self._text)
        except OSError as error:
            self._not_run(f"cannot run the command: {error.strerror}")

    def _not_run(self, why: str) -> None:
        """Report a command that the shell has not even seen: the disk is full, as a rule."""
        self._write(f"\x1b[31m{why}\x1b[0m\n")
        self._redraw()
        hook.send("Fail", {"text": why})
        if self._ahead:
            self._edit(b"")

    def _redraw(self) -> None:
        self._write(self._editor.row(os.get_terminal_size(self._tty).columns))

    def _write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        try:
            while data:
                data = data[os.write(self._tty, data) :]
        except OSError:
            self._leaving = True  # the terminal is gone

    # -- the command ----------------------------------------------------------------------------------------------------

    def _interrupt(self) -> None:
        self._interrupts += 1
        self._write("^C")
        number = {1: signal.SIGINT, 2: signal.SIGTERM}.get(self._interrupts, signal.SIGKILL)
        self._shell.signal(number)

    def _serve_shell(self, ready: set[int]) -> None:
        if not self._shell.running:
            if self._shell.fds[1] in ready and self._shell.ended() is not None:
                self._shell.start()  # killed from a background job
            elif self._shell.fds[0] in ready:
                self._shell.look()
            return
        if self._shell.output in ready:
            self._shell.drain(self._take)
        if self._shell.look():
            self._end(self._shell.status or 0)
        elif (status := self._shell.ended()) is not None:
            self._end(status, ended=True)
        elif self._interrupts and not ready:
            self._shell.ask()  # an interrupted shell forgets what it had read ahead

    def _take(self, data: bytes) -> None:
        self._capture.add(data)
        self._pieces.add(data)
        self._write(self._display.show(data))

    def _end(self, status: int, ended: bool = False) -> None:
        """End the command (with ``ended`` the shell too): draw the prompt, then tell the daemon, which may type
        immediately.
        """
        fifo = self._shell.finish(self._take)
        if fifo >= 0:
            self._background[fifo] = Display()
        meant = ended and LEAVES.search(self._text) is not None and status < 128
        if ended and not meant:
            self._take(b"\n" * (not self._capture.ends_line) + NEW_SHELL)
            self._shell.start()
        if status:
            self._write(self._display.end() + f"\x1b[31mexit {status}\x1b[0m\n")
        else:
            self._write(self._display.end())
        self._interrupts = 0
        self._leaving = self._leaving or meant
        if not self._leaving:
            self._redraw()
        self._pieces.tell(now=True)
        hook.send("Stop", {**payload(response(self._capture, status)), "status": status})
        if self._ahead and not self._leaving:
            self._edit(b"")

    def _late(self, fd: int) -> None:
        """Show above the line what a background job of an earlier command prints: it is part of no response."""
        display = self._background[fd]
        told: list[bytes] = []
        over = self._shell.drain(told.append, fd)
        if over:
            os.close(fd)
            del self._background[fd]
        text = "".join(display.show(data) for data in told)
        if text and not self._shell.running:
            self._write(f"\r\x1b[K{text.rstrip(chr(10))}\x1b[0m\n")
            self._redraw()
        elif text:
            self._write(text)


def _nothing(number: int, frame: FrameType | None) -> Any:
    """Do nothing: the signal is read from the wake-up descriptor."""


def readable(fds: list[int], seconds: float | None) -> set[int]:
    """Return those of the descriptors that have something to read, or an end; however many there are."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(None if seconds is None else seconds * 1000)}


def echo(text: str) -> str:
    """Return a command as it is shown while it runs."""
    shown = text if len(text) <= ECHO else f"{text[:ECHO]}… ({len(text)} characters)"
    first, *more = "".join(c if c in "\n\t" or c.isprintable() else "�" for c in shown).split("\n")
    return "\n".join([f"\x1b[1m$ {first}\x1b[0m", *(f"\x1b[1m> {line}\x1b[0m" for line in more)])


def response(capture: Capture, status: int) -> bytes:
    """Return what the command printed, with the line ``exit N``."""
    data = capture.bytes()
    if status:
        data += (b"\n" if data and not data.endswith(b"\n") else b"") + f"exit {status}\n".encode()
    return data


def payload(data: bytes) -> dict[str, str]:
    """Return ``data`` for a report: as ``text``, with surrogate escapes for bytes that are not UTF-8; in ``base64`` if
    JSON would make it too long; if even that is too long, nothing (a prompt).
    """
    import base64
    import json

    text = data.decode("utf-8", "surrogateescape")
    if len(text) <= JSON_LIMIT and len(json.dumps(text)) <= JSON_LIMIT:
        return {"text": text}
    return {"base64": base64.b64encode(data).decode("ascii")} if len(data) * 4 // 3 < JSON_LIMIT else {}


def main() -> int:
    """Run the program. Returns 0 when it was told to end."""
    if not os.isatty(0):
        sys.stderr.write("shellagent: needs a terminal\n")
        return 1
    return Agent(0, *sys.argv[1:2]).run()


if __name__ == "__main__":
    sys.exit(main())
