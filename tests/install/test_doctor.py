"""`anvilsrv doctor`: what it says of a machine where all is well, and of each thing that is not."""

import os
from pathlib import Path

import pytest

from anvilsrv import doctor
from tests.conftest import Daemon, Home


def examine(home: Home, **more: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Its status, and its verdicts and words by subject."""
    home.env |= more
    done = home.anvilsrv("doctor")
    assert done.stderr == ""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in done.stdout.splitlines():
        verdict, subject, words = line.split("\t")
        assert verdict in ("ok", "note", "do"), line
        found.setdefault(subject, []).append((verdict, words))
    return done.returncode, found


def test_where_nothing_that_is_needed_is_missing_the_status_is_0(daemon: Daemon) -> None:
    status, found = examine(daemon.home)
    wrong = [(subject, words) for subject, lines in found.items() for verdict, words in lines if verdict == "do"]
    assert (status, wrong) == (0, [])
    subjects = "anvilsrv PATH namespace daemon state configuration tmux kernel sandbox hooks plan9port Emacs terminal"
    assert set(found) >= {*subjects.split(), "backend shell", "backend claude"}
    assert daemon.process is not None
    assert found["daemon"] == [("ok", f"{daemon.process.pid} serves {daemon.home.socket}, 0 session(s)")]


def test_it_changes_nothing(home: Home) -> None:
    home.namespace.rmdir()
    _, found = examine(home)
    assert found["daemon"][0][0] == "note"
    assert found["namespace"] == [("ok", f"{home.namespace} (anvilsrv makes it)")]
    assert not home.namespace.exists()
    assert list(home.home.rglob("*")) == []


def test_a_namespace_open_to_others_and_a_role_that_is_no_yaml_are_named(home: Home) -> None:
    home.namespace.chmod(0o755)
    role = home.config / "roles/broken.yaml"
    role.parent.mkdir(parents=True)
    role.write_text("filesystem: [\n")
    (role.parent / "default.yaml.new").write_text("")
    status, found = examine(home)
    assert status == 1
    assert found["namespace"] == [("do", f"{home.namespace} is open to others: chmod 700 {home.namespace}")]
    said = found["configuration"]
    assert said[0][0] == "do"
    assert str(role) in said[0][1]
    assert ("note", f"compare {role.parent}/default.yaml.new with yours, then remove it") in said


def test_a_machine_without_tmux_and_the_wanted_terminal_needs_them(home: Home, tmp_path: Path) -> None:
    for one in ("sh", "env", "true"):
        (tmp_path / one).symlink_to(f"/usr/bin/{one}")
    status, found = examine(home, PATH=str(tmp_path), ANVILLM_TERMINAL="nosuch -e")
    assert status == 1
    assert found["tmux"][0][0] == "do"
    assert found["terminal"] == [("do", "ANVILLM_TERMINAL: no program 'nosuch'")]
    assert found["plan9port"][0][0] == found["Emacs"][0][0] == "note"


@pytest.mark.parametrize(("said", "verdict"), [("tmux 2.9a", "do"), ("tmux 3.2", "ok"), ("tmux master", "ok")])
def test_the_age_of_tmux_is_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, verdict: str) -> None:
    fake = tmp_path / "tmux"
    fake.write_text(f"#!/bin/sh\necho {said}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [line.verdict for line in doctor.tmux()] == [verdict]
