"""The rows of sessions in columns, which are as wide as what stands in them.

Where the window is too narrow for that, something gives way until a row fits: first the notes are cut, then the backend goes, then the
directory is its last name, then the state is without what is done, then the directory goes, then the time, and at last the state. What
Put was refused is not cut.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from acme.lib import rows, table
from acme.lib.agent import Session

_TITLES = (
    "alias",
    "state",
    "state",
    "backend",
    "directory",
    "directory",
    "state",
)  # of the cells of a session; some are others in short
_LAYOUTS: tuple[tuple[int, ...], ...] = (
    (0, 1, 3, 4),
    (0, 1, 4),
    (0, 1, 5),
    (0, 2, 5),
    (0, 2),
    (0, 6),
    (0,),
)  # which of them are shown, by what fits
_NOTE = 12  # zeros that are left for notes at least
_ID = 8  # zeros
_SURE = 0.97  # how much of a window is counted on, where widths are estimates

_Mark = tuple[Session, str, str, int]  # what a row is made from: the session, its name, what was refused, the tick


def short(directory: str) -> str:
    """Return the last name of a directory, as in ``…/lexer``; a short one as it is."""
    return min(f"\u2026/{directory.rpartition('/')[2]}", directory, key=len)


@dataclass(slots=True)
class _Row:
    mark: _Mark
    cells: tuple[str, ...]
    widths: tuple[int, ...]
    notes: tuple[str, ...]
    text: str = ""


class Listing:
    """The rows as they are drawn; one is made again when its session changes, or at a tick while it runs."""

    def __init__(self, look: table.Style) -> None:
        self.look = look
        self._least = tuple(self._wide(title) for title in _TITLES)
        self._widths = self._least
        self._layout = _LAYOUTS[0]
        self._known: dict[str, _Row] = {}  # by the ids of sessions
        self._tick = 0

    def _wide(self, cell: str) -> int:
        return table.up_to_stop(cell, self.look)

    def title(self) -> str:
        shown = [_TITLES[at] for at in self._layout]
        return table.columns((*shown, "id"), self._shown_widths(), self.look)

    def _shown_widths(self) -> list[int]:
        return [self._widths[at] for at in self._layout]

    def of(
        self, sessions: Sequence[Session], renamed: Mapping[str, str], refused: Mapping[str, str], tick: int
    ) -> list[str]:
        """Return the rows, with their questions beneath; `renamed` is what the person has written in place of an alias."""
        known: dict[str, _Row] = {}
        new: list[_Row] = []
        for one in sessions:
            mark = (
                one,
                renamed.get(one.id, one.alias or "-"),
                refused.get(one.id, ""),
                tick if one.state == "running" else 0,
            )
            row = self._known.get(one.id)
            if row is None or row.mark != mark:
                row = self._made(mark)
                new.append(row)
            known[one.id] = row
        again = self._arrange(known.values(), new if tick == self._tick else None)
        self._known, self._tick = known, tick
        lines: list[str] = []
        for row in known.values():
            if again or not row.text:
                row.text = self._text(row)
            lines.append(row.text)
            lines += [rows.asked(ask, row.mark[0].label) for ask in row.mark[0].asks]
        return lines

    def _made(self, mark: _Mark) -> _Row:
        session = mark[0]
        states = rows.state(session, time.time())
        word = states[1].split(" ")[0]
        made = (mark[1], *states, session.backend, session.cwd, short(session.cwd), word)
        cells = tuple(map(table.one_line, made))
        notes = [note.line for note in session.notes if not note.text.startswith("asks")]
        branch = [f"branch {session.branch}"] if session.branch else []
        said = tuple(table.one_line(one)[: rows.EXCERPT] for one in [*branch, *notes])
        return _Row(mark, cells, tuple(map(self._wide, cells)), said)

    def _arrange(self, every: Collection[_Row], new: Collection[_Row] | None) -> bool:
        """Give the columns their widths: they grow with the rows that are new, and at a tick (None) they are measured again.

        Returns whether that has changed anything.
        """
        before = self._widths, self._layout
        widths = [row.widths for row in (every if new is None else new)]
        self._widths = tuple(map(max, zip(self._least if new is None else self._widths, *widths, strict=True)))
        noted = any(row.notes for row in every)
        self._layout = next((each for each in _LAYOUTS if self._left(each) >= _needed(each, noted)), _LAYOUTS[-1])
        return before != (self._widths, self._layout)

    def _left(self, layout: tuple[int, ...]) -> float:
        """Return how much of the window these columns leave for notes."""
        if not self.look.room:
            return 1e9
        room = self.look.room if self.look.fixed else self.look.room * _SURE
        return room - sum(self._widths[at] for at in layout) - _ID

    def _text(self, row: _Row) -> str:
        cells = [row.cells[at] for at in self._layout]
        left, notes = self._left(self._layout), []
        for note in row.notes:
            if self._wide_of(note) > left:
                note = self._cut(note, left)
            if note:
                notes.append(note)
            left -= self._wide_of(note)
        why = row.mark[2]
        cells += [*notes, *([f"! {why}"] if why else []), row.mark[0].id]
        return table.columns(cells, self._shown_widths(), self.look)

    def _wide_of(self, note: str) -> float:
        tab = self.look.tab
        return (table.width(note, self.look) + 1) // tab * tab + tab

    def _cut(self, note: str, left: float) -> str:
        """Return as much of a note as fits; nothing, if that is too little to say anything."""
        while note and self._wide_of(f"{note}\u2026") > left:
            note = note[:-1]
        return f"{note.rstrip()}\u2026" if len(note) > 2 else ""


def _needed(layout: tuple[int, ...], noted: bool) -> int:
    """Return how much is to be left for notes; they go before the state does."""
    return _NOTE if noted and len(layout) > 2 else 0
