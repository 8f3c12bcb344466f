"""Rows of ``hooks:`` and ``transcript:``: which payloads each is for, and what a payload means in our words.

A payload was written by an agent: a path that leads nowhere, or to something of another kind, is a field that is missing.
"""

import base64
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from anvilsrv.backends import templates
from anvilsrv.backends.typed import bounded
from anvilsrv.strict_json import whole

KINDS = (
    "ready", "submit", "stop", "fail", "ask", "answered", "end", "note", "interrupt", "usage",
    "taken", "queued", "joined", "noticed", "refused", "active", "done",
)  # fmt: skip
TEXTS = (
    "text",
    "conversation",
    "transcript",
    "reason",
    "question",
    "detail",
    "diff",
    "what",
    "turn",
    "agent",
    "tool",
    "task",
)
WORKS = 100  # of which a report tells
NAME = 200  # characters of the name of one
SAID = 10_000  # characters of any of them but ``text``
WHOLE = ("question", "diff")  # what a person must see all of before he answers
ASKED = 256 << 10  # characters of those
OFFERED = 50  # choices that a payload brings
MOST = 1e15  # of a figure of usage: sums of them stay numbers
MILLISECONDS = 1e11  # an epoch beyond this is not one of seconds: it would be the year 5138

Conditions = tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True)
class Rule:
    """One row. ``wake`` are conditions too: those of a prompt that the agent gave itself."""

    report: str
    when: Conditions = ()
    unless: Conditions = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    continued: str | None = None
    wake: Conditions = ()
    pending: tuple[str, ...] = ()
    usage: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Any] = field(default_factory=dict)
    offered: str | None = None
    also: str | None = None
    free: Any = None
    otherwise: Any = None

    def applies(self, payload: Mapping[str, Any]) -> bool:
        """Return whether the payload is one of those this rule is for."""
        return matches_all(payload, self.when) and not matches_any(payload, self.unless)

    def read(self, payload: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, Any]:
        """Return what the payload reports; ``texts`` are the paths of rows that have none of their own."""
        fields: dict[str, Any] = {}
        for name, source in {**texts, **self.texts}.items():
            value = _field(source, payload)
            if value is not None:
                fields[name] = value if name == "text" else whole(value[: ASKED if name in WHOLE else SAID])
        if self.continued:
            fields["continued"] = bool(templates.dig(payload, self.continued))
        if self.wake and matches_all(payload, self.wake):
            fields["wake"] = True
        told = [works for path in self.pending if (works := _works(templates.dig(payload, path))) is not None]
        if told:
            fields["pending"] = [one for works in told for one in works]
        if self.usage:
            figures = {name: _figure(payload, path) for name, path in self.usage.items()}
            fields["usage"] = {name: figure for name, figure in figures.items() if figure is not None}
        if self.report == "ask":
            fields["choices"], fields["free"] = list(self.choices), self.free is not None
            if self.offered:
                fields["choices"] = _offered(payload, self.offered)
                fields["free"] = not fields["choices"]
            if self.also:
                fields["also"] = _offered(payload, self.also)
        return fields


def _offered(payload: Mapping[str, Any], path: str) -> list[str]:
    found = templates.dig(payload, path)
    return [whole(one) for one in found if isinstance(one, str)][:OFFERED] if isinstance(found, list) else []


@dataclass(frozen=True)
class Report:
    """What an agent said, in our words. ``fields`` holds what it told: see ``TEXTS``, and continued, wake, pending, usage, until,
    task, choices, free; of a line of the transcript also ``at``, its time (epoch s), and ``mono``, the same on the monotonic clock."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    payload: Mapping[str, Any] = field(default_factory=dict)
    rule: Rule | None = None


def matches_all(payload: Mapping[str, Any], conditions: Conditions) -> bool:
    """Return whether every condition holds."""
    return all(_matches(payload, *one) for one in conditions)


def matches_any(payload: Mapping[str, Any], conditions: Conditions) -> bool:
    """Return whether one of them holds."""
    return any(_matches(payload, *one) for one in conditions)


def moment(
    value: Any, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> dict[str, float]:
    """Return a line's time as the fields ``at`` and ``mono``; empty if it is not a time. A line that was read is not
    from the future, so a clock that was set back does not make it later than now.
    """
    at = _epoch(value)
    return {} if at is None else {"at": at, "mono": monotonic() - max(0.0, wall() - at)}


def _epoch(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MILLISECONDS * 1000:
        return None
    return value / 1000 if value > MILLISECONDS else float(value)


def _matches(payload: Mapping[str, Any], path: str, pattern: re.Pattern[str]) -> bool:
    value = templates.dig(payload, path)
    return value is not None and pattern.search(bounded(templates.as_text(value))) is not None


def _field(source: str, payload: Mapping[str, Any]) -> str | None:
    """Return a field of a report: a path into the payload, or a text with such paths in braces."""
    if "{" in source:
        return templates.fill(source, payload)
    value = templates.dig(payload, source)
    return None if value is None else templates.as_text(value)


def _works(value: Any) -> list[dict[str, Any]] | None:
    """Return work in the background, each with its ``id``, and the ``words`` with which it will prompt, if it has any:
    a list, or how many without names. None: it is not reported.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return [{} for _ in range(min(max(value, 0), WORKS))]
    if not isinstance(value, list):
        return None
    return [_work(one) if isinstance(one, dict) else {} for one in value[:WORKS]]


def _work(found: Mapping[str, Any]) -> dict[str, Any]:
    ident, words = found.get("id"), found.get("prompt")
    named = {"id": whole(str(ident))[:NAME]} if isinstance(ident, str | int) and not isinstance(ident, bool) else {}
    return named | ({"words": whole(words)} if isinstance(words, str) else {})


def _figure(payload: Mapping[str, Any], path: str) -> float | None:
    value = templates.dig(payload, path)
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST
    return value if known else None


def spelled_out(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a payload with its ``text``, which may come in ``base64``: bytes that are not UTF-8 are six times as long
    in JSON. What is not base64 counts as no text.
    """
    coded = payload.get("base64")
    if not isinstance(coded, str):
        return payload
    try:
        data = base64.b64decode(coded, validate=True)
    except ValueError:
        data = b""
    return {**payload, "text": data.decode("utf-8", "surrogateescape")}
