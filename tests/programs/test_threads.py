"""A daemon is whole or not there: the end of one of its threads is its own."""

import subprocess
import sys

import pytest

from anvilsrv.p9.client import ConnectionLost
from tests.conftest import PATIENCE, Daemon, Home
from tests.session import Session

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


BROKEN = """
import os
import sys

from anvilsrv.programs.cli import main
from anvilsrv.sessions.registry import Registry

refresh = Registry.refresh

def broken(self, tx, ids):
    if os.path.exists("broken") and tx.one("SELECT 1 FROM sessions WHERE alias = 'after'"):
        raise MemoryError("no views any more")
    return refresh(self, tx, ids)

Registry.refresh = broken
sys.exit(main())
"""


@pytest.mark.slow(4)
def test_a_daemon_whose_store_cannot_go_on_ends_and_the_next_one_has_what_was_answered(home: Home) -> None:
    daemon = Daemon(home, program=("-c", BROKEN))
    try:
        agent = Session.new(daemon.start())
        agent.write("alias", "before")
        (home.work / "broken").touch()
        with pytest.raises(ConnectionLost):
            agent.write("alias", "after")
        assert daemon.process is not None and daemon.process.wait(PATIENCE) == 70
        assert "CRITICAL thread store cannot go on" in daemon.words() and "no views any more" in daemon.words()
        (home.work / "broken").unlink()
        agent = Session(daemon.start(), agent.id)
        assert agent.read("alias") == "after\n"  # it was on disk, though nobody could be told
        assert agent.ask("echo on") == "on\n"
    finally:
        daemon.close()
