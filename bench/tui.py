"""How long a person waits for anvillm: from the start of the program to its first screen.

    python bench/tui.py [runs]

It needs no daemon: the first paint waits for nobody.
"""

import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ended  # noqa: F401
from arguments import numbers

ROOT = Path(__file__).resolve().parent.parent


def first_paint(namespace: str) -> float:
    """Return the s from the start of the program until the line of keys is on the screen."""
    master, slave = pty.openpty()
    began = time.monotonic()
    env = os.environ | {"NAMESPACE": namespace, "TERM": "xterm-256color"}
    child = subprocess.Popen([sys.executable, "-m", "tui"], stdin=slave, stdout=slave, stderr=slave, env=env, cwd=ROOT)
    os.close(slave)
    try:
        seen = b""
        while b"s start" not in seen:
            if not select.select([master], [], [], 30)[0]:
                raise TimeoutError(seen)
            seen += os.read(master, 65536)
        return time.monotonic() - began
    finally:
        child.terminate()
        child.wait()
        os.close(master)


def main() -> None:
    runs = int(numbers(__doc__, runs=10)[0])
    with tempfile.TemporaryDirectory() as namespace:
        times = sorted(first_paint(namespace) for _ in range(runs))
    print(
        f"first paint, {runs} runs: median {statistics.median(times):.2f} s, fastest {times[0]:.2f} s, slowest {times[-1]:.2f} s"
    )


if __name__ == "__main__":
    main()
