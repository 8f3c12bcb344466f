"""What waits for a session, a line for each prompt, in the order in which the agent gets them: `<cwd>/+Queue.<alias>`.

The lines are text: Put withdraws the prompts whose lines were deleted, changes their words, and puts them into the order in which
they stand. While the person has edited them nothing is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import ClassVar

from acme.lib import table
from acme.lib.about import About
from acme.lib.agent import Session
from acme.lib.event import Gesture
from acme.lib.host import Call
from acme.lib.task_lines import said
from acme.lib.times import when
from acme.lib.written import Written
from anvilsrv.errors import AnvilError, Conflict, Invalid, NotFound
from anvilsrv.front.requests import Queued

_WIDTHS = (4, 8, 8)  # of number, kind and time, in zeros
_SHOWN, _CUT = (
    59,
    "\u2026",
)  # characters from which the daemon may have cut a prompt short, and what stands for the rest


@dataclass(frozen=True, slots=True)
class _Todo:
    """One change: the prompt, its line, and what is to be done."""

    n: str
    line: str
    act: Callable[[], None]

    def refusal(self) -> str:
        """Do it; why not, if it is refused."""
        try:
            self.act()
        except AnvilError as error:
            return str(error)
        return ""


class Queue(About):
    """`Drop` and `First` act on the numbers given, else on the lines of the selection."""

    kind = "Queue"
    by_dot = True
    tag = "Put Drop First Hold Go Get Log Undo Redo Look"
    commands: ClassVar = {
        **About.commands,
        "Put": "put",
        "Drop": "move",
        "First": "move",
        "Hold": "control",
        "Go": "control",
        "Get": "get",
    }

    def open(self) -> None:
        self.shown: list[str] = []
        self._got = ""  # what was edited, of which Get has warned
        self._style = self.style()
        self.clear()
        self.refresh()
        self.show_top()

    def refresh(self) -> None:
        if not self.app.online:
            return  # what was known stays until the daemon is back
        rows = self._rows()
        if rows == self.shown:
            return
        body = self.window.body()
        if not self._edited_rows(body):
            self.window.draws(rows)
            table.put(self.window, table.plan(body, self.shown, rows), lines=True, clean=not self._typed(body))
            self.shown = rows

    # what the person writes

    def _edited_rows(self, body: str) -> list[str]:
        """Return the lines of prompts as they are there, if they are not as they were drawn; nothing else is an edit."""
        drawn = [row for row in self.shown if table.key(row).isdecimal()]
        known = {table.key(row) for row in drawn}
        there = [said(line) for line in body.split("\n") if table.key(line) in known]
        return [] if there == [row.rstrip() for row in drawn] else there or [""]

    def _typed(self, body: str) -> list[str]:
        """Return the lines that are none of prompts."""
        known = {table.key(row) for row in self.shown}
        return [line for line in body.split("\n") if line.strip() and table.key(line) not in known]

    def draft(self) -> str:
        body = self.window.body()
        return "\n".join([*self._edited_rows(body), *self._typed(body)])

    def kept(self) -> str:
        """Return what was typed, and the lines that were changed; not which were deleted or moved."""
        body = self.window.body()
        drawn = [row.rstrip() for row in self.shown]
        return "\n".join([*(row for row in self._edited_rows(body) if row and row not in drawn), *self._typed(body)])

    def restore(self, text: str) -> None:
        """Put changed lines in place of those that still wait, and the rest at the end."""
        for line in text.splitlines():
            body = self.window.body()
            row = next(
                (row for row in self.shown if table.key(row).isdecimal() and table.key(row) == table.key(line)), None
            )
            at = body.find(row) if row is not None else -1
            if row is not None and at >= 0:
                self.window.replace(at, at + len(row), line)
            else:
                self.window.append(f"{line}\n")

    def undone(self) -> None:
        self.refresh()

    def put(self, call: Call) -> None:
        """Withdraw, change and order what waits as it stands in the window. What is refused stays as it was edited, with the
        reason behind it, and the rest is done.
        """
        drawn = {table.key(row): row for row in self.shown if table.key(row).isdecimal()}
        body = self.window.body()
        there = {table.key(line): line for line in self._edited_rows(body) if line}
        if not self._edited_rows(body):
            return
        todo = [_Todo(n, row, partial(self._move, n, "drop")) for n, row in drawn.items() if n not in there]
        changed = [(n, line) for n, line in there.items() if line != drawn[n].rstrip()]
        todo += [_Todo(n, line, partial(self._change, n, drawn[n], line)) for n, line in changed]
        if list(there) != [n for n in drawn if n in there]:
            todo += [_Todo(n, there[n], partial(self._move, n, "first")) for n in reversed(there)]
        refused = {one.n: (one.line, why) for one in todo if (why := one.refusal())}
        if self.window.body() == body:  # else the person has gone on writing
            self._draw(refused)
            refused = {n: said for n, said in refused.items() if n not in {table.key(row) for row in self.shown}}
        if refused:
            raise Conflict("; ".join(f"{n}: {why}" for n, (_, why) in refused.items()))

    def _move(self, n: str, move: str) -> None:
        self.app.agent.write(f"{self.subject_id}/turns/{n}/ctl", f"{move}\n")

    def _change(self, n: str, before: str, line: str) -> None:
        """Give a prompt other words, if its line shows all of them."""
        old, new = _words(before).removesuffix(_CUT), _words(line)
        if new in (old, old + _CUT):
            return
        if self.app.agent.read(f"{self.subject_id}/turns/{n}/prompt").strip() != old:
            raise Invalid("it is longer than its line: right-click its number to edit it")
        self.app.agent.write(f"{self.subject_id}/turns/{n}/prompt", new)

    def _draw(self, refused: Mapping[str, tuple[str, str]] = MappingProxyType({})) -> None:
        """Redraw the lines from the daemon's queue, those that were refused as they were edited; other text that was typed
        stays below them.
        """
        typed = self._typed(self.window.body())
        self.shown = self._rows()
        self.window.draws(self.shown)
        shown = ["\t! ".join(refused.get(table.key(row), (row,))) for row in self.shown]
        table.whole(self.window, "".join(f"{line}\n" for line in [*shown, *typed]), clean=not (refused or typed))
        self.keep()

    # drawing

    def _rows(self) -> list[str]:
        session = self.app.roster.find(self.subject_id)
        if session is None:
            return ["the session is gone"]
        waiting = [self._row(one) for one in self.app.agent.queue(self.subject_id)]
        return [*_held(session), *(waiting or ["nothing waits"])]

    def _row(self, one: Queued) -> str:
        kind = "mail" if one.origin == "mail" else "prompt"
        words = table.one_line(one.words)
        words += _CUT if len(words) >= _SHOWN else ""
        return table.columns((str(one.n), kind, when(one.when), words), _WIDTHS, self._style)

    # commands

    def get(self, call: Call) -> None:
        text = "\n".join(self._edited_rows(self.window.body()))
        if text and text != self._got:
            self._got = text
            raise Conflict(f"{self.title()} modified; Get again discards the changes")
        self._style = self.style()
        self._draw()

    def looked(self, word: str, gesture: Gesture) -> bool:
        """Open the whole prompt, at a right click on a number."""
        _, line = self._line(gesture)
        drawn = gesture.body.drawn if gesture.body is not None else None
        known = [*self.shown, *(drawn if isinstance(drawn, list) else [])]
        if not word.isdecimal() or table.key(line) != word or line.rstrip("\n") not in known:
            return False
        if word not in [str(one.n) for one in self.app.agent.queue(self.subject_id)]:
            raise NotFound(f"prompt {word} is no longer queued")
        self.app.open("queued", f"{self.subject_id}/{word}")
        return True

    def move(self, call: Call) -> None:
        """Run ``Drop`` and ``First``; of many, the first ones stay in their order."""
        numbers = self._numbers(call)
        for n in reversed(numbers) if call.word == "First" else numbers:
            self._move(n, call.word.lower())

    def _numbers(self, call: Call) -> list[str]:
        words = call.words or [table.key(line) for line in self.dot().lines]
        known = {table.key(row) for row in self.shown}
        found = [word for word in words if word in known and word.isdecimal()]
        if not found or (call.words and len(found) < len(words)):
            raise Invalid(f"{call.word}: which prompt? put dot on its line, or give its number")
        return found


def _held(session: Session) -> list[str]:
    return [table.one_line(note.line) for note in session.notes if note.text == "held"]


def _words(row: str) -> str:
    """Return what follows number, kind and time."""
    cells = re.split(r"\t+", row.strip(), maxsplit=3)
    return cells[3].strip() if len(cells) == 4 else ""


class Waiting(Written):
    """`<cwd>/+Queued.<alias>.<number>`: the whole of a prompt that waits; Put changes it. The subject is ``<id>/<number>``."""

    kind = "Queued"
    tag = "Put Queue Log Undo Redo Look"
    commands: ClassVar = {**About.commands, "Put": "put"}

    def session(self) -> Session | None:
        self._last = self.app.roster.find(self.subject_id.partition("/")[0]) or self._last
        return self._last

    def title(self) -> str:
        session = self.session()
        id, _, n = self.subject_id.partition("/")
        return f"{session.cwd.rstrip('/') if session else '/AnviLLM'}/+Queued.{session.label if session else id}.{n}"

    def open(self) -> None:
        self._read = self.app.agent.read(self._path())
        if not (self.adopted and self.window.dirty()):  # else it is the person's
            self.clear()
            self.window.replace(0, 0, self._read)
            self.window.clean()
        self.window.select(0, 0)
        self.window.show()

    def draft(self) -> str:
        text = self.window.body()
        return text if text != self._read else ""

    def put(self, call: Call) -> None:
        text = self.window.body()
        self.app.agent.write(self._path(), text)
        self._read = text
        self.keep()
        self.window.clean()

    def _path(self) -> str:
        id, _, n = self.subject_id.partition("/")
        return f"{id}/turns/{n}/prompt"
