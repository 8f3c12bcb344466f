"""The agent's process: started in a group of its own, fed and read by lines, and ended with everything that it has started.

Threads: ``agent out`` reads what it prints, ``agent in`` writes to it, so that neither waits for the other; ``agent err`` keeps
its last words. What is read goes to ``told``, which may make the reader wait: so an agent that floods waits itself. ``end`` may
be called from any thread; it ends the group and joins the three.
"""

import ctypes
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from anvilsrv.inside.acp_wire import Fault, Lines, Message, line, parse

PIECE = 1 << 18  # bytes read at once
WORDS = 8192  # bytes of what it printed last to its standard error
GRACE = 2.0  # s from closing its input, and again from SIGTERM, to the next harder step
PR_SET_PDEATHSIG = 1
ROOM = 1000  # messages that may wait for the receiver; then the reader waits, and with it the agent
_LIBC = ctypes.CDLL(None)  # loaded before anything is started


@dataclass(frozen=True)
class Gone:
    """The process has ended: its status as a shell gives it, and its last words."""

    status: int
    words: str


Told = Callable[["Process", Message | Gone], None]


class Process:
    """One process of the agent. Raises OSError if it cannot be started."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: str, told: Told) -> None:
        self._told = told
        self._words = bytearray()
        self._out: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._room = threading.Semaphore(ROOM)
        self._process = subprocess.Popen(
            list(argv), env=dict(env), cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, preexec_fn=_with_its_parent,
        )  # fmt: skip
        self._threads = [
            threading.Thread(target=self._read, name="agent out", daemon=True),
            threading.Thread(target=self._write, name="agent in", daemon=True),
            threading.Thread(target=self._listen, name="agent err", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Its process, which leads its group."""
        return self._process.pid

    def send(self, message: Mapping[str, Any]) -> None:
        """Write a message; what is sent to a process that is gone is lost."""
        self._out.put(line(message))

    def handled(self) -> None:
        """Note that one of the reported messages is dealt with."""
        self._room.release()

    def end(self, grace: float = GRACE) -> None:
        """Close its input, then SIGTERM, then SIGKILL, each to the whole group, which is gone after that."""
        self._ending.set()
        self._room.release()  # the reader looks, and ends
        self._out.put(None)
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            if number:
                self._signal(number)
            try:
                self._process.wait(grace)
                break
            except subprocess.TimeoutExpired:
                continue
        self._signal(signal.SIGKILL)  # what it has left
        self._process.wait()
        for thread in self._threads:
            thread.join(GRACE)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # no one is left in it

    # -- threads

    def _read(self) -> None:
        """Read until its output closes. That is its end: an agent that cannot be heard is of no use."""
        lines, out = Lines(), _fd(self._process.stdout)
        while data := _piece(out):
            for one in lines.feed(data):
                self._tell(one)
        for one in lines.end():
            self._tell(one)
        if not self._ending.is_set():
            self._told(self, self._gone())

    def _tell(self, one: bytes | Fault) -> None:
        if isinstance(one, Fault) or one.strip():
            self._room.acquire()
            if not self._ending.is_set():
                self._told(self, one if isinstance(one, Fault) else parse(one))

    def _gone(self) -> Gone:
        deadline = time.monotonic() + GRACE
        self._threads[2].join(GRACE)
        try:
            status = self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return Gone(0, "it closed its output")
        said = self._words.decode("utf-8", "replace").strip()
        return Gone(128 - status if status < 0 else status, said)

    def _write(self) -> None:
        assert self._process.stdin is not None
        fd = self._process.stdin.fileno()
        while (data := self._out.get()) is not None:
            try:
                while data:
                    data = data[os.write(fd, data[:PIECE]) :]
            except OSError:
                break  # it reads no more; that it is gone is told by its output
        try:
            self._process.stdin.close()
        except OSError:
            pass

    def _listen(self) -> None:
        err = _fd(self._process.stderr)
        while data := _piece(err):
            self._words += data
            del self._words[:-WORDS]


def _fd(file: IO[bytes] | None) -> int:
    assert file is not None
    return file.fileno()


def _piece(fd: int) -> bytes:
    try:
        return os.read(fd, PIECE)
    except OSError:
        return b""


def _with_its_parent() -> None:
    """Have the child end when we do, however that is. Runs in the child."""
    _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
