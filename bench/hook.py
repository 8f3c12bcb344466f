"""How long an agent waits for ``anvillm-hook``: the whole process, with a daemon's answer and while there is none.

    python bench/hook.py [-n 60]

Prints medians, the best and 95th percentiles in ms, beside bare ``python -I -S -c pass`` in the same run; wall and processor time. The
report is a Note, so that nothing else happens. Everything runs in a directory of its own and is gone afterwards.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import Daemon, Home, wait_until  # noqa: E402

PAYLOAD = json.dumps({"session_id": "x", "text": "y" * 2000}).encode()
LIMIT = 60.0  # ms


def used() -> float:
    """Return the processor time of children so far, in s."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def measure(argv: list[str], env: dict[str, str], count: int) -> tuple[list[float], float]:
    """Return wall times in ms, sorted, and the mean processor time."""
    walls = []
    before = used()
    for _ in range(count):
        began = time.perf_counter()
        subprocess.run(argv, input=PAYLOAD, env=env, stdout=subprocess.DEVNULL, check=True)
        walls.append((time.perf_counter() - began) * 1000)
    return sorted(walls), (used() - before) / count * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=60, help="runs of each")
    count = parser.parse_args().n
    python = os.path.realpath(sys.executable)
    hook = [python, "-I", "-S", str(ROOT / "anvilsrv" / "inside" / "hook.py"), "Note"]
    with tempfile.TemporaryDirectory(prefix="av-", dir="/tmp") as top:
        home = Home(Path(top))
        daemon = Daemon(home).start()
        try:
            client = daemon.client()
            id = client.write_read("ctl", f"new shell {home.work}".encode()).decode().strip()
            wait_until(lambda: client.read(f"{id}/state") == b"idle\n", "the shell is to be idle")
            place = next((home.home / ".local/state/anvillm").iterdir()) / "sessions" / id / "ns"
            env = {**home.env, "NAMESPACE": str(place), "ANVILLM_SESSION": id}
            rows = {
                "bare python": measure([python, "-I", "-S", "-c", "pass"], env, count),
                "answered by the daemon": measure(hook, env, count),
            }
            daemon.kill()
            rows["spooled, no daemon"] = measure(hook, env, count)
            daemon.start()
        finally:
            daemon.close()
    for name, (walls, cpu) in rows.items():
        median, late = statistics.median(walls), walls[int(len(walls) * 0.95)]
        print(f"{name:24} {median:6.1f} ms  best {walls[0]:6.1f}  p95 {late:6.1f}  processor {cpu:6.1f}")
    processor = rows["answered by the daemon"][1]  # wall time tells of the machine's load too
    print(f"limit {LIMIT:g} ms: {'kept' if processor <= LIMIT else 'MISSED'}")


if __name__ == "__main__":
    main()
