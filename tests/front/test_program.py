"""The daemon's program, run from a front-end."""

from pathlib import Path

import pytest

from anvilsrv.front import program
from anvilsrv.front.program import anvilsrv


def put(place: Path, script: str) -> None:
    """Put a program ``anvilsrv`` into a directory."""
    (place / "anvilsrv").write_text(f"#!/bin/sh\n{script}\n")
    (place / "anvilsrv").chmod(0o755)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_the_program_is_the_one_on_path_and_both_of_its_outputs_are_told(place: Path) -> None:
    put(place, 'echo "did $1"; echo "and more" >&2')
    assert anvilsrv("start") == (True, "did start\nand more")


def test_a_program_that_fails_says_why_or_how_it_ended(place: Path) -> None:
    put(place, "echo anvilsrv: no room >&2; exit 1")
    assert anvilsrv("start") == (False, "anvilsrv: no room")
    put(place, "exit 3")
    assert anvilsrv("start") == (False, "anvilsrv start: exit 3")


def test_a_program_that_never_ends_is_not_waited_for_longer_than_it_may_take(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "TIMEOUT", 0.1)
    put(place, "exec sleep 60")
    assert anvilsrv("stop") == (False, "anvilsrv stop: no answer in 0.1 s")


def test_a_program_that_cannot_be_run_is_named_with_the_reason(place: Path) -> None:
    put(place, "")
    (place / "anvilsrv").write_text("#!/no/such/shell\n")
    assert anvilsrv("start") == (False, "anvilsrv: No such file or directory")
