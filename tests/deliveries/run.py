"""The run: prompts of every shape are written while a person works in the pane, and then each has one outcome, and a true one."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from anvilsrv.backends.backend import Backend
from anvilsrv.errors import AnvilError
from anvilsrv.sessions.facts import squeezed
from anvilsrv.sessions.prompt import clean
from tests.conftest import wait_until
from tests.deliveries.person import Person
from tests.session import Session

AHEAD = 4  # prompts that are written before the first of them is answered
DOUBT, CHANGED, CUT = "in doubt", "its text was changed", "interrupted"
WITHIN = 240.0  # s for so many prompts, while somebody is in the way


@dataclass
class Outcome:
    """What became of one prompt: its state in turns/list, and its answer or the reason that there is none."""

    shape: str
    text: str
    state: str = "refused"
    said: str = ""


@dataclass
class Result:
    """Of all."""

    outcomes: list[Outcome] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        return Counter(
            f"failed ({one.shape}): {one.said[:150]}" if one.state == "failed" else one.state for one in self.outcomes
        )


def deliver(
    agent: Session, backend: Backend, texts: list[tuple[str, str]], seed: int, taken: Callable[[], list[str]], echoes: bool,
    pace: float = 0.3, progress: Callable[[int], None] = lambda number: None,
) -> Result:  # fmt: skip
    """``taken``: what the agent took so far; ``echoes``: its answer holds the prompt.
    ``pace``: s between what the person does, at most."""
    result, person = Result(), Person(agent, seed, backend.input.clear, pace)
    numbers = dict[int, Outcome]()
    try:
        for first in range(0, len(texts), AHEAD):
            for shape, text in texts[first : first + AHEAD]:
                outcome = Outcome(shape, text)
                result.outcomes.append(outcome)
                try:
                    agent.prompt(text)
                except AnvilError as error:
                    outcome.said = str(error)
                else:
                    numbers[max(n for n, state, origin in listed(agent) if origin == "queue")] = outcome
            wait_until(lambda: not waiting(agent), f"prompts wait: {agent.row}", WITHIN)
            progress(first)
    except AssertionError as error:
        result.wrong.append(str(error))
    finally:
        person.close()
    result.did, result.wrong = person.did, result.wrong + person.errors
    learn(agent, numbers)
    judge(result, backend, taken(), echoes)
    return result


def listed(agent: Session) -> list[tuple[int, str, str]]:
    rows = [line.split("\t") for line in agent.read("turns/list").splitlines()]
    return [(int(row[0]), row[1], row[2]) for row in rows]


def waiting(agent: Session) -> bool:
    return any(state in ("queued", "sending", "running") for _, state, _ in listed(agent))


def learn(agent: Session, numbers: dict[int, Outcome]) -> None:
    states = {n: state for n, state, _ in listed(agent)}
    for n, outcome in numbers.items():
        outcome.state = states[n]
        if outcome.state in ("done", "failed"):
            try:
                outcome.said = agent.read(f"turns/{n}/out")
            except AnvilError as error:
                outcome.said = str(error)


def judge(result: Result, backend: Backend, taken: list[str], echoes: bool) -> None:
    """Each exactly once, or failed with a true reason; in their order; and nothing else was taken."""
    exact, order = [squeezed(one) for one in taken], list[int]()
    for number, one in enumerate(result.outcomes):
        typed = backend.prompt_text(clean(one.text))
        times, name = exact.count(squeezed(typed)), f"{number} ({one.shape}, {one.state}: {one.said[:160]!r})"
        if times:
            order.append(exact.index(squeezed(typed)))
        if times > 1:
            result.wrong.append(f"{name} was taken {times} times")
        elif one.state == "done" and not times:
            result.wrong.append(f"{name} was never taken")
        elif one.state == "done" and echoes and squeezed(typed) not in squeezed(one.said):
            result.wrong.append(f"{name} has another answer than its own")
        elif one.state == "failed" and times and DOUBT not in one.said and CUT not in one.said:
            result.wrong.append(f"{name} was taken all the same")
        elif one.state == "failed" and not any(why in one.said for why in (DOUBT, CHANGED, CUT)):
            result.wrong.append(f"{name} failed for no known reason")
        elif one.state not in ("done", "failed", "refused"):
            result.wrong.append(f"{name} has no end")
    if order != sorted(order):
        result.wrong.append(f"taken out of order: {order}")
    ours = {squeezed(backend.prompt_text(clean(one.text))) for one in result.outcomes}
    strays = [one for one in exact if one not in ours]
    failed = sum(one.state == "failed" for one in result.outcomes)
    if len(strays) > failed:
        result.wrong.append(f"taken, and not ours: {json.dumps([one[:100] for one in strays], ensure_ascii=False)}")
