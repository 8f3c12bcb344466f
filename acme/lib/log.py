"""The conversation of a session, as it goes on: `<cwd>/+Log.<alias>`.

What the person types at the end of the window stands behind the log, and stays there while the log grows before it;
Send sends it.
"""

from __future__ import annotations

import codecs
import collections
import re
import time
from typing import Any, ClassVar, NamedTuple

from acme.lib import edit_lines, rows, table
from acme.lib.about import About
from acme.lib.agent import Ask, Session, named
from acme.lib.event import Gesture
from acme.lib.host import Call
from acme.lib.logged import Logged
from anvilsrv.errors import Invalid, NotFound
from anvilsrv.front.tail import Tail
from anvilsrv.p9.client import P9Error

_LOGGED = re.compile(r"\t|(USER|ASSISTANT|NOTE) \d")  # how a line of a log begins that is not empty
_SEARCHED = 200_000  # runes from the end in which the line of an edit is looked for
_TAIL = 64  # runes of the log by which its end is known again


class _End(NamedTuple):
    """What was found at the end of the window: whether the log's end is where it was left, and what is typed after it."""

    where_it_was: bool
    typed: str


class Log(About):
    """Follows `log`. acme scrolls along if the end of the log is in view, and only then."""

    kind = "Log"
    _tail: Tail | None = None
    _turns: Tail | None = None  # while a line of an edit has nothing beneath it
    end = 0  # where ours ends; the person's text is behind
    tail = ""  # the last runes of ours: of the log, and of what stands below it
    foot = ""  # what stands below the log: what is asked, what is done just now, what was used
    _log = ""  # the last runes of the log
    _seen = 0  # the answer that the daemon was told of
    _mark: object = None  # what the foot was drawn from
    tag = "Send Stop Interrupt Answer Prompt Context Attach Get Undo Redo Look"
    commands: ClassVar = {**About.commands, "Send": "send", "Answer": "answer", "Ask": "ask", "Get": "get"}

    def open(self) -> None:
        if self.adopted:
            self._clear()
        self.window.show()
        self._follow()
        self.attended()

    def _clear(self) -> None:
        """Leave only what the person has typed."""
        draft = _draft(self.window.body())
        with self.window.bulk(clean=not draft):
            self.window.replace(0, self.window.address("$")[1], draft)

    def _follow(self) -> None:
        """Follow the log from its beginning."""
        self.end, self.tail, self.foot, self._log, self._mark = 0, "", "", "", None
        logged, decoder = Logged(), codecs.getincrementaldecoder("utf-8")("replace")
        self._following = following = object()
        waiting = collections.deque[str]()  # what came and is not drawn yet: all of it is drawn at once

        def draw() -> None:
            with self.window.drawing:
                text = "".join(waiting.popleft() for _ in range(len(waiting)))
                if text and self._following is following:
                    self.add(text)

        def came(data: bytes) -> None:  # on the tail's thread
            if text := logged.add(decoder.decode(data).replace("\0", "")):
                waiting.append(text)
                self.post(draw)

        self._waiting, self._seq = edit_lines.Waiting(), 0
        self._tail = self.app.tail(self.subject_id, came)

    def closed(self) -> None:
        for tail in (self._tail, self._turns):
            if tail is not None:
                tail.stop()
        self._turns = None

    def _ask_for_edits(self) -> None:
        """Ask for edits, since a line names one: follow `activity` until it has reported that, too. A text that streams
        costs no more for it.
        """
        following = self._following

        def told(lines: list[str]) -> None:  # on the thread of that tail
            if found := edit_lines.edits(lines):
                self.post(lambda: self._edits(found) if self._following is following else None)

        self._beneath()
        if self._turns is None:
            self._turns = self.app.turns(self.subject_id, told)

    def _edits(self, found: list[dict[str, Any]]) -> None:
        self._waiting.add(one for one in found if one["seq"] > self._seq)
        self._seq = max(self._seq, *(one["seq"] for one in found))
        self._beneath()

    def _beneath(self) -> None:
        """Put beneath the lines of edits what was changed."""
        if not self._waiting:
            return
        typed = self._locate().typed
        begin = max(0, self.end - _SEARCHED)
        places = self._waiting.places(self.window.text(begin, self.end))
        if not places:
            return
        with self.window.bulk(clean=not typed):
            for at, text in places:
                self.window.replace(begin + at, begin + at, text)
                self.end += len(text)
        start = self.end - len(self.foot)
        self._log = self.window.text(max(0, start - _TAIL), start)
        self.tail = (self._log + self.foot)[-_TAIL:]
        if self._turns is not None and edit_lines.all_told(self.window.text(max(0, self.end - _SEARCHED), self.end)):
            self._turns.stop()
            self._turns = None

    def refresh(self) -> None:
        """Say below the log what is so now."""
        mark = (self.app.roster.find(self.subject_id), self.app.tick, self.app.edited_too(self.subject_id))
        if mark != self._mark and self._log:
            self._mark = mark
            with self.window.drawing:
                self.add("")

    def add(self, text: str) -> None:
        """Add what has come to the log, or what is below it if that is another."""
        self._log = (self._log + text)[-_TAIL:]
        session = self.app.roster.find(self.subject_id)
        foot = self._below(session)
        if not text and foot == self.foot:
            return
        self.window.draws(session)
        found = self._locate()
        sure = found.where_it_was and len(self.foot) <= _TAIL
        start = self.end - len(self.foot)
        if start < 0 or not (sure or self.window.text(start, self.end) == self.foot):
            start = self.end  # the person has edited it: it is the person's now
        there = self.foot if start < self.end else ""
        with self.window.bulk(clean=not found.typed):
            if foot == there:
                self.window.replace(start, start, text)
            else:
                self.window.replace(start, self.end, text + foot)
        self.foot = foot
        self.end = start + len(text) + len(foot)
        self.tail = (self._log + foot)[-_TAIL:]
        if edit_lines.MINUS in text:
            self._ask_for_edits()

    def _below(self, session: Session | None) -> str:
        lines = [f"\tchanged here and by the agent: {path}" for path in self.app.edited_too(self.subject_id)]
        lines += below(session) if session is not None else []
        if not lines:
            return ""
        return ("" if self._log.endswith("\n") else "\n") + "".join(f"{line}\n" for line in lines)

    def attended(self) -> None:
        """Record that the person looks at the conversation: its last answer is seen."""
        session = self.app.roster.find(self.subject_id)
        if session is not None and session.answered > session.seen and session.answered != self._seen:
            self._seen = session.answered
            self.app.agent.write(f"{session.id}/seen", f"{session.answered}\n")

    def chosen(self, text: str, gesture: Gesture) -> bool:
        """Handle a click on a choice of a question at the end."""
        start, line = self._line(gesture)
        session = self.app.roster.find(self.subject_id)
        if not rows.is_question(line) or rows.bracketed(line, gesture.clicked.q0 - start) is None:
            return False
        for one, ask in self._shown(gesture):
            if line.rstrip("\n").startswith(rows.asked(ask, one.label)):
                if session is None or ask not in session.asks:
                    raise NotFound(f"{table.key(line)}: that question is no longer open")
                rows.take(self.app, session, ask, line, gesture.clicked.q0 - start)
                return True
        return False  # the agent says something like it

    def _shown(self, gesture: Gesture | None) -> list[tuple[Session, Ask]]:
        """Return what was asked at the end of the log, as the gesture saw it."""
        body = gesture.body if gesture is not None else None
        mark = body.drawn if body is not None else self.window.drawn
        return [(mark, ask) for ask in mark.asks] if isinstance(mark, Session) else []

    def _locate(self) -> _End:
        """Find the end of the log again by its last words: the person may have edited what stands before.

        Where those were edited too, fewer of them have to do.
        """
        tail = self.tail
        try:
            found = self.window.from_there(max(0, self.end - len(tail)))
            if found.startswith(tail):
                return _End(True, found[len(tail) :])
        except P9Error:  # out of range: more was cut away
            pass
        body = self.window.body()
        while tail:
            ends = [found.end() for found in re.finditer(re.escape(tail), body)]
            if ends:
                self.end = min(ends, key=lambda end: abs(end - self.end))
                return _End(False, body[self.end :])
            tail = tail[(len(tail) + 1) // 2 :]
        self.end = min(self.end, len(body))
        return _End(False, body[self.end :])

    def draft(self) -> str:
        return self._locate().typed.strip("\n")

    def restore(self, text: str) -> None:
        self.window.append(text)

    def mine(self, q0: int, q1: int) -> bool:
        self._locate()
        return q0 >= self.end

    def undone(self) -> None:
        """Undo takes back what came meanwhile, too: draw that again. What is as it was drawn is left, and another Undo goes on."""
        if not self._locate().where_it_was:
            self.get(Call("Get", "", None, None))

    def get(self, call: Call) -> None:
        """Redraw the conversation above the text that was typed."""
        self.closed()
        self._clear()
        self._follow()

    def send(self, call: Call) -> None:
        """Send the argument, else what was typed behind the log, which then goes away: the log will show it."""
        if call.argument:
            self.app.agent.prompt(self.subject_id, call.argument)
            return
        text = self._locate().typed
        if not text.strip():
            raise Invalid("nothing to send: type it at the end of the window")
        self.app.agent.prompt(self.subject_id, text.strip("\n"))
        self._sent(text)

    def _sent(self, text: str) -> None:
        """Note that this much of what was typed is the agent's now."""
        if self._locate().typed.startswith(text):
            self.window.replace(self.end, self.end + len(text), "")
            self.keep()
            if not self._locate().typed:
                self.window.clean()

    def answer(self, call: Call) -> None:
        """Answer with ``Answer <choice>``, or what was typed after the log; without either the question opens."""
        session = self.app.roster.find(self.subject_id)
        asks = tuple(ask for _, ask in self._shown(self.acting)) or (session.asks if session else ())
        text = self._locate().typed
        if call.argument or (asks and text.strip()):
            self.app.agent.write(f"{self.subject_id}/answer", named(asks, call.argument or text.strip()))
            if not call.argument:
                self._sent(text)
        else:
            self.ask(call)

    def ask(self, call: Call) -> None:
        session = self.app.roster.find(self.subject_id)
        if session is not None and not session.asks:
            raise Invalid(f"{session.label} has no open question")
        self.app.open("ask", self.subject_id)


def _draft(body: str) -> str:
    """Return what the person typed at the end of a log, by the look of its lines."""
    typed: list[str] = []
    for line in reversed(body.split("\n")):
        if _LOGGED.match(line):
            break
        typed.insert(0, line)
    return "\n".join(typed).strip("\n")


def below(session: Session) -> list[str]:
    """Return what is below the log of a session: its questions, or what it does, or what it has used."""
    if session.asks:
        return [rows.asked(ask, session.label) for ask in session.asks]
    if session.state == "running":
        doing = f" · {rows.done_now(session)}" if rows.done_now(session) else ""
        return [f"\trunning {rows.elapsed(time.time() - session.since)}{doing}"] if session.since else []
    used = rows.used(session.usage)
    return [f"\t{used}"] if used else []
