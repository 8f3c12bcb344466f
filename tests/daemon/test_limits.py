"""The limits of a session: its file, what the user sets, and the end of its time."""

import os
import signal
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from sandbox import delegation, groups
from tests.conftest import Daemon, wait_until
from tests.session import Session

GROUPS = Path("/sys/fs/cgroup")


def role(daemon: Daemon, text: str) -> str:
    path = daemon.home.config / "roles" / "bounded.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"filesystem: {{rwx: ['{{CWD}}']}}\n{text}\n")
    return "role=bounded"


def used(session: Session) -> int:
    return int(limits(session)["time"][0].rpartition("m")[2].rstrip("s"))


def restart(session: Session) -> None:
    pid = session.read("pid")
    session.write("ctl", "restart")
    wait_until(lambda: session.read("pid") not in ("0\n", pid), "not started again")
    session.wait("idle")


def limits(session: Session) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in session.read("limits").splitlines()}


def test_a_file_shows_what_is_used_and_the_limit_and_the_user_sets_it(daemon: Daemon) -> None:
    session = Session.new(daemon, "shell", role(daemon, "limits: {memory: 8G, pids: 500}"))
    found = limits(session)
    assert list(found) == ["memory", "cpu", "pids", "time"]
    assert [line[1] for line in found.values()] == ["8G", "none", "500", "none"]
    assert found["time"][0].endswith("s")
    session.write("limits", "memory 1.5G\ntime 1h30m\n")
    assert [line[1] for line in limits(session).values()] == ["1536M", "none", "500", "1h30m"]
    assert "limit\ttime\t1h30m (the daemon)\tlimits\n" in session.read("sandbox")
    assert "limit\ttmp\tnone (" in session.read("sandbox")
    session.write("limits", "memory default")
    assert limits(session)["memory"][1] == "8G"
    for wrong in ("memory", "memory lots", "tokens 5", "pids 1"):
        with pytest.raises(AnvilError, match="invalid limit"):
            session.write("limits", wrong)
    with pytest.raises(AnvilError, match="permission denied"):
        daemon.client(session.id).write(f"{session.id}/limits", b"memory none")


def test_what_the_user_set_holds_after_a_restart_of_agent_and_daemon(daemon: Daemon) -> None:
    session = Session.new(daemon, "shell")
    session.write("limits", "pids 77")
    restart(session)
    assert limits(session)["pids"][1] == "77"
    daemon.kill()
    daemon.start()
    assert limits(session.again())["pids"][1] == "77"


def test_a_session_whose_time_is_over_stops_says_so_and_stays_stopped(daemon: Daemon) -> None:
    session = Session.new(daemon, "shell")
    session.write("limits", "time 1s")
    session.wait("stopped")
    assert session.row["error"] == "time limit of 1s reached"
    wait_until(lambda: f"{session.id}: time limit of 1s reached" in daemon.words(), "the line in the log")
    session.write("limits", "time default")
    session.write("ctl", "restart")
    session.wait("idle")


def test_a_crash_does_not_begin_the_time_anew_and_a_restart_does(daemon: Daemon) -> None:
    session = Session.new(daemon, "shell")
    wait_until(lambda: used(session) >= 2, "the time is not counted")
    pid = session.read("pid")
    os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: session.read("pid") not in ("0\n", pid), "not started again")
    session.wait("idle")
    assert used(session) >= 2
    restart(session)
    assert used(session) < 2


def test_a_session_that_another_started_has_no_more(daemon: Daemon) -> None:
    parent = Session.new(daemon, "shell", role(daemon, "agents: {spawn: true}\nlimits: {pids: 600, time: 2h}"))
    client = daemon.client(parent.id)
    made = client.write_read("ctl", f"new shell {daemon.home.work} role=bounded".encode()).decode().strip()
    child = Session(daemon, made)
    child.wait("idle")
    assert [limits(child)[name][1] for name in ("pids", "time")] == ["600", "2h"]
    parent.write("limits", "pids 300")
    restart(parent)
    restart(child)
    assert limits(child)["pids"][1] == "300"
    assert "limit\tpids\t300" in child.read("sandbox")


WITH_GROUPS = (
    os.access(GROUPS / "cgroup.subtree_control", os.W_OK)
    and "memory" in (GROUPS / "cgroup.controllers").read_text()
    and groups.own(str(GROUPS)) == str(GROUPS)
)


@pytest.mark.skipif(not WITH_GROUPS, reason="no cgroup v2 with a memory controller is ours here")
@pytest.mark.slow(60)
def test_an_agent_that_uses_up_its_memory_ends_alone_and_starts_again(stopped_daemon: Daemon) -> None:
    """In a group as a unit of systemd has it."""
    top = GROUPS / f"anvillm-daemon-test-{os.getpid()}"
    leaf = top / delegation.LEAF
    leaf.mkdir(parents=True)
    groups.enable(str(GROUPS))
    stopped_daemon.first = lambda: groups.write(f"{leaf}/cgroup.procs", "0")
    daemon = stopped_daemon.start()
    session, other = Session.new(daemon, "shell"), Session.new(daemon, "shell")
    pid = int(other.read("pid"))
    assert "(control group)\tdefault\n" in session.read("sandbox")
    session.write("limits", "memory 100M")
    found = limits(session)
    assert found["memory"][1] == "100M" and found["memory"][0].endswith("M")
    assert int(found["pids"][0]) >= 2 and found["cpu"][0].endswith("%")
    assert (top / f"session-{session.id}/memory.max").read_text() == f"{100 << 20}\n"
    first = session.read("pid")
    session.write("in", "/usr/bin/python3 -c 'x = bytearray(b\"x\") * (300 << 20)'")
    wait_until(lambda: session.read("pid") not in ("0\n", first), "not started again")
    session.wait("idle")
    assert "out of memory: its limit of 100M was reached" in session.row["error"]
    assert int(other.read("pid")) == pid
    assert str(daemon.process.pid if daemon.process else 0) in (leaf / "cgroup.procs").read_text().split()
    for one in (session, other):
        one.write("ctl", "kill")
    wait_until(lambda: not list(top.glob("session-*")), "groups are left")
