"""The main window, `/AnviLLM/`: the backends, and a table of sessions that keeps itself up to date."""

from __future__ import annotations

import re
import time
from typing import ClassVar

from acme.lib import table
from acme.lib.agent import Roster, Session
from acme.lib.host import Call
from acme.lib.pane import Pane
from anvilsrv import words
from anvilsrv.errors import Conflict, Invalid

NAME = "/AnviLLM/"
TITLES = ("session", "backend", "state", "alias", "directory")
WIDTHS = (12, 12, 12, 12)  # of the columns before the directory, in zeros
_OURS = re.compile(r"\[.*\]$|not here: |daemon is away|session *\t|[0-9a-f]{8} *\t")  # the lines that Assist writes
_EXCERPT = 120  # characters of a note that stand in the table
_STEP = 0.025  # s of acme's time in one go
_FEWEST, _MOST = 4, 64  # rows that change in it


class Main(Pane):
    """Assist's first window; when dot is on a session's line, commands are about that session."""

    commands: ClassVar = {
        "Get": "get",
        "Attach": "attach",
        "Stop": "control",
        "Restart": "control",
        "Kill": "control",
        "Interrupt": "control",
        "Alias": "alias",
        "Keys": "keys",
        "Context": "window_of",
        "Log": "window_of",
        "Ask": "window_of",
        "Queue": "window_of",
        "Daemon": "daemon",
        "Inbox": "box",
        "Archive": "box",
    }
    tag = "Get Attach Stop Restart Kill Alias Context Log Queue Daemon Inbox Archive"

    def title(self) -> str:
        return NAME

    def open(self) -> None:
        self.shown: list[str] = []
        self._known: dict[Session, str] = {}
        self._doomed = ""  # the session whose Kill was asked for once
        self._step = 2 * _FEWEST
        self._style = self.style()
        self.shown = self._head(self.app.roster)
        typed = self._typed() if self.adopted else []
        self.clear()
        self.window.replace(0, 0, "".join(f"{row}\n" for row in [*self.shown, *typed]))
        self.window.select(0, 0)
        self.window.show()
        self.refresh()

    def _typed(self) -> list[str]:
        """What the person wrote in a window that an earlier Assist left."""
        return [line for line in self.window.body().splitlines() if line.strip() and not _OURS.match(line)]

    def refresh(self) -> None:
        """Make the rows right; whatever else stands in the window, and dot, stay where they are."""
        rows = self._rows(self.app.roster)
        if rows == self.shown:
            return
        wanted = table.step(self.shown, rows, self._step)
        started = time.monotonic()
        table.put(self.window, table.plan(self.window.body(), self.shown, wanted), lines=True)
        self.shown = wanted
        if wanted != rows:
            pace = (time.monotonic() - started) / self._step
            self._step = max(_FEWEST, min(_MOST, int(_STEP / pace)))
            self.stale()  # the rest, after what was clicked meanwhile

    def mine(self, q0: int, q1: int) -> bool:
        return table.key(self.window.text(*self.window.address(f"#{q0}-+"))) not in {
            table.key(row) for row in self.shown
        }

    def _rows(self, roster: Roster) -> list[str]:
        self._known = {session: self._known.get(session) or self._row(session) for session in roster.sessions}
        return [*self._head(roster), self._columns(TITLES), *self._known.values()]

    def _head(self, roster: Roster) -> list[str]:
        rows = [" ".join(f"[{each.word}]" for each in roster.backends if not each.trouble)]
        missing = [each.word for each in roster.backends if each.trouble]
        if missing:
            rows.append(f"not here: {' '.join(missing)}")
        if not self.app.online:
            rows.append("daemon is away: middle-click Daemon")
        return [row for row in rows if row]

    def _row(self, session: Session) -> str:
        cells = (session.id, session.backend, session.state, session.alias or "-", session.cwd, *notes(session))
        return self._columns(tuple(table.one_line(cell) for cell in cells))

    def _columns(self, cells: tuple[str, ...]) -> str:
        return table.columns(cells, WIDTHS, self._style)

    def session(self) -> Session | None:
        """The session on the line of dot; dot over several lines is about none."""
        q0, q1 = self.window.dot()
        start, end = self.window.address(f"#{q0}-+")
        if q1 > end:
            raise Invalid("dot is on several lines: put it on one, or give the id")
        return self.app.roster.find(table.key(self.window.text(start, end)))

    # commands

    def get(self, call: Call) -> None:
        self._style = self.style()
        self._known = {}
        self.app.sync()

    def attach(self, call: Call) -> None:
        self.app.attach(self.subject(call))

    def control(self, call: Call) -> None:
        """For each that is named, else each on the lines of dot."""
        for session in [self.app.roster.get(word) for word in call.words] or self._selected(call):
            if call.word == "Kill":
                self._sure(session)
            self.app.agent.control(session.id, call.word.lower())

    def _sure(self, session: Session) -> None:
        """Kill is for good: what would be lost with the session wants it twice."""
        if session.state == "running" and self._doomed != session.id:
            self._doomed = session.id
            raise Conflict(f"{session.label}: a turn is running; Kill again ends it for good")

    def _selected(self, call: Call) -> list[Session]:
        q0, q1 = self.window.dot()
        last = q1 - 1 if q1 > q0 else q1
        start, end = self.window.address(f"#{q0}-+")[0], self.window.address(f"#{last}-+")[1]
        found = [self.app.roster.find(table.key(line)) for line in self.window.text(start, end).splitlines()]
        sessions = [session for session in found if session is not None]
        if not sessions or len(sessions) < len(found):
            raise Invalid(f"{call.word}: which session? put dot on its line, or give its id")
        return sessions

    def alias(self, call: Call) -> None:
        """``Alias <id> <name>``, or ``Alias <name>`` for the line of dot."""
        words = call.words
        if len(words) == 1 and self.app.roster.find(words[0]) is None:
            session = self.session()
            if session is None:
                raise Invalid("Alias: which session? put dot on its line, or give its id")
            words = [session.id, words[0]]
        if len(words) != 2:
            raise Invalid("usage: Alias <id> <name>")
        self.app.agent.write(f"{self.app.roster.get(words[0]).id}/alias", words[1] + "\n")

    def keys(self, call: Call) -> None:
        """``Keys <id> Down Enter``, or ``Keys Down Enter`` for the line of dot."""
        names = call.words
        named = self.app.roster.find(names[0]) if names else None
        session = named or self.session()
        if session is None or not names[named is not None :]:
            raise Invalid("usage: Keys <id> <name of a key> ...")
        self.app.agent.write(f"{session.id}/ctl", words.join(["keys", *names[named is not None :]]) + "\n")

    def window_of(self, call: Call) -> None:
        self.app.open(call.word.lower(), self.subject(call).id)

    def daemon(self, call: Call) -> None:
        self.app.open("daemon")

    def box(self, call: Call) -> None:
        subject = call.words[0] if call.words else "user"
        self.app.open(call.word.lower(), subject if subject == "user" else self.app.roster.get(subject).id)


def notes(session: Session) -> list[str]:
    """What stands behind a session's directory."""
    return [table.one_line(note.line)[:_EXCERPT] for note in session.notes]
