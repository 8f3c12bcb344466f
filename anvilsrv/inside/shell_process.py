"""The one POSIX shell behind the shell agent: it lives on from command to command, and each command's output is its own.

The shell is ``sh -i`` without a terminal: interactive, so that neither an error nor an interrupt ends it. It reads from a
pipe "run the file ``prompt``, its output into this FIFO", and then "say the status on descriptor 9". Every command has a
FIFO of its own, so what a background job prints later can never get into the response of another command.
Commands read an empty standard input (``/dev/null``) and have no controlling terminal: nothing can wait for a person unseen.

A background job keeps the FIFO of its command open, and so one of our descriptors. We take as many as the kernel lets us have; the
shell and its commands get the limit that we found.
"""

import codecs
import errno
import fcntl
import os
import re
import resource
import select
import shlex
import signal
import tempfile
import termios
from collections.abc import Callable

KEEP = 4 << 20  # bytes of a response that are kept exactly; of a longer one the first three quarters and the last
PIPE = 1 << 20  # bytes that a FIFO holds
SHELL = "/bin/sh"
RESERVE = 32  # descriptors that background jobs cannot take: reports to the daemon need some
MOST = 16384  # descriptors, where more are allowed
STATUS = 9  # the shell's descriptor for statuses; children do not have it
PLAIN = {"PS1": "", "PS2": "", "TERM": "dumb", "PAGER": "cat", "GIT_PAGER": "cat", "MANPAGER": "cat"}


class Capture:
    """A response as it comes, bounded in memory: exact up to ``keep`` bytes, then its beginning and its end."""

    def __init__(self, keep: int = KEEP) -> None:
        self._head_size, self._tail_size = keep - keep // 4, keep // 4
        self._head, self._tail = bytearray(), bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Add more of it."""
        self.total += len(data)
        room = self._head_size - len(self._head)
        self._head += data[:room]
        self._tail += data[max(0, room) :]
        if len(self._tail) > 2 * self._tail_size + (1 << 16):
            del self._tail[: -self._tail_size]

    @property
    def ends_line(self) -> bool:
        """Whether what comes next begins a line."""
        return not self.total or (self._tail or self._head).endswith(b"\n")

    def bytes(self) -> bytes:
        """Return the response; where something was left out it says how much."""
        out = self.total - self._head_size - self._tail_size
        if out <= 0:
            return bytes(self._head + self._tail)
        words = f"\n[{out} bytes left out]\n".encode()
        return bytes(self._head) + words + bytes(self._tail[len(self._tail) - self._tail_size :])


class Shell:
    """The shell and its current command. ``fds`` are to be watched; nothing here blocks."""

    def __init__(self, environment: dict[str, str], program: str = SHELL) -> None:
        self._program = program
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._environment = {
            name: value for name, value in environment.items() if name not in ("ENV", "BASH_ENV", "HISTFILE")
        }
        self._directory = tempfile.mkdtemp(prefix="anvil-sh.")
        self._prompt = os.path.join(self._directory, "prompt")
        self._number = 0
        self._said = b""
        self.most = 0  # descriptors that we may have
        self.pid = 0
        self.output = -1  # the FIFO of the running command
        self._held = -1  # our own end for writing, so that it never seems closed
        self.status: int | None = None  # of the last command, once it has ended
        self.start()

    def start(self) -> None:
        """Start a new shell."""
        read, self._commands = os.pipe()
        self._statuses, write = os.pipe()
        os.set_blocking(self._commands, False)
        environment = {**self._environment, **PLAIN}
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
        self.pid = os.posix_spawn(
            self._program, ["sh", "-i"], environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_DUP2, write, STATUS),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
            ],
            setsid=True, setsigdef=[signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
        )  # fmt: skip
        os.close(read)
        os.close(write)
        soft, hard = self._limits
        self.most = max(soft, min(hard, MOST)) if hard != resource.RLIM_INFINITY else MOST
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.most, hard))
        self._process = os.pidfd_open(self.pid)
        self._said = b""
        self._write(
            "\\set +m\n"
        )  # mksh would put each command into a process group of its own, where no signal of ours arrives

    @property
    def running(self) -> bool:
        """Whether a command is under way."""
        return self.output >= 0

    @property
    def fds(self) -> list[int]:
        """What to wait for besides ``output``: statuses, and the shell's own end."""
        return [self._statuses, self._process]

    def run(self, text: str) -> None:
        """Begin a command. Raises OSError."""
        self._number += 1
        self.status = None
        with open(self._prompt, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text + "\n")
        fifo = os.path.join(self._directory, f"out{self._number}")
        os.mkfifo(fifo, 0o600)
        self._open(fifo)
        try:
            fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, PIPE)
        except OSError:
            pass  # pipes of this user are small; slower, no more
        self._write(f"\\command . {shlex.quote(self._prompt)} </dev/null >{shlex.quote(fifo)} 2>&1 {STATUS}>&-\n")
        self._ask()

    def _open(self, fifo: str) -> None:
        output = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if output >= self.most - RESERVE:
            os.close(output)
            os.unlink(fifo)
            raise OSError(errno.EMFILE, "too many background jobs still hold their output open")
        self.output, self._held = output, os.open(fifo, os.O_WRONLY | os.O_CLOEXEC)

    def ask(self) -> None:
        """Let the shell say its status as soon as it comes to it. No-op while it has not read what it was asked before: a pipe that
        no one reads is full one day."""
        unread = fcntl.ioctl(self._commands, termios.FIONREAD, bytes(4))
        if not any(unread):
            self._ask()

    def _ask(self) -> None:
        self._write(f"\\printf '%s %s\\n' {self._number} \"$?\" >&{STATUS}\n")

    def _write(self, line: str) -> None:
        try:
            os.write(self._commands, line.encode("utf-8", "surrogateescape"))
        except (BrokenPipeError, BlockingIOError):
            pass  # it has ended, as its pidfd says; or has much to read, and is asked again

    def look(self) -> bool:
        """Read what the shell says; True once the command has ended (then ``finish``)."""
        if self.status is None and self._readable(self._statuses):
            self._said += os.read(self._statuses, 4096)
            for line in self._said.split(b"\n")[:-1]:
                number, _, status = line.partition(b" ")
                if (
                    self.status is None and number == str(self._number).encode() and status.isdigit()
                ):  # a second is of the first `ask`
                    self.status = int(status)
            self._said = self._said.rpartition(b"\n")[2]
        return self.status is not None

    @staticmethod
    def _readable(fd: int) -> bool:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))

    def ended(self) -> int | None:
        """Return the status of the shell, as a shell gives it, if it has ended. It is reaped."""
        if not self._readable(self._process):
            return None
        _, how = os.waitpid(self.pid, 0)
        for fd in (self._process, self._commands, self._statuses):
            os.close(fd)
        code = os.waitstatus_to_exitcode(how)
        return code if code >= 0 else 128 - code

    def drain(self, take: Callable[[bytes], None], fd: int = -1) -> bool:
        """Give ``take`` what is there now; True at the end of the file."""
        fd = self.output if fd < 0 else fd
        while True:
            try:
                data = os.read(fd, 1 << 18)
            except BlockingIOError:
                return False
            if not data:
                return True
            take(data)
            if len(data) < 1 << 16:
                return False

    def finish(self, take: Callable[[bytes], None]) -> int:
        """Take the rest of the output of a command that has ended. Returns its FIFO, which background jobs may still
        hold, or -1.
        """
        while self._readable(self.output):
            self.drain(take)
        os.close(self._held)
        fifo, self.output, self._held = self.output, -1, -1
        for name in (f"out{self._number}", "prompt"):
            try:
                os.unlink(os.path.join(self._directory, name))
            except FileNotFoundError:
                pass  # the command removed it
        if self._closed(fifo):
            os.close(fifo)
            return -1
        return fifo

    @staticmethod
    def _closed(fifo: int) -> bool:
        """Return True if it has no writer left and is empty."""
        poll = select.poll()
        poll.register(fifo, select.POLLIN)
        return [how for _, how in poll.poll(0)] == [select.POLLHUP]

    def signal(self, number: int) -> None:
        """Signal the shell and all that it runs."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        """End the shell and what it runs; remove its files."""
        self.signal(signal.SIGKILL)
        for name in os.listdir(self._directory) if os.path.isdir(self._directory) else []:
            os.unlink(os.path.join(self._directory, name))
        if os.path.isdir(self._directory):
            os.rmdir(self._directory)


_SHOWN = re.compile(r"\x1b\[[0-9;:]*m|[\n\t\r\x20-\x7e\xa0-\U0010ffff]")


class Display:
    """What a terminal may see of a command's output: text and colours, nothing that the terminal would act on or answer."""

    LIMIT = 1 << 20  # bytes shown of one command

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._column = 0
        self.shown = 0

    def show(self, data: bytes) -> str:
        """Return the text to be written for ``data``."""
        before, self.shown = self.shown, self.shown + len(data)
        if before >= self.LIMIT:
            return ""
        text = self._rest + self._decoder.decode(data[: self.LIMIT - before])
        cut = text.rfind("\x1b", max(0, len(text) - 32))
        unfinished = cut >= 0 and re.fullmatch(r"\x1b(\[[0-9;:]*)?", text[cut:]) is not None
        text, self._rest = (text[:cut], text[cut:]) if unfinished else (text, "")
        return self._plain(text)

    def _plain(self, text: str) -> str:
        out = "".join(_SHOWN.findall(text))
        if out:
            self._column = 0 if out.endswith("\n") else 1
        return out

    def end(self) -> str:
        """Return what brings the cursor to the beginning of a row, colours off."""
        more = f"\n[{self.shown - self.LIMIT} bytes not shown]\n" if self.shown > self.LIMIT else ""
        if not more and self._column:
            more = "\n"
        return "\x1b[0m" + more
