"""The texts of a fake acme: what is a word to acme, and acme's addresses. Places are in runes."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from anvilsrv.errors import AnvilError

_BUILTINS = """Abort Cut Del Delcol Delete Dump Edit Exit Font Get ID Incl Indent Kill Load Local Look New Newcol Paste
Put Putall Redo Send Snarf Sort Tab Undo Zerox"""
BUILTINS = set(_BUILTINS.split())
_PUNCTUATION = set("!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~")
_IN_FILE_NAMES = set(".-+/:@")


class AcmeError(AnvilError):
    """The message is acme's, as it stands."""

    phrases = ("",)


class BadAddress(AcmeError):
    """No address."""


@dataclass
class Text:
    """A tag or a body, with its selection."""

    content: str = ""
    q0: int = 0
    q1: int = 0
    in_body: bool = field(default=True, kw_only=True)

    def insert(self, at: int, text: str) -> None:
        self.content = self.content[:at] + text + self.content[at:]
        self.q1 += len(text) if at < self.q1 else 0
        self.q0 += len(text) if at < self.q0 else 0

    def delete(self, q0: int, q1: int) -> None:
        self.content = self.content[:q0] + self.content[q1:]
        self.q0 -= max(0, min(self.q0, q1) - q0)
        self.q1 -= max(0, min(self.q1, q1) - q0)


def in_word(rune: str) -> bool:
    """Acme's idea of alphanumeric: anything that is no blank, control or ASCII punctuation (an underscore is one)."""
    return rune > " " and not "\x7f" <= rune <= "\xa0" and rune not in _PUNCTUATION


def in_file_name(rune: str) -> bool:
    return in_word(rune) or rune in _IN_FILE_NAMES


def in_command(rune: str) -> bool:
    return (in_file_name(rune) or rune in "<|>") and rune != ":"


def grow(text: Text, q0: int, q1: int, belongs) -> tuple[int, int]:
    """Return the run of runes around an empty place; a click in the selection means the selection."""
    if q0 != q1:
        return q0, q1
    if text.q1 > text.q0 and text.q0 <= q0 <= text.q1:
        return text.q0, text.q1
    while q1 < len(text.content) and belongs(text.content[q1]):
        q1 += 1
    while q0 > 0 and belongs(text.content[q0 - 1]):
        q0 -= 1
    return q0, q1


def file_at(text: Text, q0: int, q1: int, directory: str, windows: set[str]) -> tuple[int, int, str] | None:
    """Return the file name (with its address) around a place, if there is such a file or window: its place and full
    name.
    """
    start, end = grow(text, q0, q1, lambda c: in_file_name(c) and c != ":")
    address = re.compile(r":[#0-9/$.,;?+-]+").match(text.content, end) if q0 == q1 else None
    name, colon, swept = text.content[start:end].partition(":")
    if not name or not all(in_file_name(c) or c == " " for c in name):
        return None
    full = os.path.normpath(os.path.join(directory, name))
    if full not in windows and full + "/" not in windows and not os.path.exists(full):
        return None
    if address is not None:
        return start, address.end(), full + address.group()
    return start, end, full + colon + swept


def address(text: str, dot: tuple[int, int], expression: str) -> tuple[int, int]:
    """Evaluate a simple or compound address, as sam(1) has it and acme takes it."""
    parts = re.match(r"(?s)((?:/(?:\\.|[^/])*/?|[^,;])*)([,;])?(.*)", expression)
    assert parts
    left, comma, right = parts.groups()
    if not comma:
        return _simple(text, dot, left)
    first = _simple(text, dot, left) if left else (0, 0)
    last = address(text, first if comma == ";" else dot, right) if right else (len(text), len(text))
    return first[0], last[1]


def _simple(text: str, dot: tuple[int, int], expression: str) -> tuple[int, int]:
    """Return a sequence of terms: #n, n, /re/, . and $, each with + or - before it."""
    at, way = 0, ""
    place = dot
    while at < len(expression):
        term = re.compile(r"([+-])|(#?)(\d+)|/((?:\\.|[^/])*)/?|([.$])").match(expression, at)
        if term is None:
            raise BadAddress("bad address syntax")
        at = term.end()
        sign, sharp, digits, pattern, special = term.groups()
        if sign:
            if way:
                place = _lines(text, place, way, 1)
            way = sign
            continue
        if special:
            place = dot if special == "." else (len(text), len(text))
        elif digits is not None:
            place = (_runes if sharp else _lines)(text, place, way, int(digits))
        else:
            place = _search(text, place, pattern)
        way = ""
    return _lines(text, place, way, 1) if way else place


def _runes(text: str, place: tuple[int, int], way: str, count: int) -> tuple[int, int]:
    at = {"": count, "+": place[1] + count, "-": place[0] - count}[way]
    if not 0 <= at <= len(text):
        raise BadAddress("address out of range")
    return at, at


def _lines(text: str, place: tuple[int, int], way: str, count: int) -> tuple[int, int]:
    starts = [0] + [i + 1 for i, rune in enumerate(text) if rune == "\n"]
    if way == "-":
        here = max(i for i, start in enumerate(starts) if start <= place[0])
        line = here - count
        if line == -1:
            return 0, 0
    elif way == "+":
        behind = [i for i, start in enumerate(starts) if start >= place[1]]
        line = (behind[0] if behind else len(starts)) + count - 1
        if line == len(starts):
            return len(text), len(text)
    else:
        line = count - 1
        if count == 0:
            return 0, 0
        if line == len(starts):
            return len(text), len(text)
    if not 0 <= line < len(starts):
        raise BadAddress("address out of range")
    return starts[line], starts[line + 1] if line + 1 < len(starts) else len(text)


def _search(text: str, place: tuple[int, int], pattern: str) -> tuple[int, int]:
    compiled = re.compile(pattern, re.MULTILINE)
    found = compiled.search(text, place[1]) or compiled.search(text)
    if found is None:
        raise BadAddress("address out of range")
    return found.span()
