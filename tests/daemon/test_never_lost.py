"""Nothing accepted is lost: the daemon is killed with -9, at any instant; agents run on and are adopted."""

import json
import os
import signal

import pytest

from anvilsrv.p9 import wire
from tests.conftest import Daemon, wait_until
from tests.kills import Kills
from tests.session import Session


def again(daemon: Daemon, agent: Session) -> Session:
    """Kill the daemon, start another, find the session again."""
    daemon.kill()
    daemon.start()
    return agent.again()


def begun(agent: Session) -> bool:
    return "USER" in agent.client.open(f"{agent.id}/log").read(4096).decode()


def test_an_agent_outlives_its_daemon_and_the_answer_of_its_turn_is_not_lost(daemon: Daemon, agent: Session) -> None:
    pid = agent.read("pid")
    agent.write("in", "read go < fifo; echo survived")
    os.mkfifo(daemon.home.work / "fifo")
    wait_until(lambda: begun(agent), "the turn never began")
    daemon.kill()
    (daemon.home.work / "fifo").write_text("go\n")  # the turn ends while no daemon is there
    spool = daemon.home.state / "sessions" / agent.id / "ns/spool"
    wait_until(lambda: list(spool.glob("*.json")), "the hook left nothing in the spool")
    daemon.start()
    after = agent.again()
    assert after.read("out") == "survived\n"
    assert (after.read("pid"), after.state) == (pid, "idle")
    assert list(spool.iterdir()) == []


def test_alias_context_queue_and_mail_survive(daemon: Daemon, agent: Session) -> None:
    agent.write("alias", "bob")
    agent.write("context", "be brief")
    agent.write("in", "sleep 0.3")
    agent.write("in", "echo queued")
    agent.write("mail", '{"to":"user","type":"LOG_ERROR","body":"x"}')
    after = again(daemon, agent)
    assert (after.read("alias"), after.read("context"), after.read("out")) == ("bob\n", "be brief", "queued\n")
    assert len(json.loads(after.client.read("user/inbox"))) == 1


def test_a_draft_whose_last_write_was_short_counts_as_complete_and_another_is_reported(
    daemon: Daemon, agent: Session
) -> None:
    other = daemon.client()
    short, long = (other.open(f"{agent.id}/in", wire.OWRITE) for _ in range(2))
    short.write(b"echo complete")
    long.write(b"echo " + b"x" * 4091)
    after = again(daemon, agent)
    assert after.read("out") == "complete\n"
    lines = after.client.open("events.0").read(65536).decode().splitlines()
    errors = [json.loads(line)["error"] for line in lines if json.loads(line)["type"] == "error"]
    assert any("in: the daemon ended while it was being written" in one for one in errors)


def test_an_agent_that_died_meanwhile_is_restarted(daemon: Daemon, agent: Session) -> None:
    pid = int(agent.read("pid"))
    daemon.kill()
    os.kill(pid, signal.SIGKILL)
    daemon.start()
    after = agent.again()
    assert after.ask("echo new") == "new\n"
    assert int(after.read("pid")) != pid


def test_a_requested_stop_is_never_undone(daemon: Daemon, agent: Session) -> None:
    agent.write("ctl", "stop")
    after = again(daemon, agent)
    after.wait("stopped")
    assert again(daemon, after).state == "stopped"


def test_everything_is_there_after_the_tmux_server_was_killed_with_it(daemon: Daemon, agent: Session) -> None:
    agent.write("context", "kept")
    daemon.kill()
    daemon.home.run("tmux", "-S", str(daemon.home.namespace / "anvillm.tmux"), "kill-server")
    daemon.start()
    after = agent.again()
    assert after.ask("echo again") == "again\n"
    assert after.read("context") == "kept"


def test_stop_ends_agents_gently_and_restart_leaves_them_alone(daemon: Daemon, agent: Session) -> None:
    pid = agent.read("pid")
    assert daemon.home.anvilsrv("restart").returncode == 0
    after = agent.again()
    assert (after.read("pid"), after.ask("echo same")) == (pid, "same\n")
    assert daemon.home.anvilsrv("stop").returncode == 0
    daemon.start()
    stopped = agent.again()
    assert stopped.state == "stopped"
    stopped.write("ctl", "restart")
    stopped.wait("idle")


@pytest.mark.slow(20)
def test_kills_at_random_points_under_load_lose_nothing_that_was_answered(daemon: Daemon) -> None:
    """``bench/kills.py`` does it ten times as long, and with another seed each time."""
    Kills(daemon, seed=9).run(25)
