"""The daemon's own program, run from outside: ``anvilsrv start|stop|restart|status``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from anvilsrv.errors import Unavailable

_TIMEOUT = 60.0  # s; anvilsrv bounds its own waits below this


def anvilsrv(command: str) -> str:
    """What ``anvilsrv <command>`` says. Unavailable, with what it said, when it fails or cannot be found."""
    line = [*_program(), command]
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"anvilsrv {command}: no answer in {_TIMEOUT:g} s") from None
    except OSError as error:
        raise Unavailable(f"anvilsrv: {error.strerror}") from None
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0 and command != "status":
        raise Unavailable(said.splitlines()[-1] if said else f"anvilsrv {command}: exit {done.returncode}")
    return said


def _program() -> list[str]:
    """anvilsrv on PATH, else the one beside this Python, else the module."""
    found = shutil.which("anvilsrv") or shutil.which("anvilsrv", path=str(Path(sys.executable).parent))
    return [found] if found else [sys.executable, "-m", "anvilsrv.programs.cli"]
