"""The run: prompts of every shape are written while a person works in the pane, and then each has one outcome, and a true one."""

from collections.abc import Callable

from anvilsrv.backends.backend import Backend
from anvilsrv.errors import AnvilError
from tests.conftest import wait_until
from tests.deliveries.judge import Outcome, Result, judge
from tests.deliveries.person import Person
from tests.session import Session

AHEAD = 4  # prompts that are written before the first of them is answered
WITHIN = 240.0  # s for so many prompts, while somebody is in the way


def deliver(
    agent: Session, backend: Backend, texts: list[tuple[str, str]], seed: int, taken: Callable[[], list[str]],
    answer: Callable[[str], str], pace: float = 0.3, progress: Callable[[int], None] = lambda number: None,
) -> Result:  # fmt: skip
    """``taken``: what the agent took so far; ``answer``: what it says to a text that it took.
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
    judge(result, backend, taken(), answer)
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
