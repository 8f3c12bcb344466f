"""Kill the daemon many times while clients write to it, and see that nothing that was answered is lost.

    python bench/kills.py [--kills 250] [--seed N]

The same as tests/daemon/test_never_lost.py, for longer and with a seed of its own each time; the seed is printed, to repeat
a failure. Exit status: 0 nothing was lost, 1 something was, and what.
"""

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import Daemon, temporary_home  # noqa: E402
from tests.kills import Kills  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the daemon under load and count what is lost.")
    parser.add_argument("--kills", type=int, default=250, help="how many (default 250)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 30), help="of the moments (default: another each time)"
    )
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    began = time.monotonic()
    with temporary_home() as home:
        daemon = Daemon(home)
        try:
            load = Kills(daemon.start(), args.seed)
            load.run(args.kills)
        except AssertionError as error:
            print(f"LOST with --seed {args.seed}: {error}\n{daemon.words()[-2000:]}", file=sys.stderr)
            return 1
        finally:
            daemon.close()
    print(
        f"{args.kills} kills in {time.monotonic() - began:.0f} s: {len(load.prompts)} prompts, {len(load.subjects)} messages, "
        f"{len(load.contexts)} contexts and {len(load.aliases)} aliases were answered; none is lost, none came twice"
    )
    print(f"serves again after {statistics.median(load.starts):.2f} s (median), {max(load.starts):.2f} s at most")
    return 0


if __name__ == "__main__":
    sys.exit(main())
