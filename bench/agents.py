"""Twelve sessions of all real agents for an hour among people and accidents; see that each prompt has one outcome.

    python bench/agents.py [--minutes 60] [--seed N] [--keep DIRECTORY]

Claude Code, Codex, Gemini CLI and opencode on stand-ins for their services, which answer, fail, hang, use tools and wake their agents.
Half of the sessions ask for permissions, several at once too; a person types into each pane; prompts are interrupted. Every few minutes
the daemon or tmux is killed (-9). At the end every prompt that was accepted has exactly one outcome, the services saw each once, and
what was allowed was run and nothing else.

The seed says what is prompted and when what is killed; agents take their time, so a run with the same seed is like the other and not
the same. Exit status: 0 all is well; 1 not, and what.
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

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import Home, temporary_home  # noqa: E402
from tests.fleet.fleet import Fleet  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Run all real agents among people and accidents.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the plan (default: another)")
    parser.add_argument(
        "--keep", type=Path, help="where to copy what is left (default: a new directory, after a failure)"
    )
    args = parser.parse_args()
    print(f"seed {args.seed}, {args.minutes:g} minutes", flush=True)
    began = time.monotonic()
    with temporary_home() as home:
        fleet = Fleet(home, args.seed, lambda words: print(words, flush=True))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, partial(leave, fleet, home))
        try:
            try:
                wrong = fleet.run(60 * args.minutes)
            except AssertionError as error:
                wrong = [f"the run was not finished: {error}"]
            place = args.keep or (Path(tempfile.mkdtemp(prefix="agents-")) if wrong else None)
            if place is not None:
                keep(home, place)
        finally:
            fleet.close()
    if not wrong:
        print(f"every prompt has one outcome, after {time.monotonic() - began:.0f} s")
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


def leave(fleet: Fleet, home: Home, number: int, frame: FrameType | None) -> None:
    """End what was started, by force."""
    if fleet.daemon.process is not None:
        fleet.daemon.process.kill()
    tmux = ["tmux", "-S", str(home.namespace / "anvillm.tmux"), "kill-server"]
    subprocess.run(tmux, capture_output=True, check=False, timeout=10)
    shutil.rmtree(home.top, ignore_errors=True)
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
