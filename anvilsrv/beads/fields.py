"""The fields of a bead as words of commands, ``key=value``: which there are, by our names and by bd's, and what each may be. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anvilsrv.beads.record import STATUSES, TYPES, Record, check_title, parse_time
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import loads

_KEY = re.compile(r"([a-z_]+)=(.*)", re.DOTALL)


def titled(value: str) -> Any:
    """Return a title. Raises Invalid for one that is not a line of text."""
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise Invalid("a title must be one line of text")
    return check_title(value)


def _text(value: str) -> Any:
    return value or None


def _word(value: str) -> Any:
    if "\n" in value or len(value) > 200:
        raise Invalid(f"invalid text '{value[:40]}': must be one short line")
    return value or None


def _when(value: str) -> Any:
    return parse_time(value) if value else None


def _number(value: str) -> Any:
    if value and not re.fullmatch(r"[0-9]{1,9}", value):
        raise Invalid(f"invalid number '{value[:40]}'")
    return int(value) if value else None


def _priority(value: str) -> Any:
    if not re.fullmatch(r"[Pp]?[0-4]", value):
        raise Invalid(f"invalid priority '{value[:40]}': must be 0 to 4")
    return int(value[-1])


def _status(value: str) -> Any:
    if value not in STATUSES:
        raise Invalid(f"invalid status '{value[:40]}': {' '.join(STATUSES)}")
    return value


def _type(value: str) -> Any:
    if value not in TYPES:
        raise Invalid(f"invalid type '{value[:40]}': {' '.join(TYPES)}")
    return value


def _json(value: str) -> Any:
    try:
        return loads(value or "null")
    except Invalid as error:
        raise Invalid(f"invalid metadata: {error}") from None


def _labels(value: str) -> Any:
    return list(dict.fromkeys(word for word in value.split(",") if word)) or None


_FIELDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "title": ("title", titled),
    "description": ("description", _text),
    "design": ("design", _text),
    "acceptance": ("acceptance_criteria", _text),
    "notes": ("notes", _text),
    "status": ("status", _status),
    "priority": ("priority", _priority),
    "type": ("issue_type", _type),
    "assignee": ("assignee", _word),
    "owner": ("owner", _word),
    "estimate": ("estimated_minutes", _number),
    "due": ("due_at", _when),
    "defer": ("defer_until", _when),
    "ref": ("external_ref", _word),
    "metadata": ("metadata", _json),
    "labels": ("labels", _labels),
}
_FIELDS_OF_BD = {name: (name, check) for name, check in _FIELDS.values()}
UPDATE_KEYS = (*_FIELDS, *_FIELDS_OF_BD)
"""The keys that `update` takes: short ones, and bd's own."""
NEW_KEYS = (*(key for key in UPDATE_KEYS if key not in ("title", "status")), "parent", "deps")


def pair(word: str, keys: Sequence[str]) -> tuple[str, str] | None:
    """Return the key and the value; None if it is no such pair."""
    match = _KEY.fullmatch(word)
    return (match[1], match[2]) if match and match[1] in keys else None


def pairs(words: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """Return the values by their keys. Raises Invalid."""
    found: dict[str, str] = {}
    for word in words:
        one = pair(word, keys)
        if one is None:
            raise Invalid(f"invalid argument '{word[:40]}': must be key=value (keys: {' '.join(dict.fromkeys(keys))})")
        found[one[0]] = one[1]
    return found


def change(record: Record, given: Mapping[str, str]) -> None:
    """Change a record. Raises Invalid for a value that its field cannot have."""
    for key, value in given.items():
        name, check = _FIELDS.get(key) or _FIELDS_OF_BD[key]
        record[name] = check(value)
