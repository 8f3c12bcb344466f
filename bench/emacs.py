"""How fast the Emacs list is with 1 000 sessions: first drawing, one changed row, an event on screen.

    python bench/emacs.py [--sessions 1000] [--beside DIR] [--rounds 1]

Emacs runs byte-compiled in a terminal of tmux, against a small 9P tree in a process of its own. ``--beside`` has another edition of the
package, compiled already: the two take turns, so that what else the machine does slows both. A row costs less of the processor
(``cpu``) than is seen on a busy machine; that figure is for comparison.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"first_draw_ms": 300, "row_changed_ms": 5, "event_ms": 50}


def compile_into(target: Path) -> None:
    """Byte-compile the package into ``target``, away from the sources."""
    for source in (ROOT / "emacs").glob("anvillm*.el"):
        (target / source.name).write_bytes(source.read_bytes())
    subprocess.run(
        ["emacs", "-Q", "--batch", "-L", str(target), "-f", "batch-byte-compile", *map(str, target.glob("*.el"))],
        check=True, capture_output=True,
    )  # fmt: skip


def tmux(socket: Path, *words: str) -> str:
    return subprocess.run(["tmux", "-S", str(socket), *words], check=True, capture_output=True, text=True).stdout


def read_figures(path: Path) -> dict[str, float] | None:
    """Return what Emacs wrote; None while it is not there, or not there whole."""
    try:
        found: dict[str, float] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return found


def event_latency(work: Path, lisp: Path, tree: "subprocess.Popen[str]", screen: Path) -> float:
    """Return the median milliseconds from an event's publication to its text on the terminal's screen."""
    assert tree.stdin is not None
    tmux(screen, "new-window", "-n", "live", f"emacs -nw -Q -L {lisp} -l anvillm -f anvillm")
    times = []
    for number in range(40):
        word = f"mark{number:02d}"
        while number == 0 and "agent-1 " not in tmux(screen, "capture-pane", "-p", "-t", "live"):
            time.sleep(0.05)
        started = time.perf_counter()
        tree.stdin.write(
            json.dumps({"type": "state_change", "session_id": "00000002", "state": "running", "alias": word}) + "\n"
        )
        tree.stdin.flush()
        while word not in tmux(screen, "capture-pane", "-p", "-t", "live"):
            pass
        times.append(1000 * (time.perf_counter() - started))
    return sorted(times)[len(times) // 2]


def measure(lisp: Path, sessions: int) -> dict[str, float]:
    """Return the figures of one edition, in an Emacs and a tree of its own."""
    with tempfile.TemporaryDirectory(prefix="ab") as name:
        work = Path(name)
        env = {
            **os.environ,
            "NAMESPACE": name,
            "HOME": name,
            "BENCH_OUT": str(work / "out"),
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
        }
        tree = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/emacs/fake_tree.py"), str(work / "agent"), str(sessions)],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        screen = work / "tmux"
        try:
            assert tree.stdout is not None
            tree.stdout.readline()
            subprocess.run(
                ["tmux", "-S", str(screen), "-f", "/dev/null", "new-session", "-d", "-x", "160", "-y", "50",
                 f"emacs -nw -Q -L {lisp} -l {ROOT}/bench/emacs-list.el"],
                check=True, env=env,
            )  # fmt: skip
            tmux(screen, "set-option", "-g", "remain-on-exit", "on")
            end = time.monotonic() + 300
            while (figures := read_figures(work / "out")) is None:
                assert time.monotonic() < end, "Emacs gave no figures"
                time.sleep(0.05)
            figures["event_ms"] = event_latency(work, lisp, tree, screen)
        finally:
            subprocess.run(["tmux", "-S", str(screen), "kill-server"], capture_output=True)
            tree.stdin.close()  # type: ignore[union-attr]
            tree.wait(10)
    return figures


def main() -> int:
    """Print the figures, medians of the rounds; 1 if one is over its limit."""
    args = argparse.ArgumentParser()
    args.add_argument("--sessions", type=int, default=1000)
    args.add_argument("--beside", type=Path)
    args.add_argument("--rounds", type=int, default=1)
    given = args.parse_args()
    with tempfile.TemporaryDirectory(prefix="ab") as name:
        lisp = Path(name)
        compile_into(lisp)
        editions = {"this": lisp} | ({"other": given.beside} if given.beside else {})
        found: dict[str, list[dict[str, float]]] = {one: [] for one in editions}
        for _ in range(given.rounds):
            for one, where in editions.items():
                found[one].append(measure(where, given.sessions))
    print(f"{'':24}" + "".join(f"{one:>10}" for one in found))
    for key in found["this"][0]:
        print(f"{key:24}" + "".join(f"{median(rounds, key):>10}" for rounds in found.values()))
    return int(any(float(median(found["this"], key)) > limit for key, limit in LIMITS.items()))


def median(rounds: list[dict[str, float]], key: str) -> str:
    """Return the figure in the middle; what Emacs said instead, if it failed."""
    values = [one.get(key, one.get("error", 1e9)) for one in rounds]
    return str(values) if any(isinstance(v, str) for v in values) else f"{sorted(values)[len(values) // 2]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
