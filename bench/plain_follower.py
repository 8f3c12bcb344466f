"""The least that it costs to follow files in Python, as a peer for bench/activity.py: inotify(7), and each line read as JSON.

    python bench/plain_follower.py FILE...

Ends with its standard input; then it prints how many lines there were, and the seconds of processor time that they took.
"""

import json
import os
import select
import sys
import time
from pathlib import Path

import ended  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from anvilsrv.linux.inotify import IN_MODIFY, Inotify


def main() -> None:
    if not sys.argv[1:] or "--help" in sys.argv:
        print(__doc__)
        return
    inotify = Inotify()
    files = {inotify.add(path, IN_MODIFY): os.open(path, os.O_RDONLY) for path in sys.argv[1:]}
    poll, lines = select.poll(), 0
    poll.register(inotify.fileno(), select.POLLIN)
    poll.register(0, select.POLLIN)
    began, going = time.process_time(), True
    while going:
        ready = dict(poll.poll())
        for number in inotify.read() if inotify.fileno() in ready else ():
            for line in os.read(files[number], 65536).splitlines():
                lines += isinstance(json.loads(line), dict)
        going = 0 not in ready or bool(os.read(0, 100))
    print(lines, time.process_time() - began)


if __name__ == "__main__":
    main()
