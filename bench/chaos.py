"""A daemon for an hour among accidents: the disk full, the clock moved, silence, kill -9; and see that each prompt has one outcome.

    python bench/chaos.py [--minutes 60] [--seed N] [--keep DIRECTORY]

Four agents, eight writers. The seed says when what happens; it is printed, to repeat a failure. The accidents are bound to
the machine's time, so a run with the same seed is like the other and not the same. Where a file system can be mounted in a namespace of
its own, the disk that is full is one of 96 MB; elsewhere the daemon's files may not grow. The same for half a minute is
tests/daemon/test_chaos.py. Exit status: 0 all is well; 1 not, with what, and where what is left of the run was copied; 130 or 143:
interrupted, and what it started has ended.
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

from tests.chaos.chaos import Chaos  # noqa: E402
from tests.chaos.disk import mountable  # noqa: E402
from tests.conftest import Home, temporary_home  # noqa: E402

WITHIN = "CHAOS_MAY_MOUNT"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a daemon among accidents and count what is lost or done twice.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the plan (default: another)")
    parser.add_argument(
        "--keep", type=Path, help="where to copy what is left at the end (default: a new directory, after a failure)"
    )
    args = parser.parse_args()
    if WITHIN not in os.environ and (way := mountable()) is not None:
        again = [sys.executable, __file__, f"--minutes={args.minutes}", f"--seed={args.seed}"]
        again += [f"--keep={args.keep}"] if args.keep else []
        os.execvpe(way[0], [*way, *again], os.environ | {WITHIN: "1"})
    print(f"seed {args.seed}, {args.minutes:g} minutes", flush=True)
    began = time.monotonic()
    with temporary_home() as home:
        chaos = Chaos(home, args.seed, WITHIN in os.environ, lambda words: print(words, flush=True))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, partial(leave, chaos, home))
        try:
            try:
                wrong = chaos.run(60 * args.minutes)
            except AssertionError as error:
                wrong = [f"the run was not finished: {error}"]
            place = args.keep or (Path(tempfile.mkdtemp(prefix="chaos-")) if wrong else None)
            if place is not None:
                chaos.keep(place)
        finally:
            chaos.close()
    if not wrong:
        print(f"every prompt and message has one outcome, after {time.monotonic() - began:.0f} s")
        return 0
    print(f"WRONG with --minutes {args.minutes:g} --seed {args.seed}; kept in {place}:", file=sys.stderr)
    print("\n".join(wrong[:100]), file=sys.stderr)
    return 1


def leave(chaos: Chaos, home: Home, number: int, frame: FrameType | None) -> None:
    """End what was started, by force: the daemon may be stopped just now, and the writers wait for it."""
    if chaos.daemon.process is not None:
        chaos.daemon.process.kill()
    tmux = ["tmux", "-S", str(home.namespace / "anvillm.tmux"), "kill-server"]
    subprocess.run(tmux, capture_output=True, check=False, timeout=10)
    shutil.rmtree(home.top, ignore_errors=True)
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
