"""Random runs of the machine of prompt and turn, in the model world of its tests.

    python bench/turns.py [--minutes 2] [--seed 1] [--steps 60] [--lift LIMIT ...]

One run after another, each from its own seed: the seed of the first that breaks a rule is printed with what happened in it. Prints runs
a second, how often each cell of the table was used, and the moves. Nothing is started and nothing is left behind.

``--lift`` lets happen what today's table cannot hold (the fields of ``tests.sessions.model.moves.Limits``); ``all`` lifts every limit.
"""

import argparse
import dataclasses
import itertools
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from anvilsrv.sessions import machine, turns
from anvilsrv.sessions.machine import Acts, Event, Status
from tests.sessions.model.moves import LIMITS, walk

CAN_LIFT = [one.name for one in dataclasses.fields(LIMITS) if one.name != "most_pastes"]


def counted(cells: Counter[tuple[str, str]]) -> None:
    """Count the cells of the table that are looked up."""

    def step(now: Status | None, event: Event) -> Acts:
        cells[str(now or "none"), event.name.lower()] += 1
        return machine.step(now, event)

    turns.step = step


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--lift", nargs="*", default=[], choices=[*CAN_LIFT, "all"])
    given = parser.parse_args()
    for name in CAN_LIFT if "all" in given.lift else given.lift:
        setattr(LIMITS, name, True)
    cells, moves = Counter[tuple[str, str]](), Counter[str]()
    counted(cells)
    began, runs = time.monotonic(), 0
    for seed in itertools.count(given.seed):
        if time.monotonic() - began > 60 * given.minutes:
            break
        try:
            moves.update(line.partition(":")[0] for line in walk(seed, given.steps))
        except AssertionError as error:
            print(error)
            return 1
        runs += 1
    print(f"{runs} runs of {given.steps} steps, seeds {given.seed} to {given.seed + runs - 1}: every rule held")
    print(f"{runs / (time.monotonic() - began):.1f} runs a second")
    print("\ncells of the table")
    for (now, event), count in sorted(cells.items()):
        print(f"{count:9} {now} {event}")
    print("\nmoves")
    for name, count in moves.most_common():
        print(f"{count:9} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
