"""The judge of a run: each prompt has one outcome, and a true one. Pure."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from anvilsrv.backends.backend import Backend
from anvilsrv.sessions.facts import squeezed
from anvilsrv.sessions.prompt import clean

DOUBT, CHANGED, CUT = "in doubt", "its text was changed", "interrupted"
GONE = "it is gone from the input"  # the person has cleared it
BETWEEN = 0.05  # of all that may be sent with a person's key in it: one pressed after the look and before the Enter; two always may
MANY = 0.05  # of all that may fail while a person works in the pane; two always may
MARK = re.compile(r"n(\d+)n")  # the number of a prompt (shapes.py)


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


def judge(result: Result, backend: Backend, taken: list[str], answer: Callable[[str], str]) -> None:
    """Check that each came exactly once, or failed with a true reason; in their order; and nothing else was taken."""
    exact, order = [squeezed(one) for one in taken], list[int]()
    for number, one in enumerate(result.outcomes):
        typed = squeezed(backend.prompt_text(clean(one.text)))
        at = [place for place, text in enumerate(exact) if text == typed]
        order += at[:1]
        why = wrong(one, backend, [taken[place] for place in at], answer)
        if why:
            result.wrong.append(f"{number} ({one.shape}, {one.state}: {one.said[:160]!r}) {why}")
    if order != sorted(order):
        result.wrong.append(f"taken out of order: {order}")
    result.wrong += strays(result, backend, taken)
    changed = sum(CHANGED in one.said for one in result.outcomes if one.state == "failed")
    if changed > max(2, len(result.outcomes) * BETWEEN):  # the person never presses Enter
        result.wrong.append(
            f"{changed} of {len(result.outcomes)} were sent with a person's keys in them: Enter was pressed without a look"
        )
    failed = Counter(one.shape for one in result.outcomes if one.state == "failed")
    gone = sum(GONE in one.said for one in result.outcomes if one.state == "failed")
    if gone > result.did["clears"]:
        result.wrong.append(f"{gone} were gone from the input, which the person cleared {result.did['clears']} times")
    if failed.total() - gone > max(2, len(result.outcomes) * MANY):
        result.wrong.append(f"{failed.total()} of {len(result.outcomes)} failed: more than a person can have disturbed")
    done = {one.shape for one in result.outcomes if one.state == "done"}
    result.wrong += [f"none arrived: {shape}" for shape, times in failed.items() if times > 1 and shape not in done]


def wrong(one: Outcome, backend: Backend, taken: list[str], answer: Callable[[str], str]) -> str:
    """Return what is not as it must be with this one, which the agent took that many times; empty if all is."""
    if len(taken) > 1:
        return f"was taken {len(taken)} times"
    match one.state:
        case "done" if not taken:
            return "was never taken"
        case "done" if squeezed(answer(taken[0])) not in squeezed(one.said):
            return "has another answer than its own"
        case "done":
            return ""
        case "failed" if not any(why in one.said for why in (DOUBT, CHANGED, CUT)):
            return "failed for no known reason"
        case "failed" if taken and DOUBT not in one.said and CUT not in one.said:
            return "was taken all the same"
        case "failed":
            return ""
        case "refused" if taken:
            return "was taken all the same"
        case "refused":
            why = backend.refusal(clean(one.text), "")
            return "" if why and why in one.said else "was refused for no known reason"
        case _:
            return "has no end"


def strays(result: Result, backend: Backend, taken: list[str]) -> list[str]:
    """Return what was taken and is none of ours as it was written. A prompt that a person changed has failed, and its
    number is in it.
    """
    ours = {squeezed(backend.prompt_text(clean(one.text))) for one in result.outcomes}
    found = list[str]()
    for text in taken:
        numbers = {int(one) for one in re.findall(MARK, text)}
        if squeezed(text) not in ours and not any(
            number < len(result.outcomes) and result.outcomes[number].state == "failed" for number in numbers
        ):
            found.append(f"taken, and not ours: {text[:100]!r}")
    return found
