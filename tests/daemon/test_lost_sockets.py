"""Sockets that were deleted, as those do who clear /tmp; and agents that nobody reaches any more: never two for one session."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from anvilsrv.agents.birth import born
from tests.conftest import Daemon, wait_until
from tests.daemon.test_start import backend
from tests.session import Session


def server(agent: Session) -> int:
    return int(agent.tmux("display-message", "-p", "#{pid}"))


def agents(daemon: Daemon) -> int:
    """Return how many agents run in this home: each is a launcher, and what that has started."""
    mark = f"{daemon.home.home}/.local/state/anvillm/".encode()
    parents = {}
    for one in Path("/proc").glob("[0-9]*"):
        try:
            words = (one / "cmdline").read_bytes().split(b"\0")
            if any(word.startswith(mark) and word.endswith(b"/run/sandbox.json") for word in words):
                parents[one.name] = (one / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
    return len([pid for pid, parent in parents.items() if parent not in parents])


@pytest.fixture
def deaf(daemon: Daemon) -> Session:
    """A session whose agent outlives its terminal."""
    agent = "trap '' HUP; {PYTHON} -I -S {ANVILSRV}/inside/shellagent.py; exec sleep 1000"
    backend(daemon.home, "deaf", command=["sh", "-c", agent])
    return Session.new(daemon, "deaf")


def test_an_agent_is_found_again_when_the_socket_of_tmux_was_deleted(daemon: Daemon, agent: Session) -> None:
    before = (agent.pid, server(agent))
    os.unlink(daemon.home.namespace / "anvillm.tmux")
    assert daemon.home.anvilsrv("restart").returncode == 0
    after = agent.again()
    assert after.ask("echo still here") == "still here\n"
    assert (after.pid, server(after)) == before
    assert agents(daemon) == 1


def test_everything_is_found_again_when_the_whole_namespace_was_deleted(daemon: Daemon, agent: Session) -> None:
    before = (agent.pid, server(agent))
    shutil.rmtree(daemon.home.namespace)
    said = daemon.home.anvilsrv("status")
    assert said.returncode == 1
    assert "its socket was deleted: 'anvilsrv restart' makes it again" in said.stderr
    assert "anvilsrv restart makes it again" in daemon.home.anvilsrv("doctor").stdout
    again = daemon.home.anvilsrv("restart")
    assert again.returncode == 0, again.stderr
    after = agent.again()
    assert after.ask("echo still here") == "still here\n"
    assert (after.pid, server(after)) == before
    assert daemon.home.anvilsrv("status").returncode == 0


def test_an_agent_that_outlived_its_tmux_is_ended_before_another_is_started(daemon: Daemon, deaf: Session) -> None:
    pid, when = deaf.pid, born(deaf.pid)
    daemon.kill()
    os.kill(server(deaf), signal.SIGKILL)
    assert born(pid) == when
    daemon.start()
    after = deaf.again()
    wait_until(lambda: after.pid not in (0, pid), "there is no other")
    assert born(pid) != when
    after.wait("idle")
    assert after.ask("echo again") == "again\n"
    assert agents(daemon) == 1


def test_an_agent_is_ended_before_another_also_when_the_daemon_saw_its_tmux_go(daemon: Daemon, deaf: Session) -> None:
    pid, when = deaf.pid, born(deaf.pid)
    os.kill(server(deaf), signal.SIGKILL)
    deaf.write("ctl", "restart")
    wait_until(lambda: deaf.pid not in (0, pid), "there is no other")
    assert born(pid) != when
    deaf.wait("idle")
    assert deaf.ask("echo again") == "again\n"
    assert agents(daemon) == 1
