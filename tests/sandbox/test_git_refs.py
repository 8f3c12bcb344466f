"""What is written into the refs of the user's repository is whole, or not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import git_refs
from tests.conftest import ROOT

FULL = """
import resource, signal, sys
from sandbox import git_refs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
git_refs.hold(sys.argv[1], "one-0", sys.argv[2:])
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "r")], check=True)
    return tmp_path / "r"


def test_where_nothing_can_be_written_there_is_no_ref_and_no_lock(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(repository), "1" * 40], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "File too large" in done.stderr
    assert [path for path in repository.glob("refs/anvillm/**/*") if path.is_file()] == []


def test_a_ref_is_replaced_and_what_somebody_left_who_died_goes(repository: Path) -> None:
    place = repository / "refs/anvillm/held/one-0"
    git_refs.hold(str(repository), "one-0", ["1" * 40])
    (place / "0.lock").write_text("")
    git_refs.hold(str(repository), "one-0", ["2" * 40])
    assert (place / "0").read_text() == "2" * 40 + "\n" and not (place / "0.lock").exists()
    (place / "1.lock").write_text("")
    git_refs.unlock(str(repository), "one-0")
    assert [path.name for path in place.iterdir()] == ["0"]
