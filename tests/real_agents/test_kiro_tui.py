"""Kiro CLI as far as its documentation says how it is: a stand-in, never the real program."""

import os
import shutil
import signal
from collections.abc import Iterator

import pytest

from tests.conftest import Daemon, Home, wait_until
from tests.real_agents.conftest import PATIENCE, with_kiro
from tests.session import Session

pytestmark = pytest.mark.timeout(300)  # a busy machine starts agents slowly


@pytest.fixture(params=["2.4.0", "3.1.0"])
def kiro(request: pytest.FixtureRequest, home: Home, stopped_daemon: Daemon) -> Iterator[Daemon]:
    """A daemon that finds the stand-in, of either form of hooks, with ours installed."""
    with_kiro(home, request.param)
    yield stopped_daemon.start()
    for pane in stopped_daemon.client().ls(""):
        if len(pane.name) == 8:
            print(Session(stopped_daemon, pane.name).screen)
    print(stopped_daemon.words())


def start(kiro: Daemon) -> Session:
    agent = Session.starting(kiro, "kiro-tui")
    agent.patience = PATIENCE
    assert agent.wait("idle", "error", "stopped") == "idle"
    return agent


@pytest.mark.slow(4)
def test_its_trust_dialog_is_read_and_prompts_are_confirmed_and_answered(kiro: Daemon) -> None:
    agent = start(kiro)
    for text in ("hello", "two\nlines", "ends with \\"):
        assert agent.ask(text).rstrip() == f"you said: {text}"
    assert agent.row["error"] == ""


@pytest.mark.slow(5)
def test_it_comes_back_with_the_conversation_of_its_directory(kiro: Daemon) -> None:
    agent = start(kiro)
    agent.ask("hello")
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: agent.state != "idle", "it died")
    agent.wait("idle")
    assert "1 prompts before" in agent.screen
    assert agent.ask("again") == "you said: again"


@pytest.mark.slow(4)
def test_with_a_second_agent_in_the_directory_each_goes_on_with_its_own_conversation(kiro: Daemon) -> None:
    first, second = start(kiro), start(kiro)
    first.ask("mine")
    for text in ("theirs", "too"):
        second.ask(text)
    first.write("ctl", "restart")
    wait_until(lambda: first.state != "idle", "it ends")
    first.wait("idle")
    assert "1 prompts before" in first.screen


def test_without_its_hooks_it_is_listed_as_not_ready(kiro: Daemon) -> None:
    shutil.rmtree(kiro.home.home / ".kiro/agents")
    rows = dict(line.split("\t")[::2] for line in kiro.client().read("backends").decode().splitlines())
    assert "install-hooks.sh" in rows["kiro-tui"]
