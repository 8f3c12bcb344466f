"""A full disk: clients are refused, what has happened is never lost (full_disk.py is what is tried)."""

import subprocess
import sys
from pathlib import Path

import pytest

NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
SMALL = 'mount -t tmpfs -o size=32m small "$0" && exec "$@"'


@pytest.mark.parametrize(
    "what",
    [
        *("store", "again", "small", "begin", "turn", "handover"),
        *(pytest.param(one, marks=pytest.mark.slow(5)) for one in ("start", "started", "started_without")),
    ],
)
def test_a_full_disk_loses_nothing(tmp_path: Path, what: str) -> None:
    if subprocess.run([*NAMESPACE, SMALL, tmp_path, "true"], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    program = [sys.executable, "-m", "tests.store.full_disk", what, tmp_path]
    done = subprocess.run([*NAMESPACE, SMALL, tmp_path, *program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
