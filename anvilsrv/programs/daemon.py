"""The daemon as a process: its lock, its pid file, its log, its signals, and how it goes into the background.

One daemon holds one namespace: it keeps a lock (fcntl(2), open file description) on ``<state>/lock`` for as long as it
lives, and the kernel drops it with the process, so a stale pid file cannot deceive anybody. ``$NAMESPACE`` itself is
checked as plan9port does.

Signals: SIGTERM and SIGINT stop (agents are ended gently); SIGHUP replaces the daemon (agents run on).
"""

import contextlib
import faulthandler
import fcntl
import logging
import logging.handlers
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NoReturn

from anvilsrv import paths
from anvilsrv.errors import AnvilError, Conflict, Invalid, Unavailable
from anvilsrv.programs import successor
from sandbox import outside

log = logging.getLogger("anvilsrv")

LOG_SIZE = 4 << 20  # bytes
FLOCK = "hhqqi4x"  # struct flock where off_t has 64 bits
START_PATIENCE = 20.0  # s that `start` waits for the socket
DESCRIPTORS = 16384  # soft limit: each session has a socket, each client of each a connection
NAMESPACE_MAX = 107 - len(f"/{paths.TMUX}")  # bytes: unix(7), struct sockaddr_un
END_PATIENCE = 50.0  # s that an end may take before it is cut short
BROKEN = 70  # exit status, EX_SOFTWARE of sysexits.h: a thread of ours could not go on
STOP_PATIENCE = 60.0  # s that `stop` waits for the end


class Place:
    """The files of one namespace's daemon."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace or paths.namespace()
        self.state = paths.state_dir(self.namespace)
        self.socket = Path(self.namespace) / paths.SERVICE
        self.tmux = Path(self.namespace) / paths.TMUX
        self.lock = self.state / "lock"
        self.pid_file = self.state / "pid"
        self.log = self.state / "anvilsrv.log"

    @property
    def deleted(self) -> bool:
        """Whether the socket is gone, as when someone has cleared /tmp; a daemon that runs does not notice."""
        return not os.path.lexists(self.socket)

    def holder(self) -> int | None:
        """Return the pid of the daemon that holds the namespace, None if there is none (0: one that is only just
        starting).
        """
        try:
            with open(self.lock, "rb") as file:
                kind = struct.unpack(
                    FLOCK, fcntl.fcntl(file, fcntl.F_OFD_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
                )[0]
        except FileNotFoundError:
            return None
        if kind == fcntl.F_UNLCK:
            return None
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return 0

    def check(self) -> None:
        """Raise Invalid for a namespace in which no agent could run."""
        if not self.namespace.startswith("/"):
            raise Invalid(f"NAMESPACE must be an absolute path, not '{self.namespace}'")
        if len(os.fsencode(self.namespace)) > NAMESPACE_MAX:
            raise Invalid(f"NAMESPACE is too long for the socket of tmux in it: at most {NAMESPACE_MAX} bytes")

    def take(self) -> IO[bytes]:
        """Become the daemon of the namespace: the lock's file, to be kept open.

        Raises Conflict when another is, Invalid for a namespace in which no agent could run.
        """
        self.check()
        paths.private_dir(self.namespace)
        paths.private_dir(self.state)
        inherited = os.environ.pop("ANVILSRV_LOCK_FD", "")
        if inherited.isdecimal():
            return open(int(inherited), "ab")
        file = open(self.lock, "ab")  # noqa: SIM115
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
        except (BlockingIOError, PermissionError):
            file.close()
            raise Conflict(
                f"namespace '{self.namespace}' is held by another anvilsrv (pid {self.holder() or '?'})"
            ) from None
        self.pid_file.write_text(f"{os.getpid()}\n")
        return file


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


def start(place: Place) -> int:
    """Start a daemon in the background and wait until it serves; its pid. Raises AnvilError with its last words.

    A start that is interrupted while it waits leaves the daemon to go on.
    """
    running = place.holder()
    if running is not None:
        raise Conflict(f"already running (pid {running or '?'})")
    paths.private_dir(place.state)
    settle()
    ready, told = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(ready)
        os.close(told)
        raise Unavailable(f"cannot start a process: {error.strerror}") from None
    if pid == 0:
        _child(place, ready, told)
    os.close(told)
    with open(ready, "rb") as file:
        os.waitpid(pid, 0)
        said = file.read().decode("utf-8", "replace")
    if not said.startswith("ready "):
        raise Unavailable(said.strip() or f"anvilsrv did not start: see {place.log}")
    return int(said.split()[1])


def _child(place: Place, ready: int, told: int) -> NoReturn:
    """Become, between fork and exec, a session of its own, without a terminal, and a new program that reports through
    ``told``. Never returns.
    """
    try:
        os.close(ready)
        os.setsid()
        if os.fork():
            os._exit(0)
        null = os.open(os.devnull, os.O_RDWR)
        out = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for number, fd in ((0, null), (1, out), (2, out)):
            os.dup2(fd, number)
        os.set_inheritable(told, True)
        os.chdir("/")
        os.environ["ANVILSRV_READY_FD"] = str(told)
        os.execv(sys.executable, outside.python("anvilsrv.programs.cli", "serve"))
    except OSError as error:
        with contextlib.suppress(OSError):  # the starter is gone too
            os.write(told, f"cannot start a process: {error.strerror}".encode())
    finally:  # also when Ctrl-C came before the new session: what the parent would do is not for us
        os._exit(1)


def tell_starter(words: str) -> None:
    """Answer the ``start`` that waits for us, if one does."""
    number = os.environ.pop("ANVILSRV_READY_FD", "")
    if not number.isdecimal():
        return
    try:
        os.write(int(number), words.encode())
    except BrokenPipeError:
        log.info("the start was interrupted")
    finally:
        os.close(int(number))


def stop(place: Place) -> None:
    """End the daemon and wait until it is gone. Raises Unavailable when there is none, or it does not end."""
    pid = place.holder()
    if not pid:
        place.pid_file.unlink(missing_ok=True)
        raise Unavailable(f"anvilsrv is not running in namespace '{place.namespace}'")
    end(pid, signal.SIGTERM)


def end(pid: int, number: signal.Signals) -> None:
    """Signal a daemon and wait (poll(2) on its pidfd) until it is gone. Raises Unavailable."""
    import select

    with reaching(pid):
        fd = os.pidfd_open(pid)
    try:
        with reaching(pid):
            signal.pidfd_send_signal(fd, number)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if not poll.poll(STOP_PATIENCE * 1000):
            raise Unavailable(f"anvilsrv {pid} did not end within {STOP_PATIENCE:g} s")
    finally:
        os.close(fd)


@contextlib.contextmanager
def reaching(pid: int) -> Iterator[None]:
    """Signal a daemon in here: it may be gone by now, or its number be that of another container. Raises Unavailable."""
    try:
        yield
    except ProcessLookupError:
        raise Unavailable(f"anvilsrv {pid} has just ended, or runs in another container") from None


def restart(place: Place) -> int:
    """Replace the daemon by this program, with what agents may get of this environment; agents run on. Its pid (the same, since it
    execs). Raises Unavailable.

    This also helps where the daemon's socket was deleted, or tmux's: both are made again.
    """
    from anvilsrv.p9.client import Client

    pid = place.holder()
    if not pid:
        return start(place)
    successor.of_caller().leave(place.state)
    if place.deleted:  # the daemon that recreates it is the new one
        with reaching(pid):
            os.kill(pid, signal.SIGHUP)
        wait_for(place, START_PATIENCE + END_PATIENCE)
        return pid
    with Client(str(place.socket)) as client:
        events = client.open("events")
        with reaching(pid):
            os.kill(pid, signal.SIGHUP)
        try:
            for _ in events.lines():
                pass
        except AnvilError:
            pass  # the old daemon hung up: that is what we wait for
    wait_for(place, START_PATIENCE)
    return pid


def wait_for(place: Place, patience: float) -> None:
    """Wait until the daemon of ``place`` answers. Raises Unavailable."""
    from anvilsrv.p9.client import Client

    deadline = time.monotonic() + patience
    while True:
        try:
            with Client(str(place.socket), timeout=patience) as client:
                client.read("list")
            return
        except AnvilError as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"anvilsrv does not answer: {error}") from None
            threading.Event().wait(0.02)
