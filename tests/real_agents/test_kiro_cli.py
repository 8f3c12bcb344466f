"""`kiro-cli acp`, both engines, as far as what is public says how they are: a stand-in, never the real program."""

import json
import os
import shutil
import signal
from collections.abc import Iterator

import pytest
import yaml

from tests.conftest import ROOT, Daemon, Home, wait_until
from tests.real_agents.conftest import careful, with_kiro
from tests.session import Session

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow(5)]


@pytest.fixture(params=["v2", "v3"])
def kiro(request: pytest.FixtureRequest, home: Home, stopped_daemon: Daemon) -> Iterator[Daemon]:
    """A daemon that finds the stand-in; the second engine is what a user's copy of the file asks for."""
    with_kiro(home, "2.28.0", hooks=False)
    made = yaml.safe_load((ROOT / "cfg/backends/kiro-cli.yaml").read_text())
    made["backend"]["acp"]["start"] = 8
    if request.param == "v3":
        made["backend"]["acp"] |= {
            "command": [*made["backend"]["acp"]["command"][:-2], "acp", "--agent-engine=v3", "--auth-method=cli"],
            "bypass": "autopilot=true", "ask": "autopilot=false",
        }  # fmt: skip
    (home.config / "backends").mkdir(parents=True)
    shutil.copy(ROOT / "cfg/backends/kiro.py", home.config / "backends")
    (home.config / "backends/kiro-cli.yaml").write_text(yaml.safe_dump(made))
    yield stopped_daemon.start()
    for pane in stopped_daemon.client().ls(""):
        if len(pane.name) == 8:
            print(Session(stopped_daemon, pane.name).screen)
    print(stopped_daemon.words())


def options(agent: Session) -> dict[str, str]:
    return {line.split("\t")[0]: line.split("\t")[1] for line in agent.read("options").splitlines()}


def test_it_is_what_kiro_means_and_answers_byte_for_byte(kiro: Daemon) -> None:
    agent = Session.new(kiro, "kiro")
    for text in ("hello", "two\nlines\n", "/etc/passwd is a file", "\u00fc \U0001f600 \x1b[31m"):
        assert agent.ask(text) == f"you said: {text}"
    assert agent.row["backend"] == "kiro-cli"


@pytest.mark.parametrize("choice", ["allow", "deny"])
def test_it_asks_where_the_role_says_so(kiro: Daemon, choice: str) -> None:
    agent = Session.new(kiro, "kiro", careful(kiro.home))
    agent.prompt("tool")
    assert agent.question()["text"] == "Running: true"
    agent.write("answer", choice)
    assert agent.out() == {"allow": "allow_once", "deny": "reject_once"}[choice]


def test_it_asks_nothing_else_and_what_it_does_is_told(kiro: Daemon) -> None:
    agent = Session.new(kiro, "kiro")
    assert agent.ask("tool") == "allow_once"
    told = agent.read("turns/1/activity")
    assert "Running: true" in told and "it ran" in told


def test_its_agents_and_models_are_options(kiro: Daemon) -> None:
    agent = Session.new(kiro, "kiro", "model=claude-sonnet")
    wait_until(lambda: options(agent).get("model") == "claude-sonnet", "the model is set")
    mode = "plan" if "autopilot" in options(agent) else "kiro_planner"
    agent.write("options", f"mode {mode}")
    wait_until(lambda: options(agent)["mode"] == mode, "the mode is set")


def test_a_command_is_no_prompt_and_credits_are_counted(kiro: Daemon) -> None:
    agent = Session.new(kiro, "kiro")
    assert agent.ask("one") == "you said: one"
    if "autopilot" in options(agent):
        return  # the third engine tells neither
    wait_until(lambda: "compact" in agent.read("commands"), "the commands are told")
    assert agent.ask("/compact") == "did compact"
    agent.ask("two")
    wait_until(lambda: agent.json("usage").get("credits") == 0.5, "both turns are counted")


@pytest.mark.parametrize("fault", ["", "late history"])
def test_it_comes_back_with_its_conversation_and_history_is_no_answer(kiro: Daemon, fault: str) -> None:
    agent = Session.new(kiro, "kiro")
    agent.ask("one")
    (kiro.home.work / "kiro-faults").write_text(fault)
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: agent.state != "idle", "it died")
    agent.wait("idle")
    assert agent.ask("count") == "1 before; you said: count"
    assert "you said: one" not in agent.screen


def test_one_that_ends_as_it_loads_begins_a_new_conversation(kiro: Daemon) -> None:
    agent = Session.new(kiro, "kiro")
    agent.ask("one")
    (kiro.home.work / "kiro-faults").write_text("load exits")
    agent.write("ctl", "restart")
    wait_until(lambda: "a new one begins" in agent.screen, "it says so")
    agent.wait("idle")
    assert agent.ask("count") == "0 before; you said: count"


@pytest.mark.slow(12)
def test_one_that_hangs_as_it_loads_begins_a_new_conversation(kiro: Daemon) -> None:
    agent = Session.new(kiro, "kiro")
    agent.ask("one")
    (kiro.home.work / "kiro-faults").write_text("load hangs")
    agent.write("ctl", "restart")
    wait_until(lambda: "a new one begins" in agent.screen, "it says so")
    agent.wait("idle")
    assert agent.ask("count") == "0 before; you said: count"


@pytest.mark.slow(9)
def test_one_that_is_not_logged_in_says_so(kiro: Daemon) -> None:
    (kiro.home.work / "kiro-faults").write_text("logged out")
    agent = Session.starting(kiro, "kiro")
    agent.patience = 100  # it is tried six times
    agent.wait("error")
    assert "not logged in" in agent.row["error"]


def test_a_login_that_one_session_renews_the_others_have_and_the_users_own_is_not_touched(kiro: Daemon) -> None:
    one, other = Session.new(kiro, "kiro"), Session.new(kiro, "kiro")
    assert (one.ask("token"), other.ask("token")) == ("access 1", "access 1")
    one.ask("renew")
    wait_until(lambda: other.ask("token") == "access 2", "the other has it")
    kept = json.loads((kiro.home.home / ".local/state/anvillm/logins/kiro-cli/kiro.json").read_text())
    assert kept["rows"]["kirocli:odic:token"]["refresh_token"] == "refresh 2"
    one.write("ctl", "restart")
    wait_until(lambda: one.state != "idle", "it ends")
    one.wait("idle")
    assert one.ask("token") == "access 2"
    assert not (kiro.home.home / ".local/share/kiro-cli").exists() and not (kiro.home.home / ".kiro").exists()
