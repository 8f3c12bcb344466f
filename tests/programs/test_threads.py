"""A daemon is whole or not there: the end of one of its threads is its own."""

import subprocess
import sys

PROGRAM = """
import functools
import threading
from anvilsrv.programs import daemon

def run():
    raise MemoryError("the last straw")

daemon.start_logging(None)
threading.excepthook = functools.partial(daemon.die, daemon.BROKEN)
threading.Thread(target=run, name="store").start()
threading.Event().wait()
"""


def test_a_thread_that_cannot_go_on_ends_the_daemon_and_says_which_and_why() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30)
    assert done.returncode == 70
    assert "CRITICAL thread store cannot go on: the daemon ends" in done.stderr
    assert "in run" in done.stderr and "MemoryError: the last straw" in done.stderr
