"""Other people's 9P clients against the daemon: plan9port's 9p where it is installed, and pyroute2's."""

import os
import shutil
import signal
import socket
import subprocess

import pytest

from tests.conftest import Daemon, run_async
from tests.session import Session

NINE = shutil.which("9p") or shutil.which("9p", path=os.path.join(os.environ.get("PLAN9", "/usr/lib/plan9"), "bin"))
needs_9p = pytest.mark.skipif(NINE is None, reason="plan9port's 9p is not installed")


@needs_9p
def test_plan9ports_9p_does_all_that_the_documentation_shows(daemon: Daemon) -> None:
    def nine(*words: str, data: str = "") -> str:
        done = daemon.home.run(str(NINE), *words, input=data)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    nine("write", "agent/ctl", data=f"new shell {daemon.home.work} alias=bob\n")
    session = nine("read", "agent/list").splitlines()[-1].split()[0]
    Session(daemon, session).wait("idle")
    nine("write", f"agent/{session}/in", data="echo " + "x" * 9000 + "\n")
    assert nine("read", f"agent/{session}/out") == "x" * 9000 + "\n"
    assert {"ctl", "list", "events", session, "user"} <= set(nine("ls", "agent").split())
    assert "state" in nine("stat", f"agent/{session}/state")
    made = nine("rdwr", "agent/ctl", data=f"new shell {daemon.home.work}\n").split()
    assert made == [nine("read", "agent/list").splitlines()[-1].split()[0]]
    refused = daemon.home.run(str(NINE), "write", "agent/bob/alias", input="a b")
    assert refused.returncode == 1 and "invalid alias" in refused.stderr


@needs_9p
def test_control_c_on_a_blocked_9p_read_leaves_the_daemon_well(daemon: Daemon) -> None:
    agent = Session.new(daemon)
    with subprocess.Popen(
        [str(NINE), "read", "agent/events.0"], env=daemon.home.env, stdout=subprocess.PIPE
    ) as blocked:
        assert blocked.stdout is not None
        assert blocked.stdout.read(7) == b'{"seq":'
        blocked.send_signal(signal.SIGINT)
    assert agent.ask("echo well") == "well\n"


def test_pyroute2s_client_reads_and_writes(daemon: Daemon) -> None:
    plan9 = pytest.importorskip("pyroute2.plan9")
    from pyroute2.plan9.client import Plan9ClientSocket

    Session.new(daemon, "shell", "alias=bob")

    async def talk(sock: socket.socket) -> bytes:
        client = Plan9ClientSocket(use_socket=sock)
        try:
            await client.start_session()
            for name, mode in (("bob/alias", 1), ("list", 0)):
                fid = await client.fid(name)
                request = plan9.msg_topen()
                request["fid"], request["ifid"], request["mode"] = fid, fid, mode
                await client.request(request)
                if mode:
                    await client.write(fid, b"carol")
            return bytes((await client.read(fid))["data"])
        finally:
            client.close()

    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(daemon.home.socket))
        assert b"\tcarol\tidle\t" in run_async(talk(sock))
