"""Some prompts of every shape while a person works in the pane; ``bench/deliveries.py`` does it with hundreds, and with real agents."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow(15)
def test_each_prompt_arrives_once_or_has_failed_for_a_true_reason_while_a_person_works_in_the_pane() -> None:
    program = [sys.executable, ROOT / "bench/deliveries.py", "--prompts=32", "--huge=1", "--seed=15", "--pace=0.1"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
