"""A daemon that is there and does not answer, as on a machine that swaps: hooks leave their reports, and each of them counts."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.inside import hook
from anvilsrv.p9.client import File
from tests.conftest import Daemon, wait_until
from tests.session import Session


@contextmanager
def silent(daemon: Daemon, begin: bool = True) -> Iterator[None]:
    """Stop the daemon meanwhile; with ``begin`` False it runs again at the end."""
    assert daemon.process is not None
    try:
        if begin:
            os.kill(daemon.process.pid, signal.SIGSTOP)
        yield
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)


def place(agent: Session) -> Path:
    """Return the namespace of the agent."""
    return agent.daemon.home.state / "sessions" / agent.id / "ns"


def spooled(agent: Session) -> list[Path]:
    return list((place(agent) / "spool").glob("*.json"))


def sockets(pid: int) -> set[str]:
    """Return the sockets that a process, or one that it started, has open."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    own = {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir() if os.path.islink(one)}
    return {one for one in own if one.startswith("socket:")}.union(
        *(sockets(int(child)) for child in found.stdout.split())
    )


@pytest.mark.slow(6)
def test_a_turn_that_ends_while_the_daemon_is_silent_has_its_answer_without_another_report(
    daemon: Daemon, agent: Session
) -> None:
    os.mkfifo(fifo := daemon.home.work / "fifo")
    agent.prompt("touch begun; read go < fifo; echo survived")
    wait_until((daemon.home.work / "begun").exists, "the turn never began")
    pid = agent.pid
    before = sockets(pid)  # those of the door to the network
    with silent(daemon):
        fifo.write_text("go\n")
        wait_until(lambda: spooled(agent), "the hook waits for ever")
        wait_until(lambda: sockets(pid) - before, "it is not tried once more")
        wait_until(lambda: not sockets(pid) - before, "that has no end")
    assert agent.out() == "survived\n"
    assert agent.state == "idle"
    wait_until(lambda: not spooled(agent), "it stays in the spool")


@pytest.mark.slow(6)
def test_a_report_that_is_both_on_its_way_to_a_silent_daemon_and_in_the_spool_counts_once(
    daemon: Daemon, agent: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = File.write, threading.Event()

    def late(self: File, data: bytes, *args: Any, **options: Any) -> int:
        """It has connected and opened the file when the daemon falls silent."""
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGSTOP)
        written.set()
        return write(self, data, *args, **options)

    monkeypatch.setenv("NAMESPACE", str(place(agent)))
    monkeypatch.setenv("ANVILLM_SESSION", agent.id)
    with silent(daemon, begin=False), monkeypatch.context() as patch:
        patch.setattr(File, "write", late)
        assert hook.send("Submit", {"text": "by hand"}, timeout=0.5) == {}
        assert written.is_set() and len(spooled(agent)) == 1
    wait_until(lambda: not spooled(agent), "nobody reads the spool")
    assert agent.state == "running"
    assert [line.split("\t")[1:3] for line in agent.read("turns/list").splitlines()] == [["running", "typed"]]
