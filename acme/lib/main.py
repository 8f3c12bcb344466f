"""The main window, `/AnviLLM/`: what needs the user, the backends, and a list of sessions that is text: it keeps itself up to date,
and what is edited in it is done by Put."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import ClassVar

from acme.lib import branch, listing, rows, table
from acme.lib.agent import Ask, Roster, Session
from acme.lib.edits import Edits, typed_lines
from acme.lib.event import Gesture
from acme.lib.host import Call
from acme.lib.pane import Pane
from anvilsrv import words
from anvilsrv.errors import AnvilError, Conflict, Invalid, NotFound
from anvilsrv.p9.client import P9Error
from anvilsrv.words import USER

NAME = "/AnviLLM/"
_STEP = 0.025  # s of acme's time in one go
_FEWEST, _MOST = 4, 64  # rows that change in it
_SHOWS = {"ask": "ask", "error": "log", "held": "queue", "done": "log", "mail": "inbox"}  # what is needed: the window


class Main(Pane):
    """Assist's first window; when dot is on a session's line, commands are about that session."""

    commands: ClassVar = {
        "Get": "get",
        "Put": "put",
        "Next": "next",
        "Sort": "sort",
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
        "Diff": "window_of",
        **dict.fromkeys(branch.COMMANDS, "git"),
        "New": "plain",
        "Tasks": "plain",
        "Daemon": "plain",
        "Inbox": "box",
        "Archive": "box",
    }
    by_dot = True
    tag = "Get Put New Next Sort Attach Stop Restart Kill Alias Context Log Diff Queue Tasks Daemon Inbox Archive Undo Redo Look"

    def title(self) -> str:
        return NAME

    def reopen(self) -> str:
        return "main"

    def open(self) -> None:
        self.shown: list[str] = []
        self._edits = Edits()
        self._by_need = True
        self._ticked = 0
        self._doomed: set[str] = set()  # the sessions whose Kill was asked for once
        self._last = ""  # the session that Next has shown
        self._step = 2 * _FEWEST
        self._rows = listing.Listing(self.style())
        self.shown = self._head(self.app.roster)
        typed = [line for line in self.window.body().splitlines() if line.strip() and not rows.ours(line)]
        typed = typed if self.adopted else []
        self.clear()
        self.window.replace(0, 0, "".join(f"{row}\n" for row in [*self.shown, *typed]))
        self.window.select(0, 0)
        self.refresh()
        self.window.show()

    # what the person writes

    def draft(self) -> str:
        lines = typed_lines(self.window.body(), self.shown)
        return "\n".join([*lines, *self._edits.lines(self.app.label)])

    def restore(self, text: str) -> None:
        self.window.append(text + "\n")

    def mine(self, q0: int, q1: int) -> bool:
        line = self.window.text(*self.window.address(f"#{q0}-+"))
        return rows.key(line.rstrip("\n")) not in {rows.key(row) for row in self.shown}

    def edited(self) -> None:
        self._edits.notice(self.window.body(), self.shown)
        self.keep()

    def undone(self) -> None:
        self.shown = self._edits.undone(self.window.body(), self.shown)
        self.refresh()

    # drawing

    def refresh(self) -> None:
        """Make the rows right; whatever else stands in the window, and dot, stay where they are."""
        self._settle()
        if self._ticked != self.app.tick:
            self._ticked = self.app.tick
            self._fit()
        wanted = self._wanted()
        if wanted == self.shown:
            return
        body = self.window.body()
        if self._edits.notice(body, self.shown):  # what is written over must not be what the person has just written
            wanted = self._wanted()
        step = table.step(self.shown, wanted, self._step, rows.key)
        started = time.monotonic()
        self._put(step, body)
        if step != wanted:
            pace = (time.monotonic() - started) / self._step
            self._step = max(_FEWEST, min(_MOST, int(_STEP / pace)))
            self.stale()  # the rest, after what was clicked meanwhile

    def _settle(self) -> None:
        if self._edits:
            self._edits.settle({one.id: one.alias or "-" for one in self.app.roster.sessions})

    def _fit(self) -> None:
        """Lay the columns out again if the window has become wider or narrower, of which acme tells nothing."""
        look = self.style()
        if look != self._rows.look:
            self._rows = listing.Listing(look)
            self.stale()

    def attended(self) -> None:
        self._fit()

    def _put(self, wanted: list[str], body: str) -> None:
        """Make these the rows. A row that moves takes dot with it."""
        with self.window.alone():
            self._put_alone(wanted, body)

    def _put_alone(self, wanted: list[str], body: str) -> None:
        dot = q0, q1 = self.window.dot()
        start = body.rfind("\n", 0, q0) + 1
        line = body[start:].partition("\n")[0]
        on, end = rows.key(line), start + len(line)
        clean = not (self._edits or typed_lines(body, self.shown))
        edits = table.plan(body, self.shown, wanted, rows.key)
        gone = table.put(self.window, edits, lines=True, clean=clean, dot=dot)
        self.shown = wanted
        if gone and on in self.app.roster.ids:
            at = self._place(on)
            if at is not None and self.window.dot() == (0, 0):
                within = q1 if q1 <= end else q0
                self.window.select(at + q0 - start, at + within - start)

    def _place(self, key: str) -> int | None:
        """Return where the line of that key begins."""
        at = 0
        for line in self.window.body().split("\n"):
            if rows.key(line) == key:
                return at
            at += len(line) + 1
        return None

    def _wanted(self) -> list[str]:
        roster = self.app.roster
        sessions = [one for one in roster.sessions if one.id not in self._edits.removed]
        sessions = rows.sorted_by_need(sessions) if self._by_need else sessions
        made = self._rows.of(sessions, self._edits.renamed, self._edits.refused, self.app.tick)
        return [*self._head(roster), self._rows.title(), *made]

    def _head(self, roster: Roster) -> list[str]:
        lines = [
            rows.needing(roster, self.app.mail),
            " ".join(f"[{each.word}]" for each in roster.backends if not each.trouble),
        ]
        missing = [each.word for each in roster.backends if each.trouble]
        if missing:
            lines.append(f"not here: {' '.join(missing)}")
        if not self.app.online:
            lines.append("daemon is away: middle-click Daemon")
        if self.app.trouble:
            lines.append(f"trouble: {table.one_line(self.app.trouble)}")
        return [line for line in lines if line]

    def session(self) -> Session | None:
        """Return the session on the line of dot; dot over several lines is about none."""
        lines = self.dot().lines
        if len(lines) > 1:
            raise Invalid("dot is on several lines: put it on one, or give the id")
        return self._on(lines[0])

    def _on(self, line: str) -> Session | None:
        """Return the session of a row, or of a question's line."""
        key = rows.key(line.rstrip("\n"))
        if key.startswith("\t"):
            found = self._asking(key[1:])
            return found[0] if found else None
        return self.app.roster.find(key) if rows.ours(line) else None

    def _asking(self, word: str) -> tuple[Session, Ask] | None:
        """Return the question whose line begins with that word, and whose it is."""
        every = ((one, ask) for one in self.app.roster.sessions for ask in one.asks)
        return next(((one, ask) for one, ask in every if word == (ask.id or one.label)), None)

    # clicks in the text

    def chosen(self, text: str, gesture: Gesture) -> bool:
        start, line = self._line(gesture)
        line = line.rstrip("\n")
        if rows.key(line) == "needs" and text in rows.NEEDS:
            self._show_next(text)
            return True
        if not rows.is_question(line) or rows.bracketed(line, gesture.clicked.q0 - start) is None:
            return False
        found = self._asking(table.key(line))
        if found is None or not line.startswith(rows.asked(found[1], found[0].label)):
            raise NotFound(f"{table.key(line)}: that question is no longer open")
        rows.take(self.app, *found, line, gesture.clicked.q0 - start)
        return True

    def row_key(self, line: str) -> str:
        return rows.key(line)

    def meant(self, word: str, gesture: Gesture) -> Session | None:
        """Return the session that is meant. In a row it is the row's: its alias may be another's by now."""
        line = self._line(gesture)[1].rstrip("\n") if gesture.in_body else ""
        if rows.ours(line) and word and word == rows.alias(line) and self.app.roster.find(word) is not None:
            return self.app.roster.get(rows.key(line))
        return super().meant(word, gesture)

    def executed(self, text: str, gesture: Gesture) -> bool:
        """Take back what a turn of the session has changed (``Undo <id> [number]``); without an id Undo is acme's own."""
        word, *rest = text.split()
        if word != "Undo" or not rest:
            return False
        session = self.app.roster.get(rest[0])
        if len(rest) > 2 or not "".join(rest[1:] or "0").isdecimal():
            raise Invalid("usage: Undo <id> [number of a turn]")
        with self._gestures.taken(gesture):
            try:
                self.app.agent.write(f"{session.id}/turns/{rest[1] if rest[1:] else 'last'}/ctl", "undo\n")
            except P9Error as error:
                raise Conflict(f"{session.label}: {error}") from None
        self.app.reread(session)
        return True

    def looked(self, word: str, gesture: Gesture) -> bool:
        found = self._asking(word)
        if found is not None:
            self.app.open("ask", found[0].id)
            return True
        line = self._line(gesture)[1].rstrip("\n") if gesture.in_body else ""
        session = self._on(line)
        if session is None or word not in listing.short(session.cwd).split("/") or session.cwd in line:
            return False
        self.app.directory(session.cwd)  # of which only the last name is there
        return True

    # commands

    def get(self, call: Call) -> None:
        """Draw all of it from what the daemon has now; a text that is not sent stays behind the rows."""
        if self._edits.warn():
            raise Conflict(f"{NAME} modified; Get again discards the changes")
        self._edits = Edits()
        typed = typed_lines(self.window.body(), self.shown)
        self._rows = listing.Listing(self.style())
        self.app.tell("")
        self.app.refetch()
        self.shown = self._wanted()
        table.whole(self.window, "".join(f"{row}\n" for row in [*self.shown, *typed]), clean=not typed)

    def put(self, call: Call) -> None:
        """Do what was edited, line by line: a row that was deleted, an alias that was changed, a line that was added."""
        body = self.window.body()
        self._edits.notice(body, self.shown)
        self._settle()  # an alias that was written back is no edit
        todo, self._edits = self._edits, Edits()
        confirmed, self._doomed = self._doomed, set()  # a session that two lines are about is asked for once
        for id in todo.removed:
            self._try(id, self._kill_id, id, confirmed)
        self._edits.refused.update(dict.fromkeys(todo.spoilt, "of a row only the alias can be changed"))
        for id, name in todo.renamed.items():
            if not self._try(id, self._name, id, "" if name == "-" else name):
                self._edits.renamed[id] = name
        for line in dict.fromkeys(typed_lines(body, self.shown)):
            self._do(line, confirmed)
        self.shown = [row for row in self.shown if rows.key(row) not in todo.removed]
        if todo.removed:
            self._close_up()
        self.app.sync()
        self.refresh()
        self.keep()

    def _close_up(self) -> None:
        """Take away the empty lines that rows have left whose text was cut."""
        body = self.window.body()
        rows_end = re.compile(f"{re.escape(self.shown[-1])}.*\n*").search(body) if self.shown else None
        for found in reversed(list(re.finditer(r"(?m)^\n", body[: rows_end.end() if rows_end else 0]))):
            self.window.replace(found.start(), found.end(), "")

    def _try(self, id: str, act: Callable[..., None], *words: object) -> bool:
        try:
            act(*words)
        except AnvilError as error:
            self._edits.refused[id] = str(error)
            return False
        return True

    def _do(self, line: str, confirmed: set[str]) -> None:
        """Do one line that was added; it is removed when it is done, or else has the refusal after it. A note stays."""
        word, _, rest = line.split("\t! ")[0].strip().partition(" ")
        call = Call(word, rest.strip(), None, None)
        backend = self.app.roster.backend(word)
        if backend is None and word not in ("-", "Alias"):
            return
        try:
            if backend is not None:
                self.app.begin(backend, call, "")
            elif word == "Alias":
                self.alias(call)
            else:
                self._kill_id(call.rest, confirmed)
            new = ""
        except AnvilError as error:
            new = f"{line.split(chr(9) + '! ')[0]}\t! {error}\n"
        body = f"\n{self.window.body()}"
        at = body.find(f"\n{line}")
        if at >= 0:
            self.window.replace(at, min(at + len(line) + 1, len(body) - 1), new)

    def next(self, call: Call) -> None:
        """Show the next session that needs the user, and what it needs."""
        self._show_next("")

    def _show_next(self, need: str) -> None:
        if need == "mail":
            self.app.open("inbox", USER)
            return
        found = [one for one in rows.sorted_by_need(self.app.roster.sessions) if one.needs and need in ("", one.needs)]
        if not found:
            raise Invalid("nothing needs you")
        ids = [one.id for one in found]
        session = found[(ids.index(self._last) + 1) % len(found) if self._last in ids else 0]
        self._last = session.id
        kind = _SHOWS[session.needs]
        self.app.open(kind, USER if kind == "inbox" else session.id)

    def sort(self, call: Call) -> None:
        """Sort: those that need the user first, or oldest first."""
        self._by_need = not self._by_need
        self.refresh()

    def attach(self, call: Call) -> None:
        self.app.attach(self.subject(call))

    def control(self, call: Call) -> None:
        """Do it for each that is named, else for each on the lines of dot."""
        sessions = [self.app.roster.get(word) for word in call.words] or self._selected(call)
        confirmed, self._doomed = self._doomed, set()
        for session in dict.fromkeys(sessions):
            if call.word == "Kill":
                self._kill(session, confirmed)
            else:
                self.app.agent.control(session.id, call.word.lower())

    def _kill(self, session: Session, confirmed: set[str]) -> None:
        """Kill is for good: what would be lost with the session wants it twice."""
        why = "" if session.id in confirmed else branch.would_be_lost(self.app.agent, session)
        if why:
            self._doomed.add(session.id)
            raise Conflict(f"{session.label}: {why}; Kill again removes it for good")
        self.app.agent.control(session.id, "kill")

    def _kill_id(self, id: str, confirmed: set[str]) -> None:
        self._kill(self.app.roster.get(id), confirmed)

    def _selected(self, call: Call) -> list[Session]:
        found = [self._on(line) for line in self.dot().lines]
        sessions = [session for session in found if session is not None]
        if not sessions or len(sessions) < len(found):
            raise Invalid(f"{call.word}: which session? put dot on its line, or give its id")
        return list(dict.fromkeys(sessions))

    def alias(self, call: Call) -> None:
        """Rename a session: ``Alias <id> <name>``, or ``Alias <name>`` for the line of dot."""
        words = call.words
        if len(words) == 1 and self.app.roster.find(words[0]) is None:
            session = self.session()
            if session is None:
                raise Invalid("Alias: which session? put dot on its line, or give its id")
            words = [session.id, words[0]]
        if len(words) != 2:
            raise Invalid("usage: Alias <id> <name>")
        self._name(self.app.roster.get(words[0]).id, words[1])

    def _name(self, id: str, name: str) -> None:
        self.app.agent.write(f"{id}/alias", name + "\n")

    def keys(self, call: Call) -> None:
        """Press keys: ``Keys <id> Down Enter``, or ``Keys Down Enter`` for the line of dot."""
        names = call.words
        named = self.app.roster.find(names[0]) if names else None
        session = named or self.session()
        if session is None or not names[named is not None :]:
            raise Invalid("usage: Keys <id> <name of a key> ...")
        self.app.agent.write(f"{session.id}/ctl", words.join(["keys", *names[named is not None :]]) + "\n")

    def git(self, call: Call) -> None:
        """Run ``Merge [id] [squash|rebase] [anyway]``, ``Push [id] [remote]`` or ``Discard [id]``."""
        named = branch.subject(call, self.app.roster)
        session = self.app.roster.get(named) if named else self.subject(Call(call.word, "", None, None))
        self.say(f"Assist: {branch.command(self.app.agent, session, call)}")
        self.app.reread(session)

    def window_of(self, call: Call) -> None:
        session = self.subject(call)
        if call.word == "Ask" and not session.asks:
            raise Invalid(f"{session.label} has no open question")
        self.app.open(call.word.lower(), session.id)

    def plain(self, call: Call) -> None:
        self.app.open(call.word.lower())

    def box(self, call: Call) -> None:
        subject = call.words[0] if call.words else USER
        self.app.open(call.word.lower(), subject if subject == USER else self.app.roster.get(subject).id)
