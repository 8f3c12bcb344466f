"""Diffs as agents give them: counted, and made of the hunks that some give instead. Pure."""

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)", re.MULTILINE)
HUNKS = 1000
LARGEST = 1 << 20  # characters of a text that is compared
COMPARED = 10_000  # lines times lines that are compared; difflib may take their square
AROUND = 3  # lines that are the same, before and after


def of_hunks(hunks: list[Any]) -> str:
    """Return the unified diff of hunks as Claude Code has them: ``oldStart``, ``oldLines``, ``newStart``, ``newLines``
    and ``lines``.
    """
    out: list[str] = []
    for one in hunks[:HUNKS]:
        if isinstance(one, Mapping) and isinstance(one.get("lines"), list):
            old, new = (f"{_number(one, f'{side}Start')},{_number(one, f'{side}Lines')}" for side in ("old", "new"))
            out += [f"@@ -{old} +{new} @@", *(line for line in one["lines"] if isinstance(line, str))]
    return "\n".join(out) + "\n" if out else ""


def _number(hunk: Mapping[str, Any], name: str) -> int:
    value = hunk.get(name)
    return value if isinstance(value, int) else 0


def counted(diff: str) -> dict[str, int]:
    """Return how many lines a unified diff adds and removes, and the first line that differs."""
    lines = diff.split("\n")
    body = [line for line in lines if not line.startswith(("+++ ", "--- ", "Index: ", "=====", "diff --git"))]
    found = HUNK.search(diff)
    made = {"added": sum(line.startswith("+") for line in body), "removed": sum(line.startswith("-") for line in body)}
    if found is None:
        return made
    hunk = diff[found.end() :].split("\n")[1:]
    same = next((at for at, line in enumerate(hunk) if line.startswith(("+", "-"))), 0)
    return made | {"line": max(1, int(found[1]) + same)}


def between(old: str, new: str, whole: bool = True) -> str:
    """Return the unified diff of two texts, one hunk from the first line that differs to the last; empty if a text is
    too large. If much differs, all of the old comes before all of the new. Of texts that are not `whole` files it is not known
    in which lines they stand: their hunk has no numbers.
    """
    if max(len(old), len(new)) > LARGEST:
        return ""
    before, after = old.splitlines(), new.splitlines()
    head = _same(before, after)
    tail = _same(before[head:][::-1], after[head:][::-1])
    gone, come = before[head : len(before) - tail], after[head : len(after) - tail]
    if not gone and not come:
        return ""
    first = max(0, head - AROUND)
    above, below = before[first:head], before[len(before) - tail :][:AROUND]
    around = len(above) + len(below)
    ranges = [f"{first + bool(count)},{count}" for count in (around + len(gone), around + len(come))]
    lines = [*(f" {one}" for one in above), *_changed(gone, come), *(f" {one}" for one in below)]
    return "\n".join([f"@@ -{ranges[0]} +{ranges[1]} @@" if whole else "@@", *lines]) + "\n"


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines they have in common at the beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _changed(gone: Sequence[str], come: Sequence[str]) -> list[str]:
    if len(gone) * len(come) > COMPARED:
        return [*(f"-{one}" for one in gone), *(f"+{one}" for one in come)]
    lines: list[str] = []
    for what, i, j, k, m in SequenceMatcher(None, gone, come, autojunk=False).get_opcodes():
        if what == "equal":
            lines += [f" {one}" for one in gone[i:j]]
        else:
            lines += [*(f"-{one}" for one in gone[i:j]), *(f"+{one}" for one in come[k:m])]
    return lines
