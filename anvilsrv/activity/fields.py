"""What the fields of an object may hold. Agents are hostile: what is of another type is left out, and what is long is cut. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from anvilsrv.display import one_line, printable, shown, styled
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import dumps, whole

MISSING = object()
LIST = 200  # members of a list
DEEP = 8  # levels of a value


class Cut(NamedTuple):
    """A text that was too long: what is left of it, and how many bytes are not."""

    text: str
    left_out: int = 0


def middle(text: str, most: int) -> Cut:
    """Return ``text`` if it has at most ``most`` bytes; else its beginning and its end, with a line between them that
    says so.
    """
    size = len(text) if text.isascii() else len(text.encode())
    if size <= most:
        return Cut(text)
    head, tail = _head(text, most * 3 // 4), _tail(text, most // 4)
    left = size - len(head.encode()) - len(tail.encode())
    return Cut(f"{head}\n[{left} bytes left out]\n{tail}", left)


def _head(text: str, most: int) -> str:
    return text[:most].encode()[:most].decode("utf-8", "ignore")


def _tail(text: str, most: int) -> str:
    return text[-most:].encode()[-most:].decode("utf-8", "ignore")


class Field:
    """One field. ``take`` gives its value and how many bytes were left out of it; ``MISSING`` where there is none."""

    def take(self, value: Any) -> tuple[Any, int]:
        raise NotImplementedError

    def __str__(self) -> str:
        """Return the manual's name for it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Text(Field):
    """A text of at most ``most`` bytes, plain: no colours, control characters made visible. With ``colours`` the sequences that set
    them are still in it: ``display.parted`` takes them out."""

    most: int
    colours: bool = False

    def take(self, value: Any) -> tuple[Any, int]:
        if not isinstance(value, str):
            return MISSING, 0
        cut = middle(whole(styled(value) if self.colours else shown(value)), self.most)
        return cut.text, cut.left_out

    def __str__(self) -> str:
        return "text"


@dataclass(frozen=True)
class Colours(Field):
    """Where the colours of a text change. They are found in the text: what an agent says of them is left out."""

    def take(self, value: Any) -> tuple[Any, int]:
        return MISSING, 0

    def __str__(self) -> str:
        return "[[number, SGR]]"


@dataclass(frozen=True)
class Line(Field):
    """A text on one line."""

    most: int = 1024

    def take(self, value: Any) -> tuple[Any, int]:
        if not isinstance(value, str) or not value:
            return MISSING, 0
        text = " ".join(one_line(whole(value[: 4 * self.most])).split())
        return (text if len(text) <= self.most else text[: self.most - 1] + "…") or MISSING, 0

    def __str__(self) -> str:
        return "line"


@dataclass(frozen=True)
class Number(Field):
    """A number; ``null`` if it is unknown."""

    def take(self, value: Any) -> tuple[Any, int]:
        if value is None:
            return None, 0
        good = isinstance(value, int | float) and not isinstance(value, bool)
        return (value if good and math.isfinite(value) and abs(value) < 1e15 else MISSING), 0

    def __str__(self) -> str:
        return "number"


@dataclass(frozen=True)
class Flag(Field):
    """true or false."""

    def take(self, value: Any) -> tuple[Any, int]:
        return (value if isinstance(value, bool) else MISSING), 0

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Word(Field):
    """One of a few words; ``other`` stands for all that are none of them."""

    words: tuple[str, ...]
    other: str = ""

    def take(self, value: Any) -> tuple[Any, int]:
        return (value if value in self.words else self.other or MISSING), 0

    def __str__(self) -> str:
        return " | ".join(self.words)


@dataclass(frozen=True)
class Json(Field):
    """Whatever JSON can say, of at most ``most`` bytes; longer texts in it are cut, and if that is not enough it is a text."""

    most: int

    def take(self, value: Any) -> tuple[Any, int]:
        if value is None:
            return MISSING, 0
        try:
            text = dumps(value)
        except Invalid:
            return MISSING, 0
        if len(text) <= self.most:
            return plain(value), 0
        for size in (self.most // 2, self.most // 8, 200):
            shorter = plain(value, size)
            if len(dumps(shorter)) <= self.most:
                return shorter, len(text) - len(dumps(shorter))
        cut = middle(text, self.most // 2)
        return cut.text, cut.left_out

    def __str__(self) -> str:
        return "JSON"


@dataclass(frozen=True)
class Rows(Field):
    """A list of objects with these fields; others in it are left out."""

    fields: Mapping[str, Field]

    def take(self, value: Any) -> tuple[Any, int]:
        if not isinstance(value, list):
            return MISSING, 0
        rows, left = [], 0
        for one in value[:LIST]:
            row, cut = taken(self.fields, one) if isinstance(one, Mapping) else ({}, 0)
            left += cut
            rows += [row] if row else []
        return rows, left + _size(value[LIST:])

    def __str__(self) -> str:
        return f"[{{{', '.join(self.fields)}}}]"


@dataclass(frozen=True)
class Texts(Field):
    """A list of lines."""

    most: int = 1024

    def take(self, value: Any) -> tuple[Any, int]:
        if not isinstance(value, list):
            return MISSING, 0
        found = [Line(self.most).take(one)[0] for one in value[:LIST]]
        return [one for one in found if one is not MISSING], _size(value[LIST:])

    def __str__(self) -> str:
        return "[line]"


def taken(fields: Mapping[str, Field], given: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Return what of ``given`` these fields may hold, and how many bytes were left out."""
    found: dict[str, Any] = {}
    left = 0
    for name, field in fields.items():
        if name in given:
            value, cut = field.take(given[name])
            if value is not MISSING:
                found[name] = value
                left += cut
    return found, left


def _size(members: list[Any]) -> int:
    """Return how many bytes the omitted members of a list have."""
    try:
        return len(dumps(members).encode()) if members else 0
    except Invalid:
        return len(members)


def plain(value: Any, most: int = 1 << 20, depth: int = 0) -> Any:
    """Return a value of JSON in which every text is printable and has at most ``most`` bytes: nothing is dropped unseen."""
    if isinstance(value, str):
        return middle(whole(printable(value)), most).text
    if depth >= DEEP and isinstance(value, Mapping | list):
        return "…"
    if isinstance(value, Mapping):
        return {one_line(whole(str(key)[:200])): plain(one, most, depth + 1) for key, one in list(value.items())[:LIST]}
    if isinstance(value, list):
        return [plain(one, most, depth + 1) for one in value[:LIST]]
    return value
