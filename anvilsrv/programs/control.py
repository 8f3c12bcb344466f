"""The daemon from outside: started in the background, ended, replaced by this program, and waited for."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

from anvilsrv import paths
from anvilsrv.errors import AnvilError, Conflict, Unavailable
from anvilsrv.programs import successor
from anvilsrv.programs.daemon import END_PATIENCE, READY, settle
from anvilsrv.programs.place import Place
from sandbox import outside

START_PATIENCE = 20.0  # s that `start` waits for the socket
STOP_PATIENCE = 60.0  # s that `stop` waits for the end


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
        os.environ[READY] = str(told)
        os.execv(sys.executable, outside.python("anvilsrv.programs.cli", "serve"))
    except OSError as error:
        with contextlib.suppress(OSError):  # the starter is gone too
            os.write(told, f"cannot start a process: {error.strerror}".encode())
    finally:  # also when Ctrl-C came before the new session: what the parent would do is not for us
        os._exit(1)


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
