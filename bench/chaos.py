"""A daemon for an hour among accidents: the disk full, the clock moved, silence, kill -9; and see that each prompt has one outcome.

    python bench/chaos.py [--minutes 60] [--seed N] [--keep DIRECTORY]

Four agents, eight writers. The seed says when what happens; it is printed, to repeat a failure. The accidents are bound to
the machine's time, so a run with the same seed is like the other and not the same. Where a file system can be mounted in a namespace of
its own, the disk that is full is one of 96 MB; elsewhere the daemon's files may not grow. The same for half a minute is
tests/daemon/test_chaos.py. Exit status: 0 all is well; 1 not, with what, and where what is left of the run was copied; 130 or 143:
interrupted, and what it started has ended.
"""

import os
import sys
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.accidents import among, arguments, told  # noqa: E402
from tests.chaos.chaos import Chaos  # noqa: E402
from tests.chaos.disk import mountable  # noqa: E402
from tests.conftest import temporary_home  # noqa: E402

WITHIN = "CHAOS_MAY_MOUNT"


def main() -> int:
    args = arguments("Run a daemon among accidents and count what is lost or done twice.")
    if WITHIN not in os.environ and (way := mountable()) is not None:
        again = [sys.executable, __file__, f"--minutes={args.minutes}", f"--seed={args.seed}"]
        again += [f"--keep={args.keep}"] if args.keep else []
        os.execvpe(way[0], [*way, *again], os.environ | {WITHIN: "1"})
    with temporary_home() as home:
        return among(Chaos(home, args.seed, WITHIN in os.environ, told), home, args, "prompt and message")


if __name__ == "__main__":
    sys.exit(main())
