"""What every test may use: a home of its own, and a daemon in it. Nothing outlives a test."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from anvilsrv import paths
from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client
from anvilsrv.tmux.tmux import Tmux
from tests.panes import tmux, top
from tests.suite import pytest_addoption, pytest_collection_modifyitems, pytest_terminal_summary

__all__ = ["pytest_addoption", "pytest_collection_modifyitems", "pytest_terminal_summary", "tmux", "top"]

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30.0  # s; the bound of every wait, far above what any of them takes

if os.environ.get("ANVILLM_TEST_TMUX"):  # the directory of another tmux than the machine's
    os.environ["PATH"] = f"{os.environ['ANVILLM_TEST_TMUX']}:{os.environ['PATH']}"


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Programs that tests start can be interrupted though we were started with SIGINT ignored (``nohup ./check &``)."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)  # as good as ignored, but not inherited over an exec


def wait_until(what: Callable[[], object], why: str, patience: float = PATIENCE) -> object:
    """Wait for something that has no event to wait for; the first true value. A file, process or row may not be there yet."""
    deadline = time.monotonic() + patience
    while True:
        missing: Exception | None = None
        try:
            if found := what():
                return found
        except (FileNotFoundError, ProcessLookupError, StopIteration) as error:
            missing = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:g} s: {why}") from missing
        threading.Event().wait(0.02)


def some(found: Iterable[T], what: str = "of them") -> list[T]:
    """Return all of what a test goes through, of which there must be one: a loop over nothing would prove nothing."""
    listed = list(found)
    assert listed, f"there is none {what}"
    return listed


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own: a browser's driver may keep a running loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@contextmanager
def terminal() -> Iterator[int]:
    """Yield a terminal, as the standard input of a program that wants one."""
    ours, theirs = os.openpty()
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


class Home:
    """A short-named directory with HOME, XDG directories and NAMESPACE, and the environment that points to them."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.home = top / "home"
        self.namespace = top / "ns"
        self.work = top / "work"
        for one in (self.home, self.namespace, self.work):
            one.mkdir(mode=0o700)
        drop = ("TMUX", "TMUX_PANE", "DISPLAY", "NOTIFY_SOCKET", "ANVILLM_SESSION", "XDG_RUNTIME_DIR")
        self.env = {k: v for k, v in os.environ.items() if k not in drop and not k.startswith(("ANVIL", "CLAUDE"))}
        self.env |= {
            "HOME": str(self.home),
            "NAMESPACE": str(self.namespace),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_STATE_HOME": str(self.home / ".local/state"),
            "XDG_DATA_HOME": str(self.home / ".local/share"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "ANVILLM_BEADS_PATH": str(self.home / ".beads"),
        }

    @property
    def config(self) -> Path:
        return self.home / ".config/anvillm"

    @property
    def socket(self) -> Path:
        return self.namespace / paths.SERVICE

    def run(self, *argv: str, **more: object) -> "subprocess.CompletedProcess[str]":
        """Run a program in this home to its end."""
        options: dict[str, object] = {
            "env": self.env,
            "capture_output": True,
            "text": True,
            "timeout": 60,
            "cwd": self.work,
        }
        return subprocess.run(argv, **(options | more))  # type: ignore[call-overload,no-any-return]

    @property
    def state(self) -> Path:
        """The state directory of its daemon, once there is one."""
        return next(path for path in (self.home / ".local/state/anvillm").iterdir() if path.is_dir())

    def anvilsrv(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run the command ``anvilsrv``."""
        return self.run(sys.executable, "-m", "anvilsrv.programs.cli", *argv)


class Daemon:
    """A daemon in the foreground of a home, as a child of the test; ``first`` is done in the child before.

    ``program``: what Python runs.
    """

    def __init__(
        self,
        home: Home,
        first: Callable[[], None] | None = None,
        program: tuple[str, ...] = ("-m", "anvilsrv.programs.cli"),
    ) -> None:
        self.home = home
        self.first = first
        self.program = program
        self.log = open(home.top / "daemon.log", "ab")  # noqa: SIM115
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[Client] = []

    def start(self) -> "Daemon":
        if self.process is not None:
            self.process.wait(PATIENCE)  # the one before
        argv = [sys.executable, *self.program, "fgstart"]
        self.process = subprocess.Popen(
            argv, env=self.home.env, cwd=self.home.work, stdout=self.log, stderr=self.log, preexec_fn=self.first
        )
        wait_until(self._answers, "the daemon does not serve")
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.words()
        try:
            with Client(str(self.home.socket), timeout=5) as client:
                client.read("list")
        except AnvilError:
            return False
        return True

    def words(self) -> str:
        """Return what it logged."""
        return (self.home.top / "daemon.log").read_text()

    def client(self, session: str | None = None) -> Client:
        """Return a connection to the daemon, closed with the test; with ``session`` as that session."""
        where = self.home.socket
        if session is not None:
            where = self.home.state / "sessions" / session / "ns" / paths.SERVICE
        made = Client(str(where), timeout=PATIENCE)
        self._clients.append(made)
        return made

    def kill(self) -> None:
        """Kill it with SIGKILL, at this instant."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        late = False
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                late = True
                self.process.kill()
                self.process.wait(PATIENCE)
        Tmux(self.home.namespace / "anvillm.tmux", pytest.fail).kill_server()
        self.log.close()
        assert not late, f"the daemon did not end within {PATIENCE:g} s of SIGTERM:\n{self.words()}"


@contextmanager
def temporary_home() -> Iterator[Home]:
    """Yield a home under a short path (socket names are short), gone at the end."""
    top = Path(tempfile.mkdtemp(prefix="av-", dir="/tmp"))
    try:
        yield Home(top)
    finally:
        subprocess.run(["rm", "-rf", top], check=False)  # some are deeper than Python goes


@pytest.fixture
def home() -> Iterator[Home]:
    """A home of the test's own."""
    with temporary_home() as made:
        yield made


@pytest.fixture
def daemon(home: Home) -> Iterator[Daemon]:
    """A running daemon in ``home``."""
    made = Daemon(home)
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def stopped_daemon(home: Home) -> Iterator[Daemon]:
    """A daemon that the test starts itself."""
    made = Daemon(home)
    try:
        yield made
    finally:
        made.close()
