"""A daemon among accidents for a short time; ``bench/chaos.py`` does it for an hour, and with another seed each time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.slow(28)
def test_among_accidents_each_prompt_and_each_message_has_one_outcome(tmp_path: Path) -> None:
    program = [sys.executable, ROOT / "bench/chaos.py", "--minutes=0.3", "--seed=15", f"--keep={tmp_path}"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
