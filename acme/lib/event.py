"""What a person did in a window: the records of acme's `event` file, gathered into gestures.

acme(4) writes one record for an action, and up to three more that belong to it: what an empty selection was expanded
to, and for a 2-1 chord the argument and where it came from. Counts and addresses are in runes, that is, in the
characters of a Python string.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from acme.lib.record import BUILTIN, CHORD, EXPANDED, Record
from acme.lib.seen import Moment


@dataclass(frozen=True, slots=True)
class Dot:
    """The selection, and the whole lines on which it is, the first of which begins at `start`."""

    q0: int
    q1: int
    start: int
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines() or [""]


@dataclass(frozen=True, slots=True)
class Gesture:
    """One action with all that belongs to it.

    `clicked` is the first record, the one acme takes back; `meant` the expansion if there was one; `argument` and
    `source` (an address like ``/a/x.go:#4,#9``) come with a chord. `body` and `dot` are the window's when it was clicked, if they
    are known.
    """

    clicked: Record
    meant: Record
    argument: str | None = None
    source: str | None = None
    body: Moment | None = None
    dot: Dot | None = None

    @property
    def origin(self) -> str:
        """Who did it: K the keyboard, M the mouse, E a write to body or tag, F another file of the window."""
        return self.clicked.origin

    @property
    def kind(self) -> str:
        """What: X x execute, L l look, R r look backwards, I i insert, D d delete; small letters are the tag."""
        return self.clicked.kind

    @property
    def in_body(self) -> bool:
        return self.clicked.kind.isupper()

    @property
    def empty(self) -> bool:
        """True for a click without a sweep: acme chose the text."""
        return self.clicked.q0 == self.clicked.q1

    @property
    def builtin(self) -> bool:
        """True for the name of one of acme's own commands (only on X and x)."""
        return bool(self.clicked.flag & BUILTIN) and self.clicked.kind in "Xx"

    def back(self, moved: int = 0) -> bytes:
        """Return what to write to `event` so that acme does it after all: the first record alone, as acme named it,
        where it is now.
        """
        clicked = self.clicked
        return f"{clicked.origin}{clicked.kind}{clicked.q0 + moved} {clicked.q1 + moved} \n".encode()


class Parser:
    """Bytes of an `event` file in, gestures out; a record or a rune may be cut anywhere between two reads."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._records: list[Record] = []

    def feed(self, data: bytes) -> Iterator[Gesture]:
        """Yield the gestures that `data` completes. Raises ValueError on something that is not a record."""
        self._text += self._decoder.decode(data)
        at = 0
        while (found := _record(self._text, at)) is not None:
            record, at = found
            self._records.append(record)
        self._text = self._text[at:]
        yield from self._gestures()

    def _gestures(self) -> Iterator[Gesture]:
        while self._records and len(self._records) >= (size := _size(self._records[0])):
            mine, self._records = self._records[:size], self._records[size:]
            yield _gesture(mine)


def _size(first: Record) -> int:
    """Return how many records the gesture of this first record has."""
    if first.kind not in "XxLlRr":
        return 1
    chord = 2 if first.flag & CHORD and first.kind in "Xx" else 0
    return 1 + bool(first.flag & EXPANDED) + chord


def _gesture(records: list[Record]) -> Gesture:
    first, *rest = records
    meant = rest.pop(0) if len(records) in (2, 4) else first
    if not rest:
        return Gesture(first, meant)
    return Gesture(first, meant, rest[0].text, rest[1].text)


def _record(text: str, at: int) -> tuple[Record, int] | None:
    """Return the record at `at` and the place after it, or None if it is not complete yet."""
    if len(text) < at + 2:
        return None
    numbers: list[int] = []
    place = at + 2
    for _ in range(4):
        blank = text.find(" ", place)
        if blank < 0:
            if len(text) - place > 20:
                raise ValueError(f"not an acme event: {text[at : at + 40]!r}")
            return None
        numbers.append(int(text[place:blank]))
        place = blank + 1
    q0, q1, flag, count = numbers
    end = place + count
    if len(text) <= end:
        return None
    if text[end] != "\n":
        raise ValueError(f"not an acme event: {text[at : end + 1]!r}")
    return Record(text[at], text[at + 1], q0, q1, flag, count, text[place:end]), end + 1
