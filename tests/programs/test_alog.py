"""Alog over a real daemon, in a terminal and in acme; and what all shell scripts have in common."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Daemon, Home, wait_until
from tests.mailing import send, shell

sys.path.insert(0, str(ROOT / "tests/acme"))
from fakeacme import FakeAcme

__all__ = ["shell"]  # a fixture


@pytest.fixture
def alog(home: Home) -> list[str]:
    """Alog with anvil9p as its 9P program."""
    (home.top / "bin").mkdir()
    client = home.top / "bin/anvil9p"
    client.write_text(f'#!/bin/sh\nexec {sys.executable} -m anvilsrv.inside.anvil9p "$@"\n')
    client.chmod(0o755)
    home.env["PATH"] = f"{client.parent}:{home.env['PATH']}"
    return [str(ROOT / "bin/Alog")]


def test_alog_shows_what_there_is_and_ends(home: Home, daemon: Daemon, shell: str, alog: list[str]) -> None:
    assert home.run(*alog).stdout == ""
    send(daemon, shell, "user", "some words")
    daemon.client().write(f"{shell}/in", b"echo it works\n")
    daemon.client().read(f"{shell}/out", timeout=20)
    assert "\tsome words\n" in home.run(*alog).stdout
    assert home.run(*alog, "sh").stdout.endswith("\tit works\n\n")


def test_alog_follows_the_messages(home: Home, daemon: Daemon, shell: str, alog: list[str]) -> None:
    with subprocess.Popen([*alog, "-f"], env=home.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for body in ("one", "two"):
            send(daemon, shell, "user", body)
            lines = iter(process.stdout.readline, "")
            assert next(line for line in lines if body in line).strip() == body
        process.terminate()


def test_alog_in_acme_fills_a_window_and_ends_with_it(home: Home, daemon: Daemon, shell: str, alog: list[str]) -> None:
    acme = FakeAcme(str(home.namespace / "acme"))
    try:
        name = f"{home.work}/+Log.sh"
        with subprocess.Popen([*alog, "sh"], env=home.env | {"winid": "1"}, cwd=home.work) as process:
            try:
                daemon.client().write(f"{shell}/in", b"echo it works\n")
                wait_until(lambda: (w := acme.find(name)) and "it works" in w.body.content, "the window shows nothing")
                wait_until(lambda: not acme.find(name).dirty, "the window is left dirty")
                with acme.changed:
                    acme.find(name).delete()
                assert process.wait(20) == 0
            finally:
                process.terminate()
        assert not acme.died
    finally:
        acme.stop()


def test_alog_refuses_a_session_that_is_not_there(home: Home, daemon: Daemon, alog: list[str]) -> None:
    done = home.run(*alog, "nobody", env=home.env | {"winid": "1"})
    assert done.returncode == 1
    assert "nobody" in done.stderr
    assert home.run(*alog, "-x").returncode == 2


SCRIPTS = [ROOT / "bin/Alog", *sorted((ROOT / "workflows").iterdir())]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    argv = ["shellcheck", "-x", "-P", "SCRIPTDIR", "-S", "warning", "-s", "sh", script]
    assert subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout == ""
