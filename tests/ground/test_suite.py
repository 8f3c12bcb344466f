"""The suite itself: what it promises whoever runs it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import suite
from tests.conftest import ROOT

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(30))
@pytest.mark.slow(20)
def test_slow(number): pass

@pytest.mark.slow(40)
def test_slowest(): pass

@pytest.mark.parametrize("number", range(9))
def test_fast(number): pass
"""

ALONE = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # they take longer than a small suite


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A suite of 9 fast tests and 31 slow ones, with our hooks."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow(seconds)\n")
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.suite import pytest_addoption, pytest_collection_modifyitems, pytest_terminal_summary\n"
    )
    (tmp_path / "test_it.py").write_text(TESTS)
    return tmp_path


def run(where: Path, *argv: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist", *argv]
    done = subprocess.run(command, env=ALONE, capture_output=True, text=True, cwd=where, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(small: Path, *argv: str) -> list[str]:
    return [line.split("::")[1] for line in run(small, "--collect-only", "-q", *argv).splitlines() if "::" in line]


def test_all_tests_run_the_slowest_first_and_a_sample_has_those_slow_ones_that_its_commit_chooses(small: Path) -> None:
    whole, sample = listed(small), listed(small, "--sample", "abc")
    assert len(whole) == 40
    assert whole[0] == "test_slowest"
    assert [name for name in whole if "slow" not in name] == whole[31:]
    slow = {f"test_it.py::{name}": 40 if name == "test_slowest" else 20 for name in whole[:31]}
    drawn = suite.drawn(slow, "abc")
    assert sample == [name for name in whole if "slow" not in name or f"test_it.py::{name}" in drawn]
    assert 9 + 5 <= len(sample) <= 9 + 6


SLOW = {f"tests/test_it.py::test_{number}": 5.0 + number**2 / 40 for number in range(50)}
SAMPLES = [suite.drawn(SLOW, f"commit {number}") for number in range(900)]


def test_in_many_commits_each_slow_test_has_its_turn_a_sixth_of_the_time() -> None:
    for nodeid in SLOW:
        assert 115 < sum(nodeid in sample for sample in SAMPLES) < 185


def test_no_sample_takes_longer_than_a_sixth_of_all_and_the_longest() -> None:
    most = sum(SLOW.values()) / 6 + max(SLOW.values())
    assert max(sum(map(SLOW.__getitem__, sample)) for sample in SAMPLES) <= most


def test_what_is_drawn_with_one_slow_test_is_not_always_drawn_with_it() -> None:
    first, *others = SLOW
    with_it = [sample for sample in SAMPLES if first in sample]
    assert all(any(other not in sample for sample in with_it) for other in others)


def test_each_worker_begins_with_slow_tests(small: Path) -> None:
    ran = run(small, "-n", "2", "--dist", "worksteal", "-v")
    for worker in ("gw0", "gw1"):
        first = next(line for line in ran.splitlines() if line.startswith(f"[{worker}]"))
        assert "slow" in first, ran


def test_check_says_what_it_runs() -> None:
    said = subprocess.run([ROOT / "check", "--help"], capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("usage: ./check [--all")


def test_a_program_under_test_can_be_interrupted() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        child.send_signal(signal.SIGINT)
    assert child.returncode == -signal.SIGINT


def test_a_program_under_test_can_be_interrupted_though_the_suite_ignores_interrupts() -> None:
    this = f"{__file__}::{test_a_program_under_test_can_be_interrupted.__name__}"
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "1", this]
    script = ["sh", "-c", 'trap "" INT QUIT; exec "$@"', "sh", *argv]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert done.returncode == 0, done.stdout


RACES = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range({races}))
def test_that_fails_once(number):
    mark = pathlib.Path(f"ran{{number}}")
    ran = mark.exists()
    mark.touch()
    assert ran

def test_that_passes(): assert not {broken}
"""


def again(where: Path, races: int, *, broken: bool) -> tuple[int, str]:
    (where / "test_it.py").write_text(RACES.format(races=races, broken=broken))
    command = [sys.executable, ROOT / "tests/again.py", "-q", "-p", "xdist"]
    done = subprocess.run(command, env=ALONE, capture_output=True, text=True, cwd=where, timeout=100)
    return done.returncode, done.stdout


def test_what_fails_only_beside_others_is_named_as_a_race(tmp_path: Path) -> None:
    status, said = again(tmp_path, 2, broken=False)
    assert status == 0
    assert said.count("NOTE test_it.py::test_that_fails_once") == 2


def test_what_fails_by_itself_too_fails_the_run(tmp_path: Path) -> None:
    status, said = again(tmp_path, 1, broken=True)
    assert (status, "NOTE" in said) == (1, False)
    assert said.count("test_that_passes") > 1


def test_many_failures_are_no_chance_and_are_not_tried_again(tmp_path: Path) -> None:
    status, said = again(tmp_path, 6, broken=False)
    assert (status, "once more" in said) == (1, False)
