"""Who runs whom in the full tier, and how signals, the terminal and the exit status pass between them.

    keeper    the process that was started: outside, waits, forwards signals, ends as the agent ended
    init      process 1 inside: reaps, forwards; dies with the keeper, and everything inside dies with init
    agent     session leader inside, in front on the terminal

Each is single-threaded. What init tells the keeper is a kind, a length and that many bytes: ``e`` the exit status,
``k`` the signal it died of, ``s`` the signal that stopped it, ``r`` a sentence of refusal.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import time

from sandbox import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from sandbox.listeners import Held
else:
    import _signal as signal  # the package signal imports enum: 6 ms

FORWARDED = tuple(
    getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM")
)
FRONT = signal.SIGRTMIN  # keeper to init: let the agent have the terminal again, and continue it
TIOCNOTTY, TIOCSCTTY = 0x5422, 0x540E
HANGUP_GRACE = 5.0  # seconds an agent has when its terminal is gone


def terminal() -> int | None:
    """Return the first of the standard descriptors that is our controlling terminal."""
    for fd in (0, 1, 2):
        try:
            os.tcgetpgrp(fd)
        except OSError:
            continue
        return fd
    return None


class Tty:
    """How the agent comes to the terminal.

    ``given``: we lead the session (a tmux pane), so the terminal is released and the agent's new session takes it.
    ``shared``: a user's shell leads it; the agent becomes the foreground group and its stops are passed on.
    ``none``: no terminal; the agent has a session of its own.
    """

    def __init__(self) -> None:
        found = terminal()
        self.fd = -1 if found is None else found
        self.name = os.ttyname(self.fd) if found is not None else None
        self.mode = "none" if found is None else "given" if os.getsid(0) == os.getpid() else "shared"
        self.in_front = self.mode == "shared" and os.tcgetpgrp(self.fd) == os.getpgrp()

    def release(self) -> None:
        """Release the terminal, by the keeper, before it starts init."""
        if self.mode == "given":
            before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # TIOCNOTTY sends it to us
            fcntl.ioctl(self.fd, TIOCNOTTY)
            signal.signal(signal.SIGHUP, before)

    def take(self) -> None:
        """Take the terminal, by the agent, before its exec."""
        if self.mode == "shared":
            os.setpgid(0, 0)
            if self.in_front:
                front(self.fd, os.getpid())
            return
        os.setsid()
        if self.mode == "given":
            fcntl.ioctl(self.fd, TIOCSCTTY, 0)

    def reopen(self) -> None:
        """Open the same terminal again, by the agent, inside, by the name it has there, so that ``> /dev/stderr`` finds
        it.
        """
        if self.mode == "none":
            return
        try:
            inside = os.open("/dev/console", os.O_RDWR | os.O_NOCTTY)
        except FileNotFoundError:  # its name outside was not ours to open
            return
        for fd in (0, 1, 2):
            if os.fstat(fd).st_rdev == os.fstat(inside).st_rdev:
                os.dup2(inside, fd)
        os.close(inside)


def front(fd: int, group: int) -> None:
    """Make a process group the foreground of the terminal, also from the background."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(fd, group)
    except OSError as error:
        if error.errno not in (5, 25):  # the terminal is gone: EIO, ENOTTY
            raise
    finally:
        signal.signal(signal.SIGTTOU, before)


def die_with_parent(alive: int) -> None:
    """Be killed when the parent dies; ``alive`` is a pipe that only the parent holds open for writing."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, int(signal.SIGKILL))
    poll = select.poll()
    poll.register(alive, 0)
    if poll.poll(0):  # it died before we asked
        os._exit(126)


def run_init(agent: int, report: int, tty: Tty) -> None:
    """Process 1: reap everything, forward signals to the agent, report how it ended, end. Never returns."""

    def resume(number: int, _frame: object) -> None:
        if number == FRONT:
            front(tty.fd, agent)
        os.killpg(agent, signal.SIGCONT)

    for number in FORWARDED:
        signal.signal(number, lambda number, _frame: _kill(agent, number))
    signal.signal(signal.SIGCONT, resume)
    signal.signal(FRONT, resume)
    while True:
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if pid != agent:
            continue
        if os.WIFSTOPPED(status):
            tell(report, b"s", bytes([os.WSTOPSIG(status)]))
            continue
        if os.WIFSIGNALED(status):
            tell(report, b"k", bytes([os.WTERMSIG(status)]))
        else:
            tell(report, b"e", bytes([os.WEXITSTATUS(status)]))
        os._exit(0)


def tell(report: int, kind: bytes, value: bytes) -> None:
    """Say something to the keeper; at most 255 bytes of it."""
    os.write(report, kind + bytes([len(value[:255])]) + value[:255])


class Ending:
    """How the agent ended: ``kind`` e or k, ``number`` the exit status or the signal, and the sentence of a refusal."""

    def __init__(self) -> None:
        self.kind, self.number, self.sentence = b"", 0, ""

    def because(self, why: str) -> Ending:
        """Return the same, with a reason that is known from elsewhere, if there is one."""
        self.sentence = why or self.sentence
        return self


def keep(init: int, report: int, tty: Tty, held: Held) -> Ending:
    """Run the keeper's loop, until init and with it everything inside is gone."""
    for number in FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _frame: _kill(init, number))
    poll = select.poll()
    poll.register(report, select.POLLIN)
    if tty.mode == "given":
        poll.register(tty.fd, 0)  # only to hear that it hung up
    ending, deadline, door = Ending(), None, -1
    while True:
        if door != held.fileno():
            door = _watch_door(poll, door, held.fileno())
        for fd, event in poll.poll(_patience(deadline, held.wait())):
            if fd == door:
                held.hear()
            elif fd == report and event & select.POLLIN:
                _hear(init, report, tty, ending)
            elif fd == report:
                return _last_words(init, ending, tty)
            else:
                poll.unregister(fd)
                deadline = time.monotonic() + HANGUP_GRACE  # the kernel has sent SIGHUP to the agent
        if deadline is not None and time.monotonic() >= deadline:
            _kill(init, signal.SIGKILL)
            deadline = None
        held.look()


def _watch_door(poll: select.poll, before: int, now: int) -> int:
    """Have ``poll`` watch the connection to the door, which is another one, or gone (-1)."""
    if before >= 0:
        poll.unregister(before)
    if now >= 0:
        poll.register(now, select.POLLIN)
    return now


def _patience(deadline: float | None, door: float | None) -> float | None:
    """Return the milliseconds until the first of what is due; None if nothing is."""
    waits = [door] if door is not None else []
    waits += [max(0.0, deadline - time.monotonic())] if deadline is not None else []
    return min(waits) * 1000 if waits else None


def _hear(init: int, report: int, tty: Tty, ending: Ending) -> None:
    kind, length = os.read(report, 1), os.read(report, 1)
    value = os.read(report, length[0])  # written in one piece, and smaller than a pipe's
    if kind == b"s":
        _stop_with(init, tty)
    elif kind == b"r":
        ending.sentence = value.decode(errors="replace")
    else:
        ending.kind, ending.number = kind, value[0]


def _last_words(init: int, ending: Ending, tty: Tty) -> Ending:
    _, status = os.waitpid(init, 0)
    if tty.in_front:
        front(tty.fd, os.getpgrp())  # a script that goes on after us still owns the terminal
    if not ending.kind:
        died = os.WIFSIGNALED(status)
        ending.kind, ending.number = (b"k", os.WTERMSIG(status)) if died else (b"e", os.WEXITSTATUS(status))
    return ending


def _stop_with(init: int, tty: Tty) -> None:
    """Stop with the agent, which stopped (Ctrl-Z) on a terminal that a shell shares with us, so that the shell goes on."""
    if tty.mode != "shared":
        return
    os.kill(os.getpid(), signal.SIGSTOP)
    _kill(init, FRONT if os.tcgetpgrp(tty.fd) == os.getpgrp() else signal.SIGCONT)


def end_as(ending: Ending, status_file: str) -> None:
    """Leave the status in the file, if one was asked for; exit with it, or die of the agent's signal. Never returns."""
    number = ending.number
    write_status(status_file, number + (128 if ending.kind == b"k" else 0), ending.sentence)
    if ending.kind == b"k":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        number += 128
    os._exit(number)


def write_status(path: str, code: int, sentence: str) -> None:
    """Write ``<code>`` and, if there is one, the sentence on a second line; whole or not at all."""
    if not path:
        return
    try:
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(f"{code}\n{sentence}\n" if sentence else f"{code}\n")
        os.replace(path + ".new", path)
    except OSError as error:
        os.write(2, f"anvil-sandbox: {path}: {error.strerror}\n".encode())


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
