"""The runit service, below a real runsv(8): up, ready, crashed, restarted, down; its log."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client
from tests.conftest import PATIENCE, ROOT, Home, wait_until

pytestmark = pytest.mark.skipif(shutil.which("runsv") is None, reason="no runsv: apt-get install runit")


class Service:
    """The service directory, its runsv, and the daemon below it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.directory = home.top / "sv/anvilsrv"
        shutil.copytree(ROOT / "services/runit", self.directory)
        home.env |= {
            "ANVILLM_USER": "root" if os.getuid() == 0 else "",
            "ANVILLM_RUN": "",
            "ANVILLM_PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANVILLM_LOG": str(self.log.parent),
            "SVWAIT": "30",
        }
        self.runsv = subprocess.Popen(["runsv", str(self.directory)], env=home.env, cwd=home.top)

    @property
    def log(self) -> Path:
        return self.directory / "log/main/current"

    def sv(self, *words: str) -> str:
        """Tell runsv; its answer."""
        return self.home.run("sv", *words, str(self.directory)).stdout

    def up(self) -> None:
        wait_until(lambda: self.sv("status").startswith(("run", "down")), "runsv does not supervise")
        assert self.sv("start").startswith("ok: run"), self.sv("status") + self.words()

    def words(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    @property
    def pid(self) -> int:
        return int((self.directory / "supervise/pid").read_text() or "0")

    def ask(self, prompt: str) -> str:
        """Prompt the session `one`; its response."""
        with Client(str(self.home.socket), timeout=PATIENCE) as client:
            client.write("one/in", prompt.encode())
            return client.read("one/out").decode()

    def close(self) -> None:
        self.sv("exit")
        try:
            self.runsv.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.runsv.kill()
            self.runsv.wait()
            raise
        subprocess.run(["tmux", "-S", f"{self.home.namespace}/anvillm.tmux", "kill-server"], capture_output=True)


@pytest.fixture
def service(home: Home) -> Iterator[Service]:
    made = Service(home)
    try:
        yield made
    finally:
        made.close()


def answers(socket: Path) -> bool:
    try:
        with Client(str(socket), timeout=5) as client:
            return bool(client.read("list"))
    except AnvilError:
        return False


def test_start_waits_until_it_serves_a_crash_keeps_the_agents_and_down_ends_them(service: Service) -> None:
    service.up()
    with Client(str(service.home.socket), timeout=PATIENCE) as client:
        client.write("ctl", f"new shell {service.home.work} alias=one\n".encode())
    shell, first = service.ask("echo $$"), service.pid

    os.kill(first, signal.SIGKILL)
    wait_until(lambda: service.pid not in (0, first) and answers(service.home.socket), "not started again")
    assert service.ask("echo $$") == shell, "the agent ran on through the crash"

    second = service.pid
    service.sv("hup")
    wait_until(lambda: service.words().count(f"anvilsrv {second} serves") == 2, "not replaced")
    assert service.pid == second
    assert service.ask("echo $$") == shell, "the agent ran on through the upgrade"

    with Client(str(service.home.socket), timeout=PATIENCE) as client:
        agent = int(client.read("one/pid"))
    assert service.sv("stop").startswith("ok: down"), service.words()
    wait_until(lambda: not Path(f"/proc/{agent}").exists(), "the agent outlived the service")
    assert service.home.run("sv", "check", str(service.directory)).stdout.startswith("ok: down")
    assert "stopping" in service.words()

    service.up()
    with Client(str(service.home.socket), timeout=PATIENCE) as client:
        assert client.read("one/state") == b"stopped\n"


def test_a_service_whose_namespace_is_held_is_not_ready_and_says_why(service: Service) -> None:
    service.up()
    other = service.home.top / "sv/other"
    shutil.copytree(ROOT / "services/runit", other)
    run = service.home.run(str(other / "run"), cwd=other)
    assert run.returncode == 1
    assert "is held by another anvilsrv" in run.stdout
    assert service.home.run(str(other / "check"), cwd=other).returncode == 0
    assert service.sv("stop").startswith("ok: down")
    assert service.home.run(str(other / "check"), cwd=other).returncode != 0
