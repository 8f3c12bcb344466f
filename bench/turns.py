"""Random runs of the machine of prompt and turn, in the model world of its tests.

    python bench/turns.py [--minutes 2] [--seed 1] [--steps 60]

One run after another, each from its own seed: the seed of the first that breaks a rule is printed with what happened in it. Prints runs
a second, how often each cell of the tables was used, and the moves. Nothing is started and nothing is left behind.
"""

import argparse
import itertools
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from anvilsrv.sessions import course, machine, stepper, turn_machine
from anvilsrv.sessions.machine import Act, Event, Fact, Status
from anvilsrv.sessions.turn_machine import Do, Heard, TurnStatus, When
from tests.sessions.model.moves import walk

Cells = Counter[tuple[str, str, str]]


def counted(cells: Cells) -> None:
    """Count what is done in the cells of the tables."""

    def step(now: Status | None, event: Event, facts: frozenset[Fact]) -> tuple[Act, ...]:
        acts = machine.step(now, event, facts)
        cells[f"prompt {now or 'none'}", event.name.lower(), " ".join(act.name.lower() for act in acts)] += 1
        return acts

    def turn_step(now: TurnStatus | None, heard: Heard, facts: frozenset[When]) -> tuple[Do, ...]:
        done = turn_machine.step(now, heard, facts)
        cells[f"turn {now or 'none'}", heard.name.lower(), " ".join(do.name.lower() for do in done)] += 1
        return done

    stepper.step, course.step = step, turn_step


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    cells, moves = Cells(), Counter[str]()
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
    print("\ncells of the tables")
    for (now, event, done), count in sorted(cells.items()):
        print(f"{count:9} {now}, {event}: {done or '-'}")
    print("\nmoves")
    for name, count in moves.most_common():
        print(f"{count:9} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
