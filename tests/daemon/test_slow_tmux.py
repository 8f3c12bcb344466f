"""A machine that is too busy to run tmux for some seconds: what is asked of it meanwhile takes longer, and fails nothing."""

import pytest

from tests.conftest import Daemon
from tests.panes import stopped
from tests.session import Session

BUSY = 8.0  # s; an answer of tmux once had to come within 5


@pytest.fixture
def server(agent: Session) -> int:
    """The pid of the tmux server."""
    return int(agent.tmux("display-message", "-p", "#{pid}"))


def errors(session: Session) -> list[str]:
    """Return what the daemon has complained about so far."""
    lines = session.client.open("events.0").read(1 << 16).decode().splitlines()
    return [line for line in lines if '"error"' in line]


@pytest.mark.slow(5)
def test_launching_and_typing_wait_for_a_slow_tmux(daemon: Daemon, agent: Session, server: int) -> None:
    with stopped(server, BUSY):
        other = Session.starting(daemon)
        assert agent.ask("echo one") == "one\n"
        assert other.wait("idle")
    assert other.ask("echo two") == "two\n"
    assert errors(agent) == []


@pytest.mark.slow(5)
def test_an_adoption_waits_for_a_slow_tmux(daemon: Daemon, agent: Session, server: int) -> None:
    pid = agent.pid
    daemon.kill()
    with stopped(server, BUSY):
        daemon.start()
        adopted = agent.again()
        assert adopted.ask("echo one") == "one\n"
    assert adopted.pid == pid
    assert errors(adopted) == []
