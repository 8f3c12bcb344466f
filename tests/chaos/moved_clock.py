"""``anvilsrv`` with a wall clock that can be moved: ``python moved_clock.py OFFSET [arguments of anvilsrv]``.

The file OFFSET holds the seconds that are added to the machine's clock, as text.
"""

import os
import sys
import time

from anvilsrv.programs.cli import main


def moved(path: str) -> None:
    """Give this process another time from now on. The monotonic clock stays as it is."""
    fd, machine = os.open(path, os.O_RDONLY | os.O_CLOEXEC), time.time
    time.time = lambda: machine() + float(os.pread(fd, 32, 0))


if __name__ == "__main__":
    moved(sys.argv.pop(1))
    sys.exit(main())
