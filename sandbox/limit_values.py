"""How a limit is written and read: memory in bytes, ``cpu`` in percent of one processor, ``pids``, ``time`` in seconds; and, which is
no limit of a sandbox, ``activity`` in bytes.

None is no limit.
"""

from __future__ import annotations

import re

from sandbox.groups import size

NAMES = ("memory", "cpu", "pids", "time")
OPEN = "none"
LEAST = {"memory": 32 << 20, "cpu": 1, "pids": 16, "time": 1, "activity": 1 << 20}  # with less no agent starts
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SPANS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
MOST = 1 << 53


def parse(name: str, said: object) -> int | None:
    """Return the value of a limit as a layer or a person writes it. ValueError has the reason."""
    if said == OPEN:
        return None
    reader = {"memory": _bytes, "cpu": _percent, "pids": _count, "time": _seconds, "activity": _bytes}[name]
    found = None if isinstance(said, bool) else reader(said)
    if found is None:
        example = {"memory": "8G", "cpu": "200%", "pids": "500", "time": "8h", "activity": "256M"}[name]
        raise ValueError(f"{said!r} is not a limit (such as {example}, or {OPEN})")
    if found < LEAST[name]:
        raise ValueError(f"{said} is less than {written(name, LEAST[name])}")
    return min(found, MOST)


def _bytes(said: object) -> int | None:
    found = (
        re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)(?:i?B)?", str(said)) if isinstance(said, str | int) else None
    )
    return int(float(found[1]) * _UNITS[found[2]]) if found else None


def _percent(said: object) -> int | None:
    found = re.fullmatch(r"(\d{1,9})%", said) if isinstance(said, str) else None
    return int(found[1]) if found else None


def _count(said: object) -> int | None:
    return int(str(said)) if isinstance(said, str | int) and re.fullmatch(r"\d{1,9}", str(said), re.ASCII) else None


def _seconds(said: object) -> int | None:
    found = (
        re.fullmatch(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", said)
        if isinstance(said, str)
        else None
    )
    if not found or not any(found.groups()):
        return None
    return sum(int(part or 0) * span for part, span in zip(found.groups(), _SPANS.values(), strict=True))


def written(name: str, value: int | None) -> str:
    """Return a value as ``parse`` reads it."""
    if value is None:
        return OPEN
    if name in ("memory", "activity"):
        return size(value)
    if name == "time":
        return _span(value)
    return f"{value}%" if name == "cpu" else str(value)


def _span(seconds: int) -> str:
    words = []
    for unit, span in _SPANS.items():
        if seconds >= span:
            words.append(f"{seconds // span}{unit}")
            seconds %= span
    return "".join(words) or "0s"
