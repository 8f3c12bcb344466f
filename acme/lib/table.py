"""Tables in a window that a person also writes in: rows, and the fewest edits that bring them up to date.

A row is one line; its key is its first word. What else stands in the window (typed commands, notes, text behind a
row) is not ours and stays. Places are in runes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from anvilsrv import display

if TYPE_CHECKING:
    from acme.lib.window import Window

_FIXED = ("mono", "fixed", "typewriter", "courier", "code", "term", "unifont", "pelm", "menlo", "consol", "lucm")
_WIDTHS = {  # in ninths of a zero: those of lucsans/euro.8, the font that acme has if it is given none
    3: "'`", 4: " !,.:;il|·", 5: "()IJ[]fjt{}", 6: '"?r', 7: "*\\s", 8: "/EFLPSacekvyz", 9: "#$+-0123456789<=>BKRTXYZ^_bdghnopqux~",
    10: "%&ACGUV–−", 11: "DHNOQ", 12: "@w", 13: "MW", 14: "m",
}  # fmt: skip


class _Widths(dict[str, float]):
    """The width of each letter, in zeros; of one that is not known yet by its case."""

    def __missing__(self, letter: str) -> float:
        self[letter] = width = 1.1 if letter.isupper() else 0.95
        return width


_width_of = _Widths({letter: ninths / 9 for ninths, letters in _WIDTHS.items() for letter in letters}).__getitem__


_MOST = 40  # zeros that a column takes at most
_LAST = 12  # zeros that are left for the last one, if that can be had

Key = Callable[[str], str]  # by what a row is known again


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` in place of the body from `q0` to `q1`."""

    q0: int
    q1: int
    text: str


@dataclass(frozen=True, slots=True)
class _Line:
    index: int
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def key(row: str) -> str:
    """Return the word by which a row is known again."""
    return row.split(None, 1)[0] if row.strip() else ""


@dataclass(frozen=True, slots=True)
class Style:
    """How wide things are on a screen: is the font of fixed width, how many zeros apart are the tab stops, how many fit."""

    fixed: bool = False
    tab: int = 4
    room: float = 0  # zeros that a line takes, if that is known


def style(font: str, tab: int, width: int) -> Style:
    """Return what acme says of it: the name of a font, the pixels of a tab and of a line; `tabstop` it hands down."""
    stop = os.environ.get("tabstop", "")  # noqa: SIM112
    zeros = int(stop) if stop.isdigit() and stop != "0" else 4
    return Style(any(part in font.lower() for part in _FIXED), zeros, width * zeros / tab if tab else 0)


def one_line(text: str) -> str:
    """Return `text` as a cell."""
    return " ".join(display.one_line(text).split())


def columns(cells: Sequence[str], widths: Sequence[float], look: Style) -> str:
    """Return `cells` in columns that line up on screen; the last one is open ended.

    acme's tab stops are `tab` zeros wide and its fonts mostly proportional, so a cell's width is an estimate; a blank
    is added where the estimate is too near a stop to know on which side of it the cell ends.
    """
    parts, fixed, tab = [], look.fixed, look.tab
    for cell, width in zip(cells, widths, strict=False):
        text = cell
        size = _width(text, fixed)
        while not fixed and (size % tab > tab - 0.7 or (size >= tab and size % tab < 0.5)):
            text, size = text + " ", size + _width_of(" ")
        parts.append(text + "\t" * max(1, -int(-width // tab) - int(size // tab)))
    return "".join(parts) + "\t".join(cell for cell in cells[len(widths) :] if cell)


def aligned(rows: Sequence[Sequence[str]], look: Style, spare: Sequence[int] = ()) -> list[str]:
    """Return lines whose columns are as wide as what is in them, so that a narrow window has room for the last one; `spare` are
    columns that are left out, in that order, where there is none.
    """
    widths = [max(up_to_stop(cell, look) for cell in column) for column in list(zip(*rows, strict=True))[:-1]]
    shown, away = list(range(len(widths))), list(spare)
    while away and look.room and sum(widths[at] for at in shown) + _LAST > look.room:
        shown = [at for at in shown if at != away[0]]
        del away[0]
    return [columns([*(cells[at] for at in shown), cells[-1]], [widths[at] for at in shown], look) for cells in rows]


def up_to_stop(cell: str, look: Style) -> int:
    """Return how wide a column with that cell is: up to a tab stop, and 40 zeros at most."""
    return -int(-(min(_MOST, width(cell, look)) + 1) // look.tab) * look.tab


def width(text: str, look: Style) -> float:
    """Return how wide a cell is, in zeros."""
    return _width(text, look.fixed)


@lru_cache(8192)
def _width(text: str, fixed: bool) -> float:
    """Return the width in zeros."""
    if fixed:
        return len(text)
    return sum(map(_width_of, text))


def plan(body: str, shown: Sequence[str], wanted: Sequence[str], key: Key = key) -> list[Edit]:
    """Return the edits, last place first, that turn the rows `shown` in `body` into the rows `wanted`.

    A row is known by its `key`.
    A row that did not change is not touched. A row that is missing from `body` is put after the one before it.
    """
    lines = _lines(body)
    old = {key(row): row for row in shown}
    found = _find(lines, old, {key(row) for row in wanted}, key)
    edits: list[Edit] = []
    kept: set[str] = set()
    inserts: dict[int, list[str]] = {}
    last: _Line | None = None
    for row in wanted:
        name = key(row)
        line = found.get(name)
        if line is not None and (last is None or line.index > last.index):
            kept.add(name)
            last = line
            edits += _change(line, old.get(name, line.text), row)
        else:
            inserts.setdefault(_after(last, lines, body), []).append(row)
    edits += [_remove(line, old.get(name, line.text), body) for name, line in found.items() if name not in kept]
    for place, rows in inserts.items():
        open_line = place == len(body) and body != "" and not body.endswith("\n")
        edits.append(Edit(place, place, "".join(f"\n{row}" if open_line else f"{row}\n" for row in rows)))
    return _joined(sorted(edits, key=lambda edit: (edit.q0, edit.q1), reverse=True))


def step(shown: Sequence[str], wanted: Sequence[str], most: int, key: Key = key) -> list[str]:
    """Return the rows `wanted`, but of those that would change only the first `most` changed.

    Changed rows cannot be written together: acme moves the view when what it shows is replaced across the end of a
    line, and tells no one which part that is. So many changes take several steps, and a click is served in between.
    """
    old = {key(row): row for row in shown}
    rows = []
    for row in wanted:
        before = old.get(key(row), row)
        if before != row:
            most -= 1
        rows.append(row if most >= 0 else before)
    return rows


def put(
    window: Window,
    edits: Sequence[Edit],
    lines: bool = False,
    clean: bool = True,
    to: Callable[[tuple[int, int]], tuple[int, int]] | None = None,
    dot: tuple[int, int] | None = None,
) -> bool:
    """Make the edits in a window, as one change; the person's selection stays on what it was on, or goes `to` another place.

    With `lines`, one whose line goes is on the window's first place afterwards: else it would be on the next line, of which the
    person has not said anything. Returns whether it went. `dot`: where the selection is, if the caller has just asked.
    """
    if not edits:
        return False
    with window.alone():
        dot = dot or window.dot()
        gone = lines and any(edit.q0 <= dot[0] < edit.q1 and not edit.text for edit in edits)
        with window.bulk(clean):
            for edit in edits:
                window.replace(edit.q0, edit.q1, edit.text)
        there = (0, 0) if gone else (moved(dot[0], edits), moved(dot[1], edits))
        right = there if to is None else to(dot)
        left = (_pushed(dot[0], edits), _pushed(dot[1], edits))
        went = [moved(edit.q0, edits) for edit in edits if not edit.text] if lines else []
        now = window.dot() if left != right or went else left
        if now == left:
            if left != right:
                window.select(*right)
        elif now[0] == now[1] and now[0] in went:
            window.select(0, 0)  # the person has selected meanwhile what then went
    return gone


def whole(window: Window, text: str, clean: bool = True, seen: str | None = None) -> bool:
    """Make `text` all of the body. The selection stays on lines that stay, and in view; else it is on the window's first place:
    the person has not said anything of what is there now. Returns False, and changes nothing, if the body is not what was `seen`:
    the person has gone on writing.
    """
    with window.alone():
        body = window.body()
        if seen is not None and body != seen:
            return False
        edits = differences(body, text)
        if edits:
            put(window, edits, clean=clean, to=lambda dot: kept(body, dot, edits))
        elif clean:
            window.clean()
        window.show()
    return True


def differences(old: str, new: str) -> list[Edit]:
    """Return the changes that make `new` of `old`, last place first: of the first line, which may be a count, and of the rest."""
    (head, end, rest), (first, also, more) = old.partition("\n"), new.partition("\n")
    if not (end and also):
        parts = [_difference(old, new)]
    else:
        parts = [_difference(rest, more, len(head) + 1), _difference(head, first)]
    return [edit for edit in parts if edit is not None]


def kept(body: str, dot: tuple[int, int], edits: Sequence[Edit]) -> tuple[int, int]:
    """Return where the selection is after the edits of `body`, if they leave its lines as they are; else the first place."""
    if dot == (0, 0):
        return dot
    start, end = body.rfind("\n", 0, dot[0]) + 1, body.find("\n", dot[1])
    end = end if end >= 0 else len(body)
    by = 0
    for edit in edits:
        if edit.q0 > end:
            continue
        before = edit.text or body[: edit.q0]
        if edit.q1 > start or (edit.q1 == start and before and not before.endswith("\n")):
            return 0, 0
        by += len(edit.text) - (edit.q1 - edit.q0)
    return dot[0] + by, dot[1] + by


def _difference(old: str, new: str, start: int = 0) -> Edit | None:
    """Return the smallest change in one place that makes `new` of `old`, which begins at `start`."""
    if old == new:
        return None
    shorter = min(len(old), len(new))
    front = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    back = next((i for i in range(shorter - front) if old[-1 - i] != new[-1 - i]), shorter - front)
    return Edit(start + front, start + len(old) - back, new[front : len(new) - back])


def moved(place: int, edits: Sequence[Edit]) -> int:
    """Return where `place` (an end of the person's selection) should be after the edits, which are last place first."""
    result = place
    for edit in edits:
        if place >= edit.q1:
            result += len(edit.text) - (edit.q1 - edit.q0)
        elif place > edit.q0:
            result += min(place - edit.q0, len(edit.text)) - (place - edit.q0)
    return result


def _pushed(place: int, edits: Sequence[Edit]) -> int:
    """Return where acme leaves an end of the selection on its own: what is cut out takes it to its beginning, and what
    is written pushes it on, even if it was right before.
    """
    for edit in edits:
        if place > edit.q0:
            place = max(edit.q0, place - (edit.q1 - edit.q0))
        if place >= edit.q0:
            place += len(edit.text)
    return place


def _lines(body: str) -> list[_Line]:
    lines = []
    start = 0
    for index, text in enumerate(body.split("\n")):
        lines.append(_Line(index, start, text))
        start += len(text) + 1
    return lines


def _find(lines: Sequence[_Line], old: dict[str, str], wanted: set[str], key: Key) -> dict[str, _Line]:
    """Return the line of each row: the one that is as it was written, else the first with its key."""
    found: dict[str, _Line] = {}
    exact: set[str] = set()
    for line in lines:
        name = key(line.text)
        if name not in old and name not in wanted:
            continue
        as_written = name in old and line.text.startswith(old[name])
        if name not in found or (as_written and name not in exact):
            found[name] = line
        if as_written:
            exact.add(name)
    return found


def _change(line: _Line, old: str, row: str) -> list[Edit]:
    """Return the smallest change of a line; text typed after the row is left where it is."""
    if not line.text.startswith(old):
        old = line.text
    edit = _difference(old, row, line.start)
    return [edit] if edit is not None else []


def _remove(line: _Line, old: str, body: str) -> Edit:
    """Take a row away, and its line with it unless something was typed there."""
    if line.text.startswith(old) and len(line.text) > len(old):
        return Edit(line.start, line.start + len(old), "")
    return Edit(line.start, min(line.end + 1, len(body)), "")


def _joined(edits: Sequence[Edit]) -> list[Edit]:
    """Return the same, with neighbouring removals as one."""
    joined: list[Edit] = []
    for edit in edits:
        last = joined[-1] if joined else None
        if last is not None and not edit.text and not last.text and edit.q1 == last.q0 < last.q1:
            joined[-1] = Edit(edit.q0, last.q1, "")
        else:
            joined.append(edit)
    return joined


def _after(last: _Line | None, lines: Sequence[_Line], body: str) -> int:
    """Return where a row goes that follows `last`; the first one goes to the beginning."""
    if last is None:
        return 0
    return min(last.end + 1, len(body))
