"""What opencode asks its terminal at the start, in a terminal that answers nothing."""

import os
import pty
import select
import signal
import time
from pathlib import Path

import pytest

from tests.real_agents.conftest import program
from tests.real_agents.golden import SHIPPED

WITHIN = 120.0  # s in which a busy machine starts it
DRAWS = b"\x1b[?1049h"  # it has asked, and goes to the other screen
ASKS = b"\x1b]66;"


def said(env: dict[str, str], cwd: Path) -> bytes:
    """Return what it writes until it draws."""
    argv = [program("opencode"), str(cwd)]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, env)
    found, until = b"", time.monotonic() + WITHIN
    try:
        while DRAWS not in found and select.select([terminal], [], [], max(0.0, until - time.monotonic()))[0]:
            found += os.read(terminal, 65536)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return found


@pytest.mark.parametrize("ours", [True, False])
def test_it_does_not_ask_for_widths_that_tmux_does_not_draw(tmp_path: Path, ours: bool) -> None:
    """A late answer to another question would count as a yes, and each · and … of its screen would be gone."""
    private = {
        name: str(tmp_path) for name in ("HOME", *(f"XDG_{one}_HOME" for one in ("DATA", "CONFIG", "STATE", "CACHE")))
    }
    shipped = {name: value for name, value in SHIPPED.get("opencode").env.items() if "{" not in value} if ours else {}
    found = said({"PATH": os.environ["PATH"], "TERM": "tmux-256color", **shipped, **private}, tmp_path)
    assert DRAWS in found
    assert (ASKS in found) == (not ours)
