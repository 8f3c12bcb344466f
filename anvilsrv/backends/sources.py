"""Sources: where a field of an object of activity is read from, in a line of an agent's file.

A path into the line, a text with such paths in braces, ``=`` and a text that stands for itself, or, where only a few words can be
meant, one of them; or a table, word → pattern of what ``of`` gives; or, of a list, ``each`` and the fields of a member.

What an agent writes is hostile: a path that leads nowhere gives nothing, and what it gives goes through ``activity/schema.py``. Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.activity import diffs
from anvilsrv.activity.fields import Field, Flag, Line, Number, Rows, Text, Word
from anvilsrv.activity.schema import COMMON, KINDS
from anvilsrv.backends import templates
from anvilsrv.backends.typed import bounded

ITEMS = 200  # members of a list that are looked at
DIFF = KINDS["edit"].fields["diff"]
MEMBER = ("each", "number")  # what a member of a list is called beside the fields of its line


@dataclass(frozen=True)
class Words:
    """One of a few words: the first whose pattern what ``of`` gives matches."""

    of: str
    words: tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True)
class Members:
    """A list: what ``each`` gives, with the fields of a member."""

    each: str
    fields: Mapping[str, "Source"]


Source = str | Words | Members | bool | float


def members(line: Mapping[str, Any], path: str) -> list[Mapping[str, Any]]:
    """Return the members of the list or table at a path, each as the line with what it is called there; none: it is neither."""
    found = templates.dig(line, path)
    if isinstance(found, Mapping):
        found = [{"key": key, "value": value} for key, value in list(found.items())[:ITEMS]]
    return (
        [{**line, "each": one, "number": at} for at, one in enumerate(found[:ITEMS], 1)]
        if isinstance(found, list)
        else []
    )


def field_of(kind: str, name: str) -> Field:
    """Return what a field of that kind of object takes. Raises KeyError for one that it has not."""
    return KINDS[kind].fields.get(name) or COMMON[name]


def value_of(source: Source, line: Mapping[str, Any], kind: Field) -> Any:
    """Return what a source gives for a field of that kind; None: nothing."""
    if isinstance(source, str):  # nearly all are
        return _read(source, line, kind)
    if isinstance(source, Words):
        value = text_of(source.of, line)
        return None if value is None else next((word for word, one in source.words if one.search(bounded(value))), None)
    if isinstance(source, Members):
        below = kind.fields if isinstance(kind, Rows) else {}
        return [
            {name: found for name, one in source.fields.items() if (found := value_of(one, member, below[name])) is not None}
            for member in members(line, source.each)
        ]  # fmt: skip
    return source


def _read(source: str, line: Mapping[str, Any], kind: Field) -> Any:
    if source.startswith("="):
        return source[1:]
    if isinstance(kind, Word) and source in kind.words:
        return source
    found = templates.fill(source, line) if "{" in source else templates.dig(line, source)
    if kind is DIFF and isinstance(found, list):
        return diffs.of_hunks(found) or None
    return fitting(found, kind)


def text_of(path: str, line: Mapping[str, Any]) -> str | None:
    """Return what is at a path, or a text filled with such paths, as text; None: nothing is there."""
    found = templates.fill(path, line) if "{" in path else templates.dig(line, path)
    return None if found is None else templates.as_text(found)


def fitting(value: Any, kind: Field) -> Any:
    """Return a value as such a field takes it: a number that was written as text, or a path that stands for a place."""
    if value is None:
        return None
    if isinstance(kind, (Text, Line)):
        return templates.as_text(value)
    if isinstance(kind, Number) and isinstance(value, str):
        try:
            return float(value) if "." in value else int(value)
        except ValueError:
            return None
    if isinstance(kind, Flag):
        return bool(value)
    if isinstance(kind, Rows):
        paths = value if isinstance(value, list) else [value]
        return [{"path": one} if isinstance(one, str) else one for one in paths if one]
    return value
