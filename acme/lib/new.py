"""A new session, clicked together: `/AnviLLM/+New`.

The first line is what is started, ``Claude /a/dir role=reviewer``. A click on a backend or a role below changes it, and the person
may edit it.
"""

from __future__ import annotations

from typing import ClassVar

from acme.lib import rows, table
from acme.lib.edits import typed_lines
from acme.lib.event import Gesture
from acme.lib.host import Call
from acme.lib.pane import Pane
from anvilsrv.errors import Invalid


class New(Pane):
    """`Start` begins what the first line says. The subject is the directory that it begins with."""

    tag = "Start Get Undo Redo Look"
    commands: ClassVar = {"Start": "begin", "Get": "get"}

    def title(self) -> str:
        return "/AnviLLM/+New"

    def reopen(self) -> str:
        return f"new {self.subject_id}".strip()

    def open(self) -> None:
        self.shown: list[str] = []
        self._style = self.style()
        here = [each.word for each in self.app.roster.backends if not each.trouble]
        self._begun = f"{' '.join(here[:1])} {self.subject_id or self.app.home}"
        left, _, below = self.window.body().partition("\n") if self.adopted else ("", "", "")
        self.clear()
        self.window.replace(0, 0, f"{left.strip() or self._begun}\n")
        self.refresh()
        self.window.append("".join(f"{line}\n" for line in typed_lines(below, self.shown)))
        self.window.select(0, 0)
        self.window.show()
        self.window.clean()

    def refresh(self) -> None:
        if not self.app.online:
            return
        body = self.window.body()
        wanted = self._rows()
        if wanted == self.shown:
            return
        if not self.shown:
            self.window.append("".join(f"{row}\n" for row in wanted))
        else:
            table.put(self.window, table.plan(body, self.shown, wanted), lines=True)
        self.shown = wanted

    def _rows(self) -> list[str]:
        backends, away = [], []
        for each in self.app.roster.backends:
            if each.trouble:
                away.append(f"{each.word}: {table.one_line(each.trouble)}")
            else:
                backends.append(f"[{each.word}]")
        roles = [
            (f"[{role['name']}]", "\t".join(filter(None, (table.one_line(role["label"]), role.get("file", "")))))
            for role in self.app.agent.roles()
        ]
        return [" ".join(backends), *away, *table.aligned(roles, self._style)]

    def get(self, call: Call) -> None:
        """Draw what is below the line of what is to be started."""
        self._style = self.style()
        self.app.refetch()
        self.shown = self._rows()
        table.whole(self.window, "".join(f"{line}\n" for line in [self._said(), *self.shown]), clean=False)

    def session(self) -> None:
        return None

    def chosen(self, text: str, gesture: Gesture) -> bool:
        """Handle a click in brackets: it chooses that backend, or that role; a role that is chosen already is taken
        away.
        """
        start, line = self._line(gesture)
        word = rows.bracketed(line, gesture.clicked.q0 - start)
        if word is None or start == 0 or line.rstrip("\n") not in self.shown:
            return False
        words = self._said().split() or [""]
        if self.app.roster.backend(word) is not None and line.rstrip("\n") == self.shown[0]:
            words[0] = word
        else:
            option = f"role={word}"
            others = [one for one in words if not one.startswith(("role=", "role:"))]
            words = others if option in words else [*others, option]
        self.window.replace(0, len(self._said()), " ".join(words))
        return True

    def _said(self) -> str:
        return self.window.body().partition("\n")[0]

    def draft(self) -> str:
        """Return the line, if it was changed, and whatever else was typed."""
        said, _, below = self.window.body().partition("\n")
        return "\n".join([said if said != self._begun else "", *typed_lines(below, self.shown)]).rstrip("\n")

    def restore(self, text: str) -> None:
        said, _, more = text.partition("\n")
        if said:
            self.window.replace(0, len(self._said()), said)
        if more:
            self.window.append(more + "\n")

    def mine(self, q0: int, q1: int) -> bool:
        return False  # the line is for Start

    def begin(self, call: Call) -> None:
        said = self._said()
        word, _, rest = said.strip().partition(" ")
        backend = self.app.roster.backend(word)
        if backend is None:
            raise Invalid(f"no such backend '{word[:40]}': click one in brackets")
        self.app.begin(backend, Call(word, rest.strip(), None, None), self.app.home)
        self._begun = said
        self.keep()
