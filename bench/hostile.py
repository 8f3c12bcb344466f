"""A user at work beside one hostile agent, which does all that it can to hurt the daemon and the others, at once.

    python bench/hostile.py [--minutes 1]

Prints the medians of the user's reads and writes, undisturbed and attacked in turn, with their ratios, the daemon's largest memory, and
what each attack did and was told. The same for some seconds is tests/daemon/test_hostile.py.
"""

import argparse
import json
import sys
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import Daemon, temporary_home  # noqa: E402
from tests.hostile.run import run  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Time a user's work beside a hostile agent.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long it attacks (default 1)")
    parser.add_argument(
        "--only", default="", help="of the attacks, by their names in tests/hostile/agent.py (default: all)"
    )
    args = parser.parse_args()
    with temporary_home() as home:
        daemon = Daemon(home)
        try:
            made = run(home, daemon, max(1, round(args.minutes * 6)), min(10.0, args.minutes * 60), args.only)
            for name, (quiet, attacked) in made.medians().items():
                high = [
                    1000 * sorted(made.figures[on][name])[len(made.figures[on][name]) * 19 // 20]
                    for on in (False, True)
                ]
                count = len(made.figures[True][name])
                print(f"{name}\t{quiet:.2f} ms\t{attacked:.2f} ms\t{attacked / quiet:.2f} x"
                      f"\t(19 of 20: {high[0]:.2f}, {high[1]:.2f}; {count} times)")  # fmt: skip
            print(f"memory\t{made.memory:.0f} MB")
            for name, told in made.words.items():
                print(f"{name}\t{json.dumps(told, ensure_ascii=False)[:600]}")
            print(daemon.words()[-3000:], file=sys.stderr)
        finally:
            daemon.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
