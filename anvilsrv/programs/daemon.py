"""The daemon as a process: its log, its signals, its readiness, and its end. It holds its namespace (``place.py``); commands that
start and end it are in ``control.py``.

Signals: SIGTERM and SIGINT stop (agents are ended gently); SIGHUP replaces the daemon (agents run on).
"""

import faulthandler
import logging
import logging.handlers
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from anvilsrv.programs import successor
from anvilsrv.programs.place import Place

log = logging.getLogger("anvilsrv")

LOG_SIZE = 4 << 20  # bytes
DESCRIPTORS = 16384  # soft limit: each session has a socket, each client of each a connection
END_PATIENCE = 50.0  # s that an end may take before it is cut short
READY = "ANVILSRV_READY_FD"  # names the descriptor on which `start` waits for us
BROKEN = 70  # exit status, EX_SOFTWARE of sysexits.h: a thread of ours could not go on


def serve(place: Place, trace: bool, foreground: bool) -> int:
    """Run the daemon until a signal ends it; the exit status. Raises AnvilError when it cannot start."""
    from anvilsrv.app import App

    settle()
    umask = os.umask(0o077)  # the user's, which is for agents
    lock = place.take()
    successor.note_program(place.state)
    logged = start_logging(None if foreground else place.log)
    threading.excepthook = partial(die, BROKEN)
    signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    allow_descriptors()
    app = App(place.namespace, place.state, trace=print_trace if trace else None, umask=umask)
    try:
        app.start()
    except Exception:
        overdue(END_PATIENCE, partial(os._exit, 1))  # whether this goes wrong, or the threads that are left never end
        app.stop(agents=False)
        raise
    log.info("anvilsrv %d serves %s", os.getpid(), place.socket)
    tell_starter(f"ready {os.getpid()}")
    notify_ready()
    after = await_end(signals, place.state)
    log.info("anvilsrv %d: %s", os.getpid(), "replaced by a new one" if after else "stopping")
    notify("RELOADING=1" if after else "STOPPING=1")
    end = partial(become_new, lock, umask, after, place.namespace) if after else partial(os._exit, 1)
    in_time = overdue(END_PATIENCE, end)
    try:
        app.stop(agents=after is None)
    except Exception:  # the threads that are left would keep the process for ever
        log.exception("the end went wrong")
        end()
    in_time()
    if after is None:
        place.pid_file.unlink(missing_ok=True)
    logging.getLogger().removeHandler(logged)
    logged.close()
    signals.close()
    if after is not None:
        become_new(lock, umask, after, place.namespace)
    lock.close()
    return 0


def print_trace(line: str) -> None:
    """Print a 9P message where the trace goes."""
    print(line, file=sys.stderr, flush=True)


def await_end(signals: "Signals", state: Path) -> successor.Successor | None:
    """Wait for the signal that ends this daemon; what takes its place, if anything does.

    One whose program has gone, and that is not told of another, goes on: its agents would lose it for good.
    """
    while signals.wait() == signal.SIGHUP:
        found = successor.take(state)
        if not found.program.missing:
            return found
        log.error(
            "not replaced: %s is gone (anvilsrv restart, of another installation, replaces it)", found.program.missing
        )
    return None


def allow_descriptors() -> None:
    """Raise the soft limit of descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, DESCRIPTORS), hard))


def die(status: int, died: threading.ExceptHookArgs) -> None:
    """End the daemon, loudly, since a thread cannot go on; the service manager or ``start`` brings a new one.

    Half a daemon would answer some and keep the others waiting for ever. What was answered is on disk, and agents run on.
    """
    try:
        name = died.thread.name if died.thread is not None else "?"
        log.critical("thread %s cannot go on: the daemon ends", name, exc_info=died.exc_value)
    finally:
        os._exit(status)


def become_new(lock: IO[bytes], umask: int, after: successor.Successor, namespace: str) -> None:
    """Replace this program by another, or by what is installed in its place now; the namespace is held without a gap."""
    os.set_inheritable(lock.fileno(), True)
    os.environ["ANVILSRV_LOCK_FD"] = str(lock.fileno())
    os.umask(umask)
    successor.become(after, namespace)


def overdue(seconds: float, then: Callable[[], None]) -> Callable[[], None]:
    """After ``seconds`` write to standard error where each thread is, and call ``then``, unless the returned function
    is called first.

    What must not be lost is on disk before it is answered, so an end that takes too long may be cut short.
    """

    def give_up() -> None:
        log.error("did not end within %g s; the threads:", seconds)
        faulthandler.dump_traceback()
        then()

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError:  # the limit of threads is reached: the kernel ends the process, without words
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return lambda: signal.setitimer(signal.ITIMER_REAL, 0) and None
    return timer.cancel


def settle() -> None:
    """Undo what a parent may have left us: blocked signals, an ignored SIGCHLD (a child's exit status would be lost), and closed
    standard descriptors (then a pipe or socket would take their numbers).
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


class Signals:
    """Waits for signals in a read(2) of the wake-up descriptor: a handler that is only noted while the main thread sleeps in a lock may
    never run.
    """

    def __init__(self, *numbers: signal.Signals) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._write, False)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._numbers = numbers
        for number in numbers:
            signal.signal(number, lambda n, frame: None)

    def wait(self) -> int:
        """Return the first of them that came."""
        while True:
            [number] = os.read(self._read, 1)
            if number in self._numbers:
                return number

    def close(self) -> None:
        """Let go; further signals are still caught and do nothing."""
        signal.set_wakeup_fd(-1)
        os.close(self._read)
        os.close(self._write)


def start_logging(path: Path | None) -> logging.Handler:
    """Log to ``path``, or to standard error. What a full log held is kept once, as ``path.1``."""
    handler: logging.Handler = (
        logging.StreamHandler()
        if path is None
        else logging.handlers.RotatingFileHandler(path, maxBytes=LOG_SIZE, backupCount=1, encoding="utf-8")
    )
    journal = path is None and "JOURNAL_STREAM" in os.environ  # systemd's, which notes the time itself
    handler.setFormatter(
        logging.Formatter("%(levelname)s %(message)s" if journal else "%(asctime)s %(levelname)s %(message)s")
    )
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    return handler


def notify(state: str) -> None:
    """Tell the supervisor that started us, if it is one that listens (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError as error:
            log.warning("cannot notify '%s': %s", address, error.strerror)


def notify_ready() -> None:
    """Report that the socket is served."""
    notify(f"READY=1\nMAINPID={os.getpid()}")


def tell_starter(words: str) -> None:
    """Answer the ``start`` that waits for us, if one does."""
    number = os.environ.pop(READY, "")
    if not number.isdecimal():
        return
    try:
        os.write(int(number), words.encode())
    except BrokenPipeError:
        log.info("the start was interrupted")
    finally:
        os.close(int(number))
