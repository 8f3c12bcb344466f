"""What a checkpoint costs: against ``git add -A`` with a warm index, and in a turn of a running session.

    python bench/checkpoints.py [--files 5000] [--changed 100] [--runs 9] [--turns]

The first figures are of git alone, in this process and without a sandbox: medians in ms, taken in turns. With ``--turns`` a daemon and
a shell session follow, each prompt one that changes a file: how long after its write it is answered, with checkpoints and with ``git:
{checkpoints: off}``, and how long after the answer its diff can be read.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ended  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from anvilsrv.inside import git_checkpoint
from anvilsrv.inside.git_tree import Tree
from tests.conftest import Daemon, temporary_home
from tests.session import Session

LIMIT = 20 << 20


def medians(runs: int, first: Callable[[int, bool], object], *then: Callable[[], object]) -> list[float]:
    """Return the median of each, in ms; they take turns, so that what else the machine does meets all of them."""
    took: list[list[float]] = [[] for _ in then]
    for run in range(runs):
        for place, one in enumerate(then):
            first(run, place > 0)
            began = time.perf_counter()
            one()
            took[place].append(time.perf_counter() - began)
    return [statistics.median(times) * 1000 for times in took]


def fill(top: Path, files: int) -> None:
    top.mkdir(parents=True)
    for n in range(files):
        path = top / f"d{n // 100}" / f"f{n}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{n}\n" * 20)
    git = ["git", "-c", "gc.auto=0", "-c", "user.name=u", "-c", "user.email=u@x", "-C", str(top)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)


def change(top: Path, count: int, run: int, late: bool) -> None:
    for n in range(count):
        (top / f"d{n}" / f"f{n * 100}").write_text(f"{run} {n} {late}\n")


def alone(where: Path, files: int, changed: int, runs: int) -> None:
    top, check = where / "work", where / "check"
    fill(top, files)
    subprocess.run(["cp", "-r", str(top / ".git"), str(check)], check=True)
    tree = Tree("0", str(top), str(check), "")
    git_checkpoint.make(tree, LIMIT)
    os.sync()  # else the disk is busy with the files just made

    def add() -> None:
        subprocess.run(["git", "-C", str(top), "add", "-A"], check=True)

    def make() -> None:
        git_checkpoint.make(tree, LIMIT)

    for count in (0, changed):
        base, ours = medians(runs, partial(change, top, count), add, make)
        print(
            f"{files} files, {count} changed: git add -A {base:.0f} ms, a checkpoint {ours:.0f} ms, {ours / base:.2f} x"
        )


def turns(files: int, runs: int) -> None:
    with temporary_home() as home:
        fill(home.top / "repository", files)
        (home.config / "tasks").mkdir(parents=True)
        (home.config / "tasks/no.yaml").write_text("git: {checkpoints: off}\n")
        daemon = Daemon(home).start()
        try:
            found = {}
            for task in ("no", ""):
                agent = Session.new(daemon, "shell", *([f"tasks={task}"] if task else []), cwd=home.top / "repository")
                agent.ask("echo 0 > d0/f0")
                answers, ends = [], []
                for run in range(runs):
                    began = time.perf_counter()
                    agent.ask(f"echo {run}{task} > d0/f0")
                    answers.append(time.perf_counter() - began)
                    if not task:
                        began = time.perf_counter()
                        agent.read("turns/last/diff")
                        ends.append(time.perf_counter() - began)
                found[task] = statistics.median(answers) * 1000
                if ends:
                    print(f"{files} files: a turn's diff {statistics.median(ends) * 1000:.0f} ms after its answer")
                agent.write("ctl", "kill")
            print(
                f"{files} files: a prompt is answered after {found['']:.0f} ms, without checkpoints {found['no']:.0f} ms"
            )
        finally:
            daemon.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--changed", type=int, default=50)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--turns", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as where:
        alone(Path(where), given.files, given.changed, given.runs)
    if given.turns:
        turns(given.files, given.runs)


if __name__ == "__main__":
    main()
