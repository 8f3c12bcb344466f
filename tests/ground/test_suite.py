"""The suite itself: what it promises whoever runs it."""

import signal
import subprocess
import sys

from tests.conftest import ROOT


def test_a_program_under_test_can_be_interrupted() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        child.send_signal(signal.SIGINT)
    assert child.returncode == -signal.SIGINT


def test_that_is_so_when_the_suite_is_started_with_interrupts_ignored() -> None:
    this = f"{__file__}::{test_a_program_under_test_can_be_interrupted.__name__}"
    for workers in ("0", "1"):
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", workers, this]
        script = ["sh", "-c", 'trap "" INT QUIT; exec "$@"', "sh", *argv]
        done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT, timeout=100)
        assert done.returncode == 0, done.stdout
