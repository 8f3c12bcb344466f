"""Whatever `anvilsrv start` inherits from its parent, the daemon is one like any other, or one line says why not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from anvilsrv.programs.place import Place
from tests.conftest import Home, wait_until

ANVILSRV = (sys.executable, "-m", "anvilsrv.programs.cli")


def close(*numbers: int) -> Callable[[], None]:
    return lambda: [os.close(number) for number in numbers] and None


def ignore(*numbers: signal.Signals) -> Callable[[], None]:
    return lambda: [signal.signal(number, signal.SIG_IGN) for number in numbers] and None


def gone() -> None:
    """Be in a directory that is no more."""
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")


SURROUNDINGS: dict[str, Callable[[], object]] = {
    "SIGCHLD is ignored": ignore(signal.SIGCHLD),
    "the signals that end it are ignored": ignore(signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
    "all signals are blocked": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()),
    "standard input is closed": close(0),
    "standard input and output are closed": close(0, 1),
    "all three are closed": close(0, 1, 2),
    "its directory is gone": gone,
}


@pytest.fixture
def place(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    place = Place()
    yield place
    if pid := place.holder():
        os.kill(pid, signal.SIGKILL)


def obeys(home: Home, place: Place) -> None:
    """The daemon is known to status, and a SIGTERM ends it in order."""
    shown = home.anvilsrv("status")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    pid = place.holder()
    assert pid
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: place.holder() is None, "it does not end")
    assert not place.pid_file.exists()
    assert "Traceback" not in place.log.read_text()


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
def test_the_daemon_starts_and_obeys_in_strange_surroundings(home: Home, place: Place, surrounding: str) -> None:
    done = subprocess.run(
        [*ANVILSRV, "start"],
        env=home.env,
        cwd=home.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=SURROUNDINGS[surrounding],
    )
    assert done.returncode == 0, done.stderr
    assert home.anvilsrv("stop").returncode == 0
    again = subprocess.run(
        [*ANVILSRV, "start"], env=home.env, cwd=home.work, timeout=60, preexec_fn=SURROUNDINGS[surrounding]
    )
    assert again.returncode == 0
    obeys(home, place)


def test_a_start_that_is_interrupted_leaves_a_daemon_that_is_known_and_obeys(home: Home, place: Place) -> None:
    with subprocess.Popen(
        [*ANVILSRV, "start"], env=home.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as one:
        wait_until(place.log.exists, "nothing is started")
        one.send_signal(signal.SIGINT)
        assert one.wait(20) == 1
    wait_until(home.socket.exists, "it does not serve")
    obeys(home, place)


def without(what: str, allowed: int) -> str:
    """A program that is ``anvilsrv`` but for ``what`` of the system failing after so many successes, as at the limit of processes."""
    error = (
        'RuntimeError("can\'t start new thread")' if "Thread" in what else "BlockingIOError(11, 'no process to be had')"
    )
    return (
        f"import itertools, os, sys, threading\ncount = itertools.count()\nreal = {what}\n"
        f"def limited(*args):\n    if next(count) >= {allowed}:\n        raise {error}\n    return real(*args)\n"
        f"{what} = limited\nfrom anvilsrv.programs.cli import main\nmain()"
    )


@pytest.mark.parametrize("forks", [0, 1])
def test_a_start_at_the_limit_of_processes_says_so_and_leaves_nothing(home: Home, place: Place, forks: int) -> None:
    done = home.run(sys.executable, "-c", without("os.fork", forks), "start")
    assert (done.returncode, done.stderr) == (1, "anvilsrv: cannot start a process: no process to be had\n")
    assert place.holder() is None


@pytest.mark.parametrize("threads", [0, 1, 2, 5, 7])
def test_a_daemon_that_gets_no_more_threads_while_it_starts_ends_and_says_why(
    home: Home, place: Place, threads: int
) -> None:
    done = home.run(sys.executable, "-c", without("threading.Thread.start", threads), "fgstart")
    assert done.returncode == 1
    assert "can't start new thread" in done.stderr
    assert place.holder() is None and not home.socket.exists()


def test_a_daemon_at_the_limit_of_threads_obeys(home: Home, place: Place) -> None:
    full = (
        "import sys, threading\nfrom anvilsrv.programs import daemon\n"
        "from anvilsrv.programs.place import Place\n"
        'def full(self):\n    raise RuntimeError("can\'t start new thread")\n'
        "def ready():\n    threading.Thread.start = full\n    print('ready', flush=True)\n"
        "daemon.notify_ready = ready\nsys.exit(daemon.serve(Place(), False, True))"
    )
    with subprocess.Popen([sys.executable, "-c", full], env=home.env, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
        one.terminate()
        assert one.wait(30) == 0
    assert place.holder() is None
