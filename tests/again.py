"""Run the suite, and what failed beside the other tests once more, by itself: a race is then named as one.

A test that fails because the machine is busy is a fault, of the test or of the program, but rarely one of the change that is being
checked. So up to five of them are named at the end and do not fail the run; one that fails by itself too does, and so do six.
Arguments are those of pytest; so is the exit status.
"""

import json
import subprocess
import sys
from pathlib import Path

RACES = 5  # of thousands; more are not chance
WORKERS = ("-n", "4", "--dist", "worksteal")
FAILED = 1  # pytest's exit status when tests ran and some failed


def pytest(*argv: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *argv], check=False).returncode


def failed() -> list[str]:
    """Return what failed in the last run: the ids of tests."""
    kept = Path(".pytest_cache/v/cache/lastfailed")
    return sorted(json.loads(kept.read_text())) if kept.exists() else []


def main(*argv: str) -> int:
    """Run the suite with these arguments of pytest; the exit status."""
    status = pytest("--cache-clear", *WORKERS, *argv)
    names = failed()
    if status != FAILED or not 0 < len(names) <= RACES or not all("::" in name for name in names):
        return status
    print(f"\n{len(names)} failed beside the others: once more, by themselves", flush=True)
    status = pytest(*names)
    if status == 0:
        for name in names:
            print(
                f"NOTE {name} failed beside others and passes by itself: a race, in the test or in the program, to be mended"
            )
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
