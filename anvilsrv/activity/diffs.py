"""Diffs as agents give them: counted, and made of the hunks that some give instead. Pure."""

import re
from collections.abc import Mapping
from typing import Any

HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)", re.MULTILINE)
HUNKS = 1000


def of_hunks(hunks: list[Any]) -> str:
    """The unified diff of hunks as Claude Code has them: ``oldStart``, ``oldLines``, ``newStart``, ``newLines`` and ``lines``."""
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
    """The lines that a unified diff adds and removes, and the first line that is another."""
    lines = diff.split("\n")
    body = [line for line in lines if not line.startswith(("+++ ", "--- ", "Index: ", "=====", "diff --git"))]
    found = HUNK.search(diff)
    made = {"added": sum(line.startswith("+") for line in body), "removed": sum(line.startswith("-") for line in body)}
    return made | ({"line": int(found[1])} if found is not None else {})
