"""`anvilsrv export`: 9P over pipes, as ssh and 9pserve use it; and a mounted tree."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client
from tests.conftest import PATIENCE, Daemon, Home, wait_until

COMMAND = f"exec '{sys.executable}' -m anvilsrv.programs.cli export"


@contextmanager
def far(home: Home) -> Iterator[tuple[Client, "subprocess.Popen[bytes]"]]:
    """A client whose connection goes through `sh -c`, which is what ssh(1) gives at the other end."""
    near, there = socket.socketpair()
    process = subprocess.Popen(["sh", "-c", COMMAND], stdin=there, stdout=there, stderr=subprocess.PIPE, env=home.env)
    there.close()
    try:
        with Client(near, timeout=PATIENCE) as client:
            yield client, process
    finally:
        near.close()
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()


def test_a_session_is_made_prompted_and_read_from_afar(daemon: Daemon) -> None:
    with far(daemon.home) as (client, process):
        made = client.write_read("ctl", f"new shell {daemon.home.work}".encode()).decode().strip()
        client.write(f"{made}/in", b"echo from afar")
        assert client.read(f"{made}/out") == b"from afar\n"
    assert process.returncode == 0, "it ends with its input"


def test_more_than_the_pipes_hold_goes_both_ways(daemon: Daemon) -> None:
    text = b"# a line of a long context\n" * 35_000
    with far(daemon.home) as (client, _):
        made = client.write_read("ctl", f"new shell {daemon.home.work}".encode()).decode().strip()
        client.write(f"{made}/context", text)
        assert client.read(f"{made}/context") == text


def test_a_client_that_asks_much_before_it_reads_gets_every_answer(daemon: Daemon) -> None:
    from anvilsrv.p9 import wire

    ask = wire.encode(wire.Tversion(wire.NOTAG, 8192, "9P2000"))
    ask += wire.encode(wire.Tattach(0, 0, wire.NOFID, "me", ""))
    count = 20_000
    ask += b"".join(wire.encode(wire.Tstat(tag, 0)) for tag in range(1, count + 1))
    process = subprocess.Popen(
        ["sh", "-c", COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=daemon.home.env
    )
    answer, _ = process.communicate(ask, timeout=PATIENCE)
    kinds, at = [], 0
    while at < len(answer):
        size = int.from_bytes(answer[at : at + 4], "little")
        kinds.append(wire.decode(answer[at : at + size]))
        at += size
    assert len(kinds) == count + 2
    assert process.returncode == 0


def test_the_end_of_the_daemon_is_the_end_of_the_export(daemon: Daemon) -> None:
    with far(daemon.home) as (client, process):
        client.read("list")
        daemon.kill()
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None
        assert b"hung up" in process.stderr.read()
        with pytest.raises(AnvilError):
            client.read("list")


def test_without_a_daemon_it_says_so(home: Home) -> None:
    done = home.anvilsrv("export")
    assert done.returncode == 1
    assert done.stderr == f"anvilsrv: cannot connect to '{home.socket}': no such file or directory\n"


@contextmanager
def shared(home: Home) -> Iterator[Path]:
    """Another namespace here, in which 9pserve shares one exported connection."""
    near = home.top / "near"
    near.mkdir(mode=0o700)
    os.mkfifo(near / "pipe")
    line = f"({COMMAND}) <near/pipe | exec 9pserve -n 'unix!{near}/agent' >near/pipe"
    process = subprocess.Popen(["sh", "-c", line], env=home.env, cwd=home.top, start_new_session=True)
    try:
        wait_until(lambda: (near / "agent").exists(), "9pserve serves nothing")
        yield near
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


@pytest.mark.skipif(shutil.which("9pserve") is None, reason="no 9pserve: it comes with plan9port")
def test_9pserve_shares_one_exported_connection(daemon: Daemon) -> None:
    with shared(daemon.home) as near:
        for _ in range(2):
            listing = daemon.home.run("9p", "ls", "agent", env=daemon.home.env | {"NAMESPACE": str(near)})
            assert "events" in listing.stdout.split(), listing.stderr
        with Client(str(near / "agent"), timeout=PATIENCE) as one, Client(str(near / "agent"), timeout=PATIENCE) as two:
            events = one.open("events").lines()
            made = two.write_read("ctl", f"new shell {daemon.home.work}".encode()).decode().strip()
            assert made in next(iter(events)).decode()


@pytest.mark.skipif(
    not (shutil.which("9pfuse") and shutil.which("fusermount") and os.access("/dev/fuse", os.R_OK | os.W_OK)),
    reason="no 9pfuse (plan9port), fusermount (fuse3) or /dev/fuse",
)
def test_the_mounted_tree_is_files_for_any_program(daemon: Daemon) -> None:
    mount = daemon.home.top / "mnt"
    mount.mkdir()
    socket_name = f"unix!{daemon.home.socket}"
    quiet = {"capture_output": False, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # it stays behind
    assert daemon.home.run("9pfuse", socket_name, str(mount), **quiet).returncode == 0
    try:
        wait_until(lambda: (mount / "list").exists(), "not mounted")
        script = f"""set -e
            echo 'new shell {daemon.home.work} alias=one' >{mount}/ctl
            ls -l {mount} | grep -q ' events$'
            (head -n 3 {mount}/events; :) >events &
            echo 'echo mounted' >{mount}/one/in
            cat {mount}/one/out
            wait
            printf 'first\\n' >{mount}/one/context
            cat {mount}/one/context"""
        done = daemon.home.run("sh", "-c", script)
        assert done.stdout == "mounted\nfirst\n", done.stderr
        assert '"type"' in (daemon.home.work / "events").read_text()
    finally:
        daemon.home.run("fusermount", "-u", "-z", str(mount))
