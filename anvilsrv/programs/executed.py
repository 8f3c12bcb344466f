"""Which programs a command runs until it ends: a wrapper (a shim of a version manager, a script that executes another program) does not
say what it wraps. The kernel tells each exec of a process that is traced (ptrace(2)).

Threads: none may run beside: it forks, and takes the states of all children that it has.
"""

import contextlib
import ctypes
import os
import signal
import threading
from collections.abc import Sequence

TRACEME, CONT, SETOPTIONS = 0, 7, 0x4200
EXEC, EXITKILL = 4, 0x100000  # the event, and the option that ends them with us
OPTIONS = EXITKILL | 0x02 | 0x04 | 0x08 | 0x10  # forks, vforks, threads, execs
WALL = 0x40000000


def executed(argv: Sequence[str], patience: float) -> list[str] | None:
    """Return the paths of what ``argv`` executed, and of scripts that were given to an interpreter, in order; None if
    it failed, was not over after ``patience`` s, or cannot be traced here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    child = os.fork()
    if not child:
        _become(libc, argv)
    timer = threading.Timer(patience, lambda: _kill(child))
    timer.start()
    try:
        return _follow(libc, child)
    finally:
        timer.cancel()
        timer.join()


def _become(libc: ctypes.CDLL, argv: Sequence[str]) -> None:
    """Become the program, in the child; never returns."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        if libc.ptrace(TRACEME, 0, None, None) == 0:
            os.execv(argv[0], list(argv))
    finally:
        os._exit(127)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _follow(libc: ctypes.CDLL, child: int) -> list[str] | None:
    found: list[str] = []
    known: set[int] = set()
    while True:
        pid, status = os.waitpid(-1, WALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if pid == child:
                return found if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 and known else None
            continue
        number, event = os.WSTOPSIG(status), status >> 16
        if pid == child and not known:  # its first exec
            libc.ptrace(SETOPTIONS, pid, None, OPTIONS)
            event = EXEC
        if event == EXEC:
            found += [one for one in _named(pid) if one not in found]
        begins = pid not in known and number == signal.SIGSTOP
        known.add(pid)
        libc.ptrace(CONT, pid, None, 0 if event or begins or number == signal.SIGTRAP else number)


def _named(pid: int) -> list[str]:
    """Return what a process runs: its file, and of an interpreter the script that it was given."""
    try:
        program = os.readlink(f"/proc/{pid}/exe")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = [os.fsdecode(word) for word in file.read().split(b"\0")]
    except OSError:
        return []
    return [program, *(word for word in words[1:3] if word.startswith("/") and os.path.isfile(word))]
