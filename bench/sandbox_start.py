"""What the sandbox adds to starting a program.

    python bench/sandbox_start.py [rounds]

Starts `true`, a bare `python3 -I -S -c pass` and `true` in the full tier in turn, so that a busy machine slows all of
them alike; prints milliseconds (p50 and least), what the launcher adds, and whether that is within the bounds:
60 ms over `true`, 40 ms over the bare interpreter.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ended  # noqa: F401
from arguments import numbers

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sandbox import launcher, policy, tiers  # noqa: E402
from sandbox.plan import specification  # noqa: E402

OVER_TRUE, OVER_PYTHON = 60.0, 40.0


def command(top: Path) -> list[str]:
    """Return the command line of `true` under the default role with a task that opens ports, as an agent would have it."""
    (top / "session/spool").mkdir(parents=True)
    (top / "proj").mkdir()
    found = policy.load(
        config=[ROOT / "cfg"],
        backend="",
        role=None,
        tasks=[],
        cwd=str(top / "proj"),
        namespace=str(top / "ns"),
        env=os.environ,
    )
    spec = specification(found, ["true"], tier="full", namespace_source=str(top / "session"), tmpdir="", env=os.environ)
    (top / "spec.json").write_text(json.dumps(spec))
    return launcher.command(str(top / "spec.json"))


def milliseconds(argv: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, check=True, close_fds=False)
    return (time.perf_counter() - start) * 1000


def main() -> int:
    rounds = int(numbers(__doc__, rounds=60)[0])
    report = tiers.probe()
    if report.tier != "full":
        print(f"this kernel gives tier {report.tier}: {'; '.join(report.reasons)}")
        return 1
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        sandboxed = command(Path(os.path.realpath(name)))
        cases = {
            "true": [shutil.which("true") or "true"],
            "python": [sandboxed[0], "-I", "-S", "-c", "pass"],
            "sandbox": sandboxed,
        }
        times: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(rounds):
            for case, argv in cases.items():
                times[case].append(milliseconds(argv))
    middle = {case: statistics.median(taken) for case, taken in times.items()}
    for case, taken in times.items():
        print(f"{case:8} p50 {middle[case]:6.1f} ms   least {min(taken):6.1f} ms")
    over_true, over_python = middle["sandbox"] - middle["true"], middle["sandbox"] - middle["python"]
    print(
        f"adds     {over_true:6.1f} ms to true (at most {OVER_TRUE:.0f}), {over_python:.1f} ms over python (at most {OVER_PYTHON:.0f})"
    )
    return 0 if over_true <= OVER_TRUE and over_python <= OVER_PYTHON else 1


if __name__ == "__main__":
    sys.exit(main())
