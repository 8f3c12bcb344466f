"""The system in which README is tried ends with the program that tries it, however that one ends."""

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, ROOT

HOLD = """
import sys, time
sys.path.insert(0, "bench")
import debian
with debian.running(debian.Path(sys.argv[1]), ["/usr"]) as begin:
    print(begin[2], flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_the_system_ends_with_the_program_that_runs_it(tmp_path: Path, number: signal.Signals) -> None:
    if os.getuid() or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("only root can run another system, by unshare and setpriv")
    for one in ("usr", "sys", "proc", "dev"):
        (tmp_path / one).mkdir()
    for one in ("bin", "lib", "lib64"):
        (tmp_path / one).symlink_to(f"usr/{one}")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    ) as held:
        assert held.stdout is not None
        first = held.stdout.readline().strip()
        if not first:
            pytest.skip(f"no such system can be run here: {held.communicate()[1][-300:]}")
        watched = os.pidfd_open(int(first))
        try:
            held.send_signal(number)
            assert select.select([watched], [], [], PATIENCE)[0], "the system goes on"
        finally:
            if not select.select([watched], [], [], 0)[0]:
                signal.pidfd_send_signal(watched, signal.SIGKILL)
            os.close(watched)
            held.kill()
