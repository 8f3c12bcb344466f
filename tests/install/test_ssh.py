"""A daemon on another machine, by ssh(1): a real sshd on loopback, with keys and a configuration of its own."""

import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.p9.client import Client
from tests.conftest import PATIENCE, ROOT, Daemon, wait_until

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="no sshd: apt-get install openssh-server"),
    pytest.mark.skipif(os.getuid() == 0 and not os.access("/run", os.W_OK), reason="no /run to write to"),
]


class Far:
    """An sshd that lets the current user in, and how to call it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        top.mkdir(mode=0o700)
        for name in ("host", "me"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", top / name], check=True)
        shutil.copy(top / "me.pub", top / "authorized")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        settings = {
            "ListenAddress": f"127.0.0.1:{self.port}", "HostKey": top / "host", "AuthorizedKeysFile": top / "authorized",
            "PidFile": "none", "UsePAM": "no", "StrictModes": "no", "PasswordAuthentication": "no", "PermitRootLogin": "yes",
        }  # fmt: skip
        (top / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(
                mode=0o755, exist_ok=True
            )  # where it locks itself in; the system's own makes it too
        self.log = open(top / "log", "wb")  # noqa: SIM115
        self.process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", top / "sshd_config"], stderr=self.log)
        wait_until(self._listens, "sshd does not listen")

    def _listens(self) -> bool:
        assert self.process.poll() is None, (self.top / "log").read_text()
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def ssh(self, *argv: str) -> list[str]:
        """Return the command line; the last words are for the other side."""
        options = {"UserKnownHostsFile": self.top / "known", "StrictHostKeyChecking": "no", "IdentitiesOnly": "yes",
                   "LogLevel": "ERROR", "BatchMode": "yes", "ExitOnForwardFailure": "yes"}  # fmt: skip
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        name = pwd.getpwuid(os.getuid()).pw_name
        return ["ssh", "-F", "none", "-i", f"{self.top}/me", "-p", str(self.port), *words, f"{name}@127.0.0.1", *argv]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.close()


@pytest.fixture
def far(daemon: Daemon) -> Iterator[Far]:
    made = Far(daemon.home.top / "far")
    try:
        yield made
    finally:
        made.close()


def serves(box: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(f"{box}/agent") == 0


def test_a_forwarded_socket_is_a_namespace_like_any_other(daemon: Daemon, far: Far) -> None:
    box = daemon.home.top / "box"
    box.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{box}/agent")  # by an ssh before
    there = daemon.home.top / "ns.me.:0"  # as the default namespace is called
    there.symlink_to(daemon.home.namespace)
    spec = f"{box}/agent:{there}/agent".replace(".:", r".\:")
    forward = far.ssh("-nNT", "-o", "StreamLocalBindUnlink=yes", "-L", spec)
    with subprocess.Popen(forward, stdin=subprocess.DEVNULL) as tunnel:
        try:
            wait_until(lambda: serves(box) or tunnel.poll() is not None, "not forwarded")
            assert tunnel.poll() is None
            env = daemon.home.env | {"NAMESPACE": str(box)}
            anvil9p = (sys.executable, "-m", "anvilsrv.inside.anvil9p")
            new = f"new shell {daemon.home.work} alias=one\n"
            assert daemon.home.run(*anvil9p, "write", "agent/ctl", env=env, input=new).returncode == 0
            with (
                Client(str(box / "agent"), timeout=PATIENCE) as one,
                Client(str(box / "agent"), timeout=PATIENCE) as two,
            ):
                events = one.open("events").lines()
                two.write("one/in", b"echo through ssh")
                assert b'"type"' in next(iter(events))
                assert two.read("one/out") == b"through ssh\n"
        finally:
            tunnel.terminate()
            tunnel.wait(PATIENCE)


@pytest.mark.parametrize("page", ["docs/install.md", "man/anvilsrv.1"])
def test_ssh_understands_what_a_page_tells_it_to_forward(page: str) -> None:
    text = (ROOT / page).read_text().replace(r"\e", "\\")
    (words,) = re.findall(r"^ssh (.*-L .*) &$", text, re.MULTILINE)
    done = subprocess.run(["ssh", "-G", *shlex.split(words)], capture_output=True, text=True, check=False)
    assert "localforward /tmp/ns.box/agent /tmp/ns.alice.:0/agent" in done.stdout, done.stderr


def test_an_export_through_ssh_is_a_connection(daemon: Daemon, far: Far) -> None:
    near, there = socket.socketpair()
    command = f"NAMESPACE={daemon.home.namespace} {sys.executable} -m anvilsrv.programs.cli export"
    with subprocess.Popen(far.ssh(command), stdin=there, stdout=there) as ssh:
        there.close()
        with near, Client(near, timeout=PATIENCE) as client:
            made = client.write_read("ctl", f"new shell {daemon.home.work}".encode()).decode().strip()
            client.write(f"{made}/in", b"echo $((6 * 7))")
            assert client.read(f"{made}/out") == b"42\n"
        assert ssh.wait(PATIENCE) == 0
