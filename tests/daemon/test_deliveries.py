"""Some prompts of every shape while a person works in the pane; ``bench/deliveries.py`` does it with hundreds, and with real agents."""

import subprocess
import sys

import pytest

from anvilsrv.backends.registry import Backends
from tests.conftest import ROOT, Home
from tests.deliveries.judge import Outcome, Result, judge
from tests.scripted import install


@pytest.mark.slow(35)
def test_each_prompt_arrives_once_or_has_failed_for_a_true_reason_while_a_person_works_in_the_pane() -> None:
    program = [sys.executable, ROOT / "bench/deliveries.py", "--prompts=32", "--huge=1", "--seed=15", "--pace=0.3"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


FIRST, SECOND = "the first, n0n", "n1n is the second"
CHANGED = "no response: its text was changed in the agent's input, or the agent took a different text"
DOUBTED = "no response: in doubt: it may have been taken, so it is not typed again"


@pytest.mark.parametrize(
    ("first", "second", "taken", "expected"),
    [
        (("done", FIRST), ("done", SECOND), [FIRST, SECOND], ""),
        (("failed", DOUBTED), ("done", SECOND), [SECOND], ""),
        (("failed", DOUBTED), ("done", SECOND), [FIRST, SECOND], ""),
        (("failed", "its text was changed in the agent's input"), ("done", SECOND), [f"x{FIRST}", SECOND], ""),
        (("done", FIRST), ("refused", "this prompt cannot be typed: no"), [FIRST], "was refused for no known reason"),
        (("done", FIRST), ("done", SECOND), [FIRST, FIRST, SECOND], "was taken 2 times"),
        (("done", FIRST), ("done", SECOND), [FIRST], "was never taken"),
        (("done", FIRST), ("done", FIRST), [FIRST, SECOND], "has another answer than its own"),
        (("done", FIRST), ("done", SECOND), [SECOND, FIRST], "out of order"),
        (("done", FIRST), ("failed", "the agent did not take it within 4 s"), [FIRST], "failed for no known reason"),
        (("done", FIRST), ("failed", "its text was changed"), [FIRST, SECOND], "was taken all the same"),
        (("done", FIRST), ("refused", ""), [FIRST, SECOND], "was taken all the same"),
        (("done", FIRST), ("queued", ""), [FIRST], "has no end"),
        (("done", FIRST), ("done", SECOND), [FIRST, SECOND, SECOND + SECOND], "and not ours"),
        (("done", FIRST), ("done", SECOND), [FIRST, SECOND, "half a li"], "and not ours"),
    ],
)
def test_what_is_judged(
    home: Home, first: tuple[str, str], second: tuple[str, str], taken: list[str], expected: str
) -> None:
    install(home.config)
    result = Result([Outcome("", FIRST, *first), Outcome("", SECOND, *second)])
    rest = [f"n{number}n" for number in range(2, 6)]
    result.outcomes += [Outcome("", one, "done", one) for one in rest]
    judge(result, Backends(home.config / "backends").get("scripted"), taken + rest, str)
    assert bool(result.wrong) == bool(expected)
    assert expected in "\n".join(result.wrong)


@pytest.mark.parametrize(
    ("said", "expected"), [(DOUBTED, "3 of 6 failed"), (CHANGED, "3 of 6 were sent with a person's keys in them")]
)
def test_more_failures_than_a_person_can_have_caused_are_wrong(home: Home, said: str, expected: str) -> None:
    install(home.config)
    backend, texts = Backends(home.config / "backends").get("scripted"), [f"n{number}n" for number in range(6)]
    for failed in (2, 3):
        result = Result(
            [Outcome(one, one, *(("failed", said) if at < failed else ("done", one))) for at, one in enumerate(texts)]
        )
        judge(result, backend, texts[failed:], str)
        assert (expected in "\n".join(result.wrong)) == (failed == 3)
