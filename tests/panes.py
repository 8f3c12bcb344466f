"""A tmux server and a stand-in for the daemon's ``hook`` file, both in a short-named directory of the test's own."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pexpect
import pytest

from anvilsrv.p9 import tree
from anvilsrv.p9.server import Server
from anvilsrv.tmux.screen import Screen
from anvilsrv.tmux.tmux import Tmux

PYTHON = os.path.realpath(sys.executable)
SOURCE = Path(__file__).resolve().parent.parent / "anvilsrv"
SESSION = "ab12cd34"
PATIENCE = 20.0  # s; the bound of every wait


class HookFile(tree.File):
    """``<id>/hook``: takes one JSON object and gives the reply that ``answer(report)`` returns (None: later, by ``release``)."""

    mode = 0o600

    def __init__(self, daemon: "Daemon") -> None:
        super().__init__("hook")
        self.daemon = daemon

    def open(self, who: Any, mode: int, req: tree.Request) -> tree.Handle:
        return HookHandle(self.daemon)


class HookHandle(tree.Handle):
    def __init__(self, daemon: "Daemon") -> None:
        self.daemon, self.data = daemon, b""
        self.reply: bytes | None = None

    def write(self, offset: int, data: bytes, req: tree.Request) -> int:
        self.data += data
        try:
            report = json.loads(self.data)
        except ValueError:
            return len(data)
        self.data = b""
        self.daemon.reports.put(report)
        answer = self.daemon.answer(report)
        self.reply = None if answer is None else json.dumps(answer).encode()
        return len(data)

    def read(self, offset: int, count: int, req: tree.Request) -> bytes | tree.Later:
        if self.reply is None:
            self.daemon.waiting.append((self, req))
            return tree.LATER
        return self.reply[offset : offset + count]


class Daemon:
    """Listens at ``<top>/ns/agent`` once ``start`` was called; keeps what was reported."""

    def __init__(self, top: Path) -> None:
        self.namespace = top / "ns"
        (self.namespace / "spool").mkdir(parents=True)
        self.reports: queue.Queue[dict[str, Any]] = queue.Queue()
        self.waiting: list[tuple[HookHandle, tree.Request]] = []
        self.answer: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda report: {}
        self.server: Server | None = None

    @property
    def env(self) -> dict[str, str]:
        return {"NAMESPACE": str(self.namespace), "ANVILLM_SESSION": SESSION}

    def start(self) -> None:
        hook = HookFile(self)
        root = tree.StaticDir("/", [tree.StaticDir(SESSION, [hook])])
        self.server = Server()
        self.server.listen(str(self.namespace / "agent"), root)
        self.server.start()

    def release(self, answer: dict[str, Any]) -> None:
        """Answer the report that waits."""
        deadline = time.monotonic() + PATIENCE
        while not self.waiting:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        handle, req = self.waiting.pop(0)
        handle.reply = json.dumps(answer).encode()
        req.done(handle.reply)

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None
            (self.namespace / "agent").unlink(missing_ok=True)

    def silent(self, seconds: float) -> bool:
        """Return whether nothing is reported for so long."""
        try:
            self.reports.put(self.reports.get(timeout=seconds))
        except queue.Empty:
            return True
        return False

    def next(self, hook: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Return the payload of the next report, which must be ``hook``."""
        report = self.reports.get(timeout=patience)
        assert report["hook"] == hook, report
        payload = report["payload"]
        assert isinstance(payload, dict)
        return payload

    def spooled(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_bytes()) for file in sorted((self.namespace / "spool").glob("*.json"))]


@pytest.fixture
def top() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="avt.", dir="/tmp"))
    yield made
    deadline = time.monotonic() + PATIENCE
    while made.exists():  # what ran there may be taking its own files away just now
        assert time.monotonic() < deadline, f"{made} is written to still"
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def daemon(top: Path) -> Iterator[Daemon]:
    made = Daemon(top)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def tmux(top: Path) -> Iterator[Tmux]:
    errors: list[BaseException] = []
    made = Tmux(top / "tmux", errors.append)
    made.ensure()
    yield made
    made.kill_server()
    made.close()
    assert errors == []


def server_pid(tmux: Tmux) -> int:
    return int(tmux.command("display-message", "-p", "#{pid}")[0])


def control_clients(tmux: Tmux) -> list[int]:
    """Return the pids of the control clients that are attached."""
    rows = tmux.command("list-clients", "-F", "#{client_control_mode} #{client_pid}")
    return [int(row.split()[1]) for row in rows if row.startswith("1 ")]


def detach_all(tmux: Tmux) -> None:
    """As a person can: every client, ours too."""
    subprocess.run(["tmux", "-S", str(tmux.socket), "detach-client", "-s", "=anvillm"], check=True, timeout=PATIENCE)


@contextmanager
def stopped(pid: int, seconds: float) -> Iterator[None]:
    """Stop a process for ``seconds``, as on a machine that is too busy; it runs again at the end."""
    fd = os.pidfd_open(pid)
    go_on = threading.Timer(seconds, signal.pidfd_send_signal, (fd, signal.SIGCONT))
    signal.pidfd_send_signal(fd, signal.SIGSTOP)
    go_on.start()
    try:
        yield
    finally:
        go_on.cancel()
        go_on.join()
        with suppress(ProcessLookupError):  # it was ended
            signal.pidfd_send_signal(fd, signal.SIGCONT)
        os.close(fd)


@contextmanager
def person(tmux: Tmux, window: str, rows: int = 24, columns: int = 80, **env: str) -> Iterator["pexpect.spawn[bytes]"]:
    """Somebody who looks at an agent's window in a terminal of that size, by the line that he is given for it."""
    command = tmux.attach_command(window)
    terminal = pexpect.spawn(
        "sh",
        ["-c", command],
        env={**os.environ, "TERM": "xterm-256color", **env},
        timeout=PATIENCE,
        dimensions=(rows, columns),
    )
    try:
        terminal.expect_exact(b"\x1b[?1049h")
        yield terminal
    finally:
        terminal.close(force=True)


@contextmanager
def wheel(terminal: "pexpect.spawn[bytes]") -> Iterator[None]:
    """He turns the wheel of his mouse up and down, without pause."""
    over = threading.Event()

    def turn() -> None:
        while not over.is_set():
            for button in (64, 64, 65, 65, 65):
                terminal.send(f"\x1b[<{button};5;5M")
            with suppress(pexpect.TIMEOUT):
                terminal.read_nonblocking(1 << 16, timeout=0.001)  # or his terminal would come to a stop

    turning = threading.Thread(target=turn)
    turning.start()
    try:
        yield
    finally:
        over.set()
        turning.join()


def wait_screen(tmux: Tmux, pane: str, check: Callable[[Screen], object], patience: float = PATIENCE) -> Screen:
    """Wait until what the pane shows satisfies ``check``."""
    deadline = time.monotonic() + patience
    with tmux.watch(pane) as watch:
        while not check(screen := tmux.screen(pane)):
            left = deadline - time.monotonic()
            assert left > 0, "\n".join(screen.lines).rstrip()
            watch.wait(min(left, 0.5))
    return screen


def shows(text: str) -> Callable[[Screen], bool]:
    return lambda screen: text in "\n".join(screen.lines)
