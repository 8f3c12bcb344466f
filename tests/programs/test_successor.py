"""`anvilsrv restart`: which program takes over, and with which environment."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.p9.client import Client
from anvilsrv.programs import successor
from tests.conftest import ROOT, Daemon, Home, wait_until
from tests.upgrade import TOPS

ANVILSRV = (sys.executable, "-m", "anvilsrv.programs.cli")


@pytest.fixture
def cloned(home: Home) -> Iterator[Daemon]:
    """A daemon that runs from a checkout, which may go."""
    clone = home.top / "clone"
    for name in TOPS:
        shutil.copytree(ROOT / name, clone / name, symlinks=True)
    home.env["PYTHONPATH"] = str(clone)
    made = Daemon(home)
    try:
        made.start()
        del home.env["PYTHONPATH"]
        yield made
    finally:
        made.close()


def program(home: Home) -> str:
    return str(json.loads((home.state / "program").read_text())[1])


def doctor(home: Home) -> list[list[str]]:
    lines = [line.split("\t") for line in home.anvilsrv("doctor").stdout.splitlines()]
    return [[verdict, words] for verdict, subject, words in lines if subject == "daemon"]


@pytest.mark.slow(6)
def test_a_daemon_whose_program_has_gone_goes_on_says_so_and_is_replaced_by_the_caller_s(cloned: Daemon) -> None:
    home = cloned.home
    clone = home.top / "clone"
    assert program(home) == str(clone / "anvilsrv")
    assert any("anvilsrv restart takes this one" in words for _, words in doctor(home))
    shutil.rmtree(clone)
    assert cloned.process is not None
    cloned.process.send_signal(signal.SIGHUP)
    wait_until(lambda: f"not replaced: {clone}/anvilsrv/programs/cli.py is gone" in cloned.words(), "it says nothing")
    assert cloned.client().read("list") == b""
    gone = f"its program {clone}/anvilsrv/programs/cli.py is gone, and no session starts: anvilsrv restart"
    assert ["do", gone] in doctor(home)
    done = home.anvilsrv("restart")
    assert done.returncode == 0, done.stderr
    assert program(home) == str(ROOT / "anvilsrv")
    client = cloned.client()
    client.write("ctl", f"new shell {home.work} alias=one".encode())
    client.write("one/in", b"echo here")
    assert client.read("one/out") == b"here\n"
    assert [verdict for verdict, _ in doctor(home)] == ["ok"]


@pytest.mark.slow(5)
def test_agents_get_what_the_shell_has_that_restarts_and_the_places_of_the_daemon_stay(daemon: Daemon) -> None:
    home = daemon.home
    state = home.state
    shown = home.env | {"TZ": "Mars/Olympus", "LC_ALL": "C.UTF-8", "SECRET": "of nobody"}
    moved = {"HOME": str(home.top), "DISPLAY": ":7"}
    home.env |= {"TZ": shown["TZ"], "SECRET": shown["SECRET"]}
    assert any("TZ: not as in this shell; anvilsrv restart" in words for _, words in doctor(home))
    done = home.run(*ANVILSRV, "restart", env=shown | moved)
    assert done.returncode == 0, done.stderr
    assert home.state == state
    assert not (state / "successor").exists()
    client: Client = daemon.client()
    client.write("ctl", f"new shell {home.work} alias=one".encode())
    client.write("one/in", b'echo "$TZ $LC_ALL [$SECRET] $HOME"')
    assert client.read("one/out") == f"Mars/Olympus C.UTF-8 [] {home.home}\n".encode()
    assert [verdict for verdict, _ in doctor(home)] == ["ok"]


def test_what_layers_let_in_is_taken_and_nothing_by_which_a_daemon_finds_its_files(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.home / ".config"))
    layer = home.config / "tasks/mine.yaml"
    layer.parent.mkdir(parents=True)
    layer.write_text("env: [MY_*, FIXED=1]\n")
    (layer.parent / "broken.yaml").write_text("env: [\n")
    env = dict.fromkeys(("PATH", "ANTHROPIC_API_KEY", "MY_KEY", "LC_TIME", "FIXED", "OTHER", *successor.PLACES), "x")
    assert set(successor.for_agents(env)) == {"PATH", "ANTHROPIC_API_KEY", "MY_KEY", "LC_TIME"}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"program": 3, "env": {}}', "\0"])
def test_a_note_that_cannot_be_read_is_gone_and_the_daemon_stays_what_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "successor").write_text(text)
    assert successor.take(tmp_path) == successor.Successor(successor.Program.own(), {})
    assert os.listdir(tmp_path) == []


def test_a_daemon_serves_though_it_cannot_say_which_program_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    successor.note_program(tmp_path)
    monkeypatch.setattr(successor, "write", full)
    successor.note_program(tmp_path)
    assert successor.program_of(tmp_path) is None
    assert "cannot say which program this is: [Errno 28] No space left on device" in caplog.messages
