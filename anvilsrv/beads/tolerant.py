"""What bd, its earlier versions and people's hands leave in ``issues.jsonl`` that is not as it should be, and can be kept all the same.

Each change is a sentence; what is not mended here is for ``record.normal`` to judge.
"""

from __future__ import annotations

import re
from typing import Any

from anvilsrv.beads.record import Record
from anvilsrv.errors import Invalid

TIMES = ("created_at", "updated_at", "started_at", "closed_at", "due_at", "defer_until")
_PRIORITY = re.compile(r"\s*[Pp]?([0-4])(?:\.0)?\s*")
_MARKS = (b"<<<<<<<", b"|||||||", b"=======", b">>>>>>>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def refuse_conflict(line: bytes) -> None:
    """Raise Invalid for what git leaves in a file where two versions do not go together."""
    if line.startswith(_MARKS):
        raise Invalid("a conflict marker of git: resolve the merge first")


def mended(found: Record) -> tuple[Record, list[str]]:
    """Return the record as it can be taken, and what was changed in it. Raises Invalid for a title of several lines."""
    record, notes = dict(found), list[str]()
    if isinstance(title := record.get("title"), str) and _CONTROL.search(title):
        raise Invalid("a title must be one line of text")
    for key in TIMES:
        if isinstance(record.get(key), str) and not record[key].strip():
            del record[key]
            notes.append(f"{key} is empty, and left out")
    for key, number in (
        ("priority", _priority(record.get("priority"))),
        ("estimated_minutes", _whole(record.get("estimated_minutes"))),
    ):
        if number is not None:
            notes.append(f"{key} {record[key]!r} is taken as {number}")
            record[key] = number
    for key in ("dependencies", "comments"):
        _rows(record, key, notes)
    return record, notes


def _priority(value: Any) -> int | None:
    """Return the number that a priority of another kind means; None if there is nothing to repair."""
    if type(value) is int or value is None:
        return None
    match = _PRIORITY.fullmatch(str(value)) if isinstance(value, str | float) else None
    return int(match[1]) if match else None


def _whole(value: Any) -> int | None:
    """Return the whole number that a float or a text means; None if there is nothing to repair."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}(\.0+)?\s*", value):
        value = float(value)
    return int(value) if isinstance(value, float) and value.is_integer() and 0 <= value < 1e9 else None


def _rows(record: Record, key: str, notes: list[str]) -> None:
    """Repair rows: those under an earlier id belong to this bead; what waits for itself waits for nothing."""
    rows = record.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return
    kept = []
    for row in rows:
        old = row.get("issue_id", record.get("id"))
        if old != record.get("id"):
            notes.append(f"one of its {key} names '{str(old)[:60]}', and is taken as its own")
            row = {**row, "issue_id": record.get("id")}
        if key == "dependencies" and row.get("depends_on_id") in (record.get("id"), old):
            notes.append("it depends on itself, which is left out")
            continue
        kept.append(row)
    record[key] = kept
