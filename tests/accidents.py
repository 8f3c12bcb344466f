"""What the long runs among accidents have in common (``bench/chaos.py``, ``bench/agents.py``): they end what they started when they are
interrupted, keep what tells of a failure, and say how it went.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Protocol

from anvilsrv.errors import AnvilError
from tests.conftest import Daemon, Home


class Run(Protocol):
    """One run: ``run(seconds)`` gives what was wrong."""

    daemon: Daemon

    def run(self, seconds: float) -> list[str]: ...
    def close(self) -> None: ...


def arguments(description: str) -> argparse.Namespace:
    """Return ``minutes``, ``seed`` and ``keep`` of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the plan (default: another)")
    parser.add_argument(
        "--keep", type=Path, help="where to copy what is left at the end (default: a new directory, after a failure)"
    )
    return parser.parse_args()


def told(words: str) -> None:
    """Print a line of progress."""
    print(words, flush=True)


def among(made: Run, home: Home, args: argparse.Namespace, what: str) -> int:
    """Run it, and say whether each of ``what`` has one outcome; the exit status."""
    began, name = time.monotonic(), Path(sys.argv[0]).stem
    told(f"seed {args.seed}, {args.minutes:g} minutes")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, partial(leave, made, home))
    try:
        try:
            wrong = made.run(60 * args.minutes)
        except (AssertionError, AnvilError) as error:
            wrong = [f"the run was not finished: {error}"]
        place = args.keep or (Path(tempfile.mkdtemp(prefix=f"{name}-")) if wrong else None)
        if place is not None:
            keep(home, place)
    finally:
        made.close()
    if not wrong:
        told(f"every {what} has one outcome, after {time.monotonic() - began:.0f} s")
        return 0
    print(f"WRONG with --minutes {args.minutes:g} --seed {args.seed}; kept in {place}:", file=sys.stderr)
    print("\n".join(wrong[:100]), file=sys.stderr)
    return 1


def keep(home: Home, place: Path) -> None:
    """Copy what tells how it came about."""
    place.mkdir(parents=True, exist_ok=True)
    for one in (home.top / "daemon.log", *home.home.glob(".local/state/anvillm/*/store.db*")):
        shutil.copy(one, place)
    shutil.copytree(home.work, place / "work", dirs_exist_ok=True)


def leave(made: Run, home: Home, number: int, frame: FrameType | None) -> None:
    """End what was started, by force: the daemon may be stopped just now, and others wait for it."""
    if made.daemon.process is not None:
        made.daemon.process.kill()
    tmux = ["tmux", "-S", str(home.namespace / "anvillm.tmux"), "kill-server"]
    subprocess.run(tmux, capture_output=True, check=False, timeout=10)
    shutil.rmtree(home.top, ignore_errors=True)
    os._exit(128 + number)
