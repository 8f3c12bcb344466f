"""Other people's clients against our server: plan9port's ``9p``, and pyroute2's."""

import asyncio
import os
import signal
import socket
import subprocess

import pytest
from pyroute2.plan9 import msg_tclunk, msg_topen, msg_tstat
from pyroute2.plan9.client import Plan9ClientSocket

from anvilsrv.p9.client import Client
from tests.conftest import run_async
from tests.inside.test_anvil9p import THEIRS

needs_9p = pytest.mark.skipif(THEIRS is None, reason="plan9port's 9p is not installed")


@pytest.fixture
def nine(place):
    """plan9port's 9p in our namespace."""
    place.chmod(0o700)
    env = os.environ | {"NAMESPACE": str(place)}

    def start(*args: str) -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        return subprocess.Popen([str(THEIRS), *args], env=env, stdin=pipe, stdout=pipe, stderr=pipe)

    return start


@needs_9p
def test_9p_reads_writes_and_lists(served, nine):
    assert nine("read", "agent/big").communicate(timeout=20)[0] == served.sample.big
    assert nine("write", "agent/stream").communicate(b"x" * 9000, timeout=20) == (b"", b"")
    assert served.sample.record.seen == ["write 4096", "write 4096", "write 808", "clunk 9000"]
    names = nine("ls", "agent/many").communicate(timeout=20)[0].split()
    assert len(names) == 500 and names[0] == b"file-0000"
    assert nine("rdwr", "agent/ctl").communicate(b"abc\n", timeout=20)[0] == b"\nABC\n"
    assert b"m 0444" in nine("stat", "agent/hello").communicate(timeout=20)[0]


@needs_9p
def test_9p_walks_more_than_sixteen_names(served, nine):
    path = "/".join([*map(str, range(1, 21)), "bottom", "treasure"])
    assert nine("read", f"agent/{path}").communicate(timeout=20) == (b"gold\n", b"")


@needs_9p
def test_interrupting_9p_on_a_blocked_read_frees_everything(served, nine):
    process = nine("read", "agent/stream")
    served.sample.record.wait("parked")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    served.sample.record.wait("cancel")
    served.sample.record.wait("hangup 0")
    with Client(served.path, timeout=10) as client:
        assert client.read("hello") == b"hello world\n"


@needs_9p
def test_9p_gets_lines_from_a_stream_as_they_come(served, nine):
    process = nine("read", "agent/stream")
    served.sample.record.wait("parked")
    served.sample.stream.publish(b"one\n")
    assert process.stdout and process.stdout.readline() == b"one\n"
    served.sample.record.wait("parked", times=2)
    served.sample.stream.publish(b"")
    assert process.communicate(timeout=20)[0] == b""


def test_pyroute2s_client_reads_writes_and_stats(served):
    async def talk(sock: socket.socket) -> None:
        client = Plan9ClientSocket(use_socket=sock)
        try:
            await client.start_session()

            async def opened(path: str, mode: int) -> int:
                fid = await client.fid(path)
                request = msg_topen()
                request["fid"], request["ifid"], request["mode"] = fid, fid, mode
                await client.request(request)
                return fid

            fid = await opened("hello", 0)
            assert (await client.read(fid))["data"] == b"hello world\n"
            assert (await client.read(fid, offset=6, count=3))["data"] == b"wor"
            inner = await opened("dir/inner", 0)
            assert (await client.read(inner))["data"] == b"inside\n"
            ctl = await opened("ctl", 2)
            assert (await client.write(ctl, b"abc"))["count"] == 3
            assert (await client.read(ctl))["data"] == b"ABC"
            request = msg_tstat()
            request["fid"] = fid
            stat = (await client.request(request))["stat"]
            assert stat["name"] == "hello" and stat["length"] == 12
            request = msg_tclunk()
            request["fid"] = fid
            await client.request(request)
            with pytest.raises(ValueError, match="Expecting value"):  # it takes every Rerror for JSON of its own
                await client.read(fid)
        finally:
            client.close()
            await asyncio.sleep(0)

    sock = socket.socket(socket.AF_UNIX)
    sock.connect(served.path)
    with sock:
        run_async(talk(sock))
