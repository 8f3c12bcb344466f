"""What waits for a session, a line for each prompt, in the order in which the agent gets them: `<cwd>/+Queue.<alias>`."""

from __future__ import annotations

from typing import ClassVar

from acme.lib import table
from acme.lib.about import About
from acme.lib.agent import Session
from acme.lib.host import Call
from acme.lib.times import when
from anvilsrv.errors import Invalid
from anvilsrv.front.requests import Queued

_WIDTHS = (4, 8, 8)  # of number, kind and time, in zeros


class Queue(About):
    """`Drop` and `First` act on the numbers given, else on the lines of the selection."""

    kind = "Queue"
    tag = "Drop First Hold Go Get Log"
    commands: ClassVar = {
        **About.commands,
        "Drop": "move",
        "First": "move",
        "Hold": "control",
        "Go": "control",
        "Get": "get",
    }

    def open(self) -> None:
        self.shown: list[str] = []
        self._style = self.style()
        self.clear()
        self.window.select(0, 0)
        self.window.show()
        self.refresh()

    def refresh(self) -> None:
        if not self.app.online:
            return  # what was known stays until the daemon is back
        rows = self._rows()
        if rows != self.shown:
            table.put(self.window, table.plan(self.window.body(), self.shown, rows), lines=True)
            self.shown = rows

    def _rows(self) -> list[str]:
        session = self.app.roster.find(self.subject_id)
        if session is None:
            return ["the session is gone"]
        waiting = [self._row(one) for one in self.app.agent.queue(self.subject_id)]
        return [*_held(session), *(waiting or ["nothing waits"])]

    def _row(self, one: Queued) -> str:
        kind = "mail" if one.origin == "mail" else "prompt"
        return table.columns((str(one.n), kind, when(one.when), table.one_line(one.words)), _WIDTHS, self._style)

    # commands

    def get(self, call: Call) -> None:
        self._style = self.style()
        self.refresh()

    def move(self, call: Call) -> None:
        """``Drop`` and ``First``; of many, the first ones stay in their order."""
        numbers = self._numbers(call)
        for n in reversed(numbers) if call.word == "First" else numbers:
            self.app.agent.write(f"{self.subject_id}/turns/{n}/ctl", call.word.lower() + "\n")

    def _numbers(self, call: Call) -> list[str]:
        words = call.words or [table.key(line) for line in self._selected()]
        known = {table.key(row) for row in self.shown}
        found = [word for word in words if word in known and word.isdecimal()]
        if not found or (call.words and len(found) < len(words)):
            raise Invalid(f"{call.word}: which prompt? put dot on its line, or give its number")
        return found

    def _selected(self) -> list[str]:
        """The lines of dot."""
        q0, q1 = self.window.dot()
        last = q1 - 1 if q1 > q0 else q1
        start, end = self.window.address(f"#{q0}-+")[0], self.window.address(f"#{last}-+")[1]
        return self.window.text(start, end).splitlines()


def _held(session: Session) -> list[str]:
    return [table.one_line(note.line) for note in session.notes if note.text == "held"]
