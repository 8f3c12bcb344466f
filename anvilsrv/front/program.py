"""The daemon's own program, run from a front-end: ``anvilsrv start|stop|restart|status``."""

import shutil
import subprocess
import sys
from pathlib import Path

from sandbox import outside

TIMEOUT = 90.0  # s; above what anvilsrv takes at most


def anvilsrv(command: str) -> tuple[bool, str]:
    """Run ``anvilsrv <command>`` to its end: whether it succeeded, and what it said."""
    try:
        done = subprocess.run(
            [*_program(), command], cwd="/",
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False, f"anvilsrv {command}: no answer in {TIMEOUT:g} s"
    except OSError as error:
        return False, f"anvilsrv: {error.strerror}"
    said = (done.stdout + done.stderr).strip()
    return done.returncode == 0, said or ("" if done.returncode == 0 else f"anvilsrv {command}: exit {done.returncode}")


def _program() -> list[str]:
    """Return the one that a person would type, else the one beside this Python, else the module."""
    found = outside.which("anvilsrv") or shutil.which("anvilsrv", path=str(Path(sys.executable).parent))
    return [found] if found else outside.python("anvilsrv.programs.cli")
