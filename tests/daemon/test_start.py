"""Sessions that start oddly: what is done for the start ends with it, and a start that goes wrong is told."""

import os
from typing import Any

import yaml

from anvilsrv import paths
from tests.conftest import ROOT, Daemon, Home, wait_until
from tests.session import Session


def backend(home: Home, name: str, **changes: Any) -> None:
    """A backend like ``shell``, but for these keys."""
    made = yaml.safe_load((ROOT / "cfg/backends/shell.yaml").read_text())
    made["backend"] |= {"aliases": [], **changes}
    (home.config / "backends").mkdir(parents=True, exist_ok=True)
    (home.config / f"backends/{name}.yaml").write_text(yaml.safe_dump(made))


def events(session: Session) -> str:
    """What has happened so far."""
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
    assert '"type":"error"' in events(odd)


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
