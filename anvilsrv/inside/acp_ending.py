"""How a turn ended, from the agent's answer to its prompt. Pure.

Agents tell failures in three ways: as an error, as a reason to stop, or, with a vendor's extension, typed in the answer's ``_meta``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anvilsrv.inside.acp_turn import Turn
from anvilsrv.inside.acp_wire import HALF, SENTENCE, Answer
from anvilsrv.inside.shellagent import payload

REASONS = {
    "refusal": "the agent refused to go on",
    "max_tokens": "the answer reached the most tokens that it may have",
    "max_turn_requests": "the turn reached the most requests that it may make",
}
FIGURES = {
    "input": "inputTokens", "output": "outputTokens", "cached": "cachedReadTokens", "thinking": "thoughtTokens",
}  # fmt: skip
KNOWN = ("end_turn", "cancelled", *REASONS)
LEVELS = 6
LARGEST = 5_000_000  # bytes of an answer


@dataclass(frozen=True)
class Ending:
    """``kind`` is the report: Stop, Fail or Interrupt; with its ``fields``, and what the turn has used. ``note``: what is not known,
    of which no one need take notice."""

    kind: str
    fields: Mapping[str, Any]
    usage: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


def ending(answer: Answer, turn: Turn) -> Ending:
    """Return what the answer means. Whatever comes after a cancel is a cancelled turn."""
    usage = figures(answer.result.get("usage"))
    if turn.cancelled:
        return Ending("Interrupt", {}, usage)
    if answer.error is not None:
        detail = answer.error.data
        return Ending(
            "Fail", {"reason": answer.error.words, "detail": "" if detail is None else str(detail)[:2000]}, usage
        )
    failure = _failure(answer.result.get("_meta"), LEVELS)
    if failure is not None:
        return Ending("Fail", {"reason": failure}, usage)
    stop = answer.result.get("stopReason")
    if stop == "cancelled":
        return Ending("Interrupt", {}, usage)
    if isinstance(stop, str) and stop in REASONS:
        return Ending("Fail", {"reason": REASONS[stop]}, usage)
    note = "" if stop in KNOWN else f"the agent stopped for a reason that is not known: {stop!r}"[:300]
    return Ending("Stop", payload(said(turn.answer)), usage, note)


def said(text: str) -> bytes:
    """Return the bytes of an answer, as many as a report can hold; lone surrogates, which JSON lets through, are
    U+FFFD.
    """
    data = HALF.sub("\ufffd", text).encode()
    return data if len(data) <= LARGEST else data[:LARGEST].decode("utf-8", "ignore").encode()


def figures(found: Any) -> dict[str, float]:
    """Return what was used, by our names."""
    given = found if isinstance(found, dict) else {}
    named = {ours: given.get(theirs) for ours, theirs in FIGURES.items()}
    return {
        name: float(value) for name, value in named.items() if isinstance(value, int) and not isinstance(value, bool)
    }


def _failure(found: Any, levels: int) -> str | None:
    """Return the title of a typed failure, wherever the vendor has put it."""
    if not isinstance(found, dict) or not levels:
        return None
    failure = found.get("sessionFailure")
    if isinstance(failure, dict):
        why = str(failure.get("title") or failure.get("category") or "the agent failed")
        return " ".join(why[:SENTENCE].split())
    return next((words for one in found.values() if (words := _failure(one, levels - 1)) is not None), None)
