"""A held control client of a tmux server (``tmux -C``, "CONTROL MODE" of tmux(1)): commands in 0.3 ms, and what panes print as events.

Every command is followed by a ``display-message`` of a random word, and its answer ends where that word comes back: a
pane whose content looks like the protocol cannot forge the end of an answer.

Threads: one reader thread owns the pipe from tmux; commands come from any thread, one after another under ``_calling``.
"""

import os
import secrets
import select
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from anvilsrv.errors import Unavailable

MAX_COMMAND = 60000  # bytes: what surely fits into the pipe, so that a write never blocks
CHUNK = 1 << 16
TITLES = b"%subscription-changed titles "
OnTitle = Callable[[str, str], None]


def quote(word: str) -> str:
    """``word`` as one argument in tmux's own command language, whatever is in it."""
    out = []
    for char in word:
        if char in '"\\$':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char < " " or char == "\x7f":
            out.append(f"\\{ord(char):03o}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


class Watch:
    """Whether a pane printed something. A context manager; made by ``Tmux.watch``.

    It attaches a control client of its own, which is sent what panes print: on a client that also takes commands tmux 3.3a
    never answers again when output is switched off while some is on its way.
    """

    def __init__(self, attach: Callable[[Callable[[str], None]], "ControlClient"], pane: str) -> None:
        self._attach = attach
        self._client: ControlClient | None = None
        self._pane = pane
        self._printed = threading.Event()

    def wait(self, timeout: float) -> bool:
        """True as soon as anything was printed since the last wait (or since entry); False after ``timeout`` seconds.

        Also True when the tmux server is gone, so that the caller looks again and gets the error.
        """
        seen = self._printed.wait(timeout)
        if self._client is not None and self._client.alive:
            self._printed.clear()
        return seen

    def _output(self, pane: str) -> None:
        if pane in (self._pane, ""):
            self._printed.set()

    def __enter__(self) -> "Watch":
        self._client = self._attach(self._output)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._client is not None:
            self._client.close()


class ControlClient:
    """One ``tmux -C attach-session``. Never reconnects; whoever finds it not ``alive`` makes another.

    ``on_title(pane, title)`` is called when a pane's title changes (tmux looks once a second), by the reader or by a thread
    that is calling: it must be quick and not come back here. ``on_output(pane)`` is called by the reader when a
    pane prints, and with an empty name when tmux is gone.
    """

    def __init__(
        self,
        command: Sequence[str],
        timeout: float,
        on_title: OnTitle | None = None,
        on_output: Callable[[str], None] | None = None,
    ) -> None:
        """Attach; ``command`` is the whole argv. Raises Unavailable with tmux's words, or when it does not answer."""
        self._calling = threading.Lock()
        self._on_title = on_title
        self._on_output = on_output
        self._waiting: tuple[str, threading.Event, list[bytes]] | None = None
        self.alive = True
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"cannot run tmux: {error.strerror}") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout
        self._first: list[str] = []  # what came before the attachment, for the error message
        self._attached = threading.Event()  # also set when that failed; a command sent earlier may run without a client
        self._closed = os.eventfd(0, os.EFD_CLOEXEC)
        self._reader = threading.Thread(target=self._read, name="tmux control", daemon=True)
        self._reader.start()
        self._attached.wait(timeout)
        if not self.alive or not self._attached.is_set():
            self.close()
            words = [line for line in self._first if not line.startswith("%")]
            gone = "is gone" if self._attached.is_set() else "does not answer"
            raise Unavailable(f"tmux: {words[-1]}" if words else f"the tmux server {gone}")
        if on_title is not None:
            self.subscribe(on_title)

    def call(self, commands: Sequence[str], timeout: float) -> list[list[str]]:
        """Run commands one after another; the lines that each printed.

        The first error is raised as Unavailable with tmux's own words, after all of them ran.
        """
        return [self._unwrap(lines) for lines in [self._one(command, timeout) for command in commands]]

    def _one(self, command: str, timeout: float) -> list[bytes]:
        data = command.encode("utf-8", "surrogateescape")
        if len(data) > MAX_COMMAND:
            raise Unavailable("a tmux command is too long")
        with self._calling:
            if not self.alive:
                raise Unavailable("the tmux server is gone")
            word = secrets.token_hex(16)
            done = threading.Event()
            lines: list[bytes] = []
            self._waiting = (word, done, lines)
            try:
                os.write(self._stdin.fileno(), data + b"\ndisplay-message -p " + word.encode() + b"\n")
            except OSError:
                self._lost()
            answered = done.wait(timeout)
            self._waiting = None
            if not answered:
                self.alive = False  # its next answer would be taken for another's
                self._process.kill()
                raise Unavailable("the tmux server does not answer")
            if not lines or lines[-1] != word.encode():
                raise Unavailable("the tmux server is gone")
            return lines[:-2]  # without the %begin of the word, and the word

    def _unwrap(self, lines: list[bytes]) -> list[str]:
        start = next((at for at, line in enumerate(lines) if line.startswith(b"%begin ")), None)
        if start is None:
            raise Unavailable("tmux gave no answer")
        head = lines[start].removeprefix(b"%begin ")
        for at in range(len(lines) - 1, start, -1):
            if lines[at] in (b"%end " + head, b"%error " + head):
                break
        else:
            raise Unavailable("tmux gave half an answer")
        for line in (*lines[:start], *lines[at + 1 :]):  # never what stands in the answer: panes could forge that
            self._notice(line)
        body = [line.decode("utf-8", "replace") for line in lines[start + 1 : at]]
        if lines[at].startswith(b"%error"):
            raise Unavailable("tmux: " + (body[-1] if body else "error"))
        return body

    # -- the reader ---------------------------------------------------------------------------------------------

    def _read(self) -> None:
        rest = b""
        fd = self._stdout.fileno()
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._closed, select.POLLIN)
        while True:
            ready = [one for one, _ in poll.poll()]
            # a server that hangs keeps our pipe open even when its client is dead: an end of file may never come
            data = os.read(fd, CHUNK) if self._closed not in ready else b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._line(line)
        self._lost()

    def _line(self, line: bytes) -> None:
        if line.startswith(b"%output ") and self._on_output is not None:
            self._on_output(line[8 : line.find(b" ", 8)].decode("ascii", "replace"))
        waiting = self._waiting
        if not self._attached.is_set():
            self._first = [*self._first[-20:], line.decode("utf-8", "replace")]
            if line.startswith(b"%session-changed"):
                self._attached.set()
        if waiting is None:
            self._notice(line)
            return
        word, done, lines = waiting
        lines.append(line)
        if line == word.encode():
            self._waiting = None
            done.set()

    def _notice(self, line: bytes) -> None:
        if line.startswith(TITLES) and self._on_title is not None:
            place, _, title = line.removeprefix(TITLES).partition(b" : ")
            self._on_title(place.rpartition(b" ")[2].decode("ascii", "replace"), title.decode("utf-8", "replace"))

    def _lost(self) -> None:
        self.alive = False
        waiting = self._waiting
        if waiting is not None:
            waiting[1].set()
        self._attached.set()
        if self._on_output is not None:
            self._on_output("")

    def subscribe(self, on_title: OnTitle) -> None:
        """Begin to be told titles; first those that there are."""
        self._on_title = on_title
        self.call([f"refresh-client -B {quote('titles:%*:#{pane_title}')}"], 5.0)

    def close(self) -> None:
        """Detach and join the reader; the server lives on."""
        self.alive = False
        try:
            self._stdin.close()
        except OSError:
            pass
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.eventfd_write(self._closed, 1)
        self._reader.join()
        os.close(self._closed)
        self._stdout.close()


def attach_argv(program: str, socket: Path, session: str, output: bool = False) -> list[str]:
    """The argv of a control client, which is sent what panes print if ``output``; ``-N``: it never starts a server."""
    return [
        program,
        "-N",
        "-u",
        "-S",
        str(socket),
        "-C",
        "attach-session",
        "-f",
        "ignore-size" if output else "no-output,ignore-size",
        "-t",
        f"={session}",
    ]
