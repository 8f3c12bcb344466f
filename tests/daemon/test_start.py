"""Sessions that start oddly: what is done for the start ends with it, and a start that goes wrong is told."""

import os
from typing import Any

import pytest
import yaml

from anvilsrv import paths
from anvilsrv.errors import AnvilError
from tests.conftest import ROOT, Daemon, Home, wait_until
from tests.session import Session


def backend(home: Home, name: str, **changes: Any) -> None:
    """Write a backend like ``shell``, but for these keys."""
    made = yaml.safe_load((ROOT / "cfg/backends/shell.yaml").read_text())
    made["backend"] |= {"aliases": [], **changes}
    (home.config / "backends").mkdir(parents=True, exist_ok=True)
    (home.config / f"backends/{name}.yaml").write_text(yaml.safe_dump(made))


def events(session: Session) -> str:
    """Return what has happened so far."""
    return session.client.open("events.0").read(1 << 16).decode()


def test_a_dialog_of_the_start_is_answered_in_no_turn(daemon: Daemon) -> None:
    """The agent's hook says that it is ready before the dialog could come up; what a turn prints is no dialog of the start."""
    backend(daemon.home, "parrot", dialogs=[{"screen": "Trust this folder", "keys": ["2"]}])
    parrot = Session.new(daemon, "parrot")
    assert parrot.ask("echo Trust this folder; sleep 1") == "Trust this folder\n"
    assert parrot.ask("echo second") == "second\n"


def test_an_exception_in_a_backends_python_is_an_error_of_the_session(daemon: Daemon) -> None:
    backend(daemon.home, "odd", python="odd.py:Odd")
    (daemon.home.config / "backends/odd.py").write_text(
        "from anvilsrv.backends.backend import Peculiarity\n"
        "class Odd(Peculiarity):\n"
        "    def launch(self, place, resume):\n"
        "        return {}['missing']\n"
    )
    odd = Session.starting(daemon, "odd")
    assert odd.wait("error")
    assert "internal error: KeyError: 'missing'" in odd.row["error"]
    wait_until(lambda: '"type":"error"' in events(odd), "no event tells of it")


def test_an_exception_in_what_a_hook_means_is_an_error_of_the_session(daemon: Daemon) -> None:
    backend(daemon.home, "odd", python="odd.py:Odd")
    (daemon.home.config / "backends/odd.py").write_text(
        "from anvilsrv.backends.backend import Peculiarity\n"
        "class Odd(Peculiarity):\n"
        "    def report(self, hook, payload):\n"
        "        return 1 / 0\n"
    )
    odd = Session.starting(daemon, "odd")
    assert odd.wait("error")
    assert "internal error: ZeroDivisionError" in odd.row["error"]
    wait_until(lambda: odd.read("pid") == "0\n", "its process goes on")


def test_a_session_whose_socket_cannot_be_made_says_so(daemon: Daemon) -> None:
    state = daemon.home.state
    (state / "sessions").write_text("a file where the directory should be\n")
    lost = Session.starting(daemon)
    assert lost.wait("error")
    assert lost.row["error"]
    os.unlink(state / "sessions")
    lost.write("ctl", "restart")
    lost.wait("idle")
    assert lost.ask("echo here") == "here\n"
    assert (state / "sessions" / lost.id / "ns" / paths.SERVICE).is_socket()


def strange(home: Home, name: str, script: str, **changes: Any) -> None:
    """A backend with hooks whose agent shows what nobody expects."""
    made: dict[str, Any] = {
        "command": ["sh", "-c", script], "hooks": {"Ready": {"report": "ready"}, "Submit": {"report": "submit", "text": "prompt"}},
        "input": {"find": "^>", "empty": "^> *$"}, "ready": {"timeout": 60}, **changes,
    }  # fmt: skip
    (home.config / "backends").mkdir(parents=True, exist_ok=True)
    layer = {"filesystem": {"rwx": ["{CWD}"]}}
    (home.config / f"backends/{name}.yaml").write_text(yaml.safe_dump({"backend": made, **layer}))


def test_what_an_agent_asks_before_it_is_ready_is_held_up_with_its_words_and_keys_get_past_it(daemon: Daemon) -> None:
    ready = "echo '{}' | {HOOK} Ready; printf '\\033[2J\\033[H> '; exec sleep 1000"
    strange(daemon.home, "odd", f"echo 'New terms: accept?'; read answer; echo $answer >answer; {ready}")
    odd = Session.starting(daemon, "odd")
    odd.prompt("waits")
    wait_until(lambda: "New terms: accept?" in odd.row["held"], "it is not told")
    assert (odd.state, "held" in odd.row["notes"], "'keys Down Enter'" in odd.row["held"]) == ("starting", True, True)
    odd.write("ctl", "keys y e s Enter")
    wait_until(lambda: odd.state != "starting", "it is not ready")
    assert "terms" not in odd.row["held"]
    assert (daemon.home.work / "answer").read_text() == "yes\n"


def test_an_agent_that_waits_for_its_user_at_the_start_is_not_killed_for_it(daemon: Daemon) -> None:
    strange(daemon.home, "odd", "echo 'New terms: accept?'; exec sleep 1000", ready={"timeout": 4})
    odd = Session.starting(daemon, "odd")
    wait_until(lambda: "not ready within 4 s: before it is ready" in odd.row["error"], "it is not told")
    assert (odd.state, "New terms" in odd.row["held"]) == ("starting", True)
    assert events(odd).count('"type":"error"') == 1
    odd.write("ctl", "stop")
    assert odd.wait("stopped")
    assert odd.row["held"] == ""


@pytest.mark.slow(5)
def test_an_agent_whose_hooks_are_silent_is_an_error_that_says_so_and_is_not_started_again(daemon: Daemon) -> None:
    hint = {"timeout": 8, "unheard": 'look for "off" in odd.conf'}
    strange(daemon.home, "odd", "printf '> '; exec sleep 1000", ready=hint)
    odd = Session.starting(daemon, "odd")
    assert odd.wait("error")
    assert "none of its hooks has reported" in odd.row["error"]
    assert 'look for "off" in odd.conf' in odd.row["error"]
    wait_until(lambda: odd.read("pid") == "0\n", "its process goes on")
    assert events(odd).count('"type":"error"') == 1


def test_an_agent_that_shows_nothing_is_started_again_and_the_error_says_why(daemon: Daemon) -> None:
    strange(daemon.home, "odd", "exec sleep 1000", ready={"timeout": 1})
    odd = Session.starting(daemon, "odd")
    wait_until(lambda: "killed by SIGKILL: the agent was not ready within 1 s" in odd.row["error"], "it is not told")


def test_keys_are_for_the_user_and_for_an_agent_that_runs(daemon: Daemon) -> None:
    agent = Session.new(daemon)
    other = Session.new(daemon)
    for client, why in ((daemon.client(agent.id), "permission denied"), (daemon.client(other.id), "permission denied")):
        with pytest.raises(AnvilError, match=why):
            client.write(f"{agent.id}/ctl", b"keys Enter")
    for command, why in (("keys", "give 1 to 32 names"), ("keys Entr", "invalid key 'Entr'")):
        with pytest.raises(AnvilError, match=why):
            agent.write("ctl", command)
    agent.write("ctl", "stop")
    agent.wait("stopped")
    with pytest.raises(AnvilError, match="it is stopped"):
        agent.write("ctl", "keys Enter")
