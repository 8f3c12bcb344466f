"""The conversation of a session, as it goes on: `<cwd>/+Log.<alias>`.

What the person types at the end of the window stands behind the log, and stays there while the log grows before it;
Send sends it.
"""

from __future__ import annotations

import codecs
import re
from typing import ClassVar

from acme.lib.about import About
from acme.lib.agent import named
from acme.lib.host import Call
from anvilsrv.errors import Invalid
from anvilsrv.front.tail import Tail
from anvilsrv.p9.client import P9Error

_LOGGED = re.compile(r"\t|(USER|ASSISTANT|NOTE) \d")  # how a line of a log begins that is not empty
_TAIL = 64  # runes of the log by which its end is known again


class Log(About):
    """Follows `log`. acme scrolls along if the end of the log is in view, and only then."""

    kind = "Log"
    _tail: Tail | None = None
    tag = "Send Stop Interrupt Answer Prompt Context Attach"
    commands: ClassVar = {**About.commands, "Send": "send", "Answer": "answer", "Ask": "ask"}

    def open(self) -> None:
        self.end = 0  # where the log ends; the person's text is behind
        self.tail = ""  # the last runes of the log
        draft = _draft(self.window.body()) if self.adopted else ""
        self.clear()
        self.window.replace(0, 0, draft)
        self.window.show()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = self.app.tail(self.subject_id, self._came)

    def closed(self) -> None:
        if self._tail is not None:
            self._tail.stop()

    def _came(self, data: bytes) -> None:
        """From the tail's thread: more of the log."""
        if text := self._decoder.decode(data).replace("\0", ""):
            self.post(lambda: self.add(text))

    def add(self, text: str) -> None:
        """More of the log has come."""
        self._locate()
        with self.window.bulk():
            self.end = self.window.replace(self.end, self.end, text)
        self.tail = (self.tail + text)[-_TAIL:]

    def _locate(self) -> None:
        """Find the end of the log again by its last words: the person may have edited what stands before.

        Where those were edited too, fewer of them have to do.
        """
        tail = self.tail
        try:
            if self.window.text(max(0, self.end - len(tail)), self.end) == tail:
                return
        except P9Error:  # out of range: more was cut away
            pass
        body = self.window.body()
        while tail:
            ends = [found.end() for found in re.finditer(re.escape(tail), body)]
            if ends:
                self.end = min(ends, key=lambda end: abs(end - self.end))
                return
            tail = tail[(len(tail) + 1) // 2 :]
        self.end = min(self.end, len(body))

    def send(self, call: Call) -> None:
        """Send the argument, else what was typed behind the log, which then goes away: the log will show it."""
        if call.argument:
            self.app.agent.prompt(self.subject_id, call.argument)
            return
        self._locate()
        text = self.window.body()[self.end :]
        if not text.strip():
            raise Invalid("nothing to send: type it at the end of the window")
        self.app.agent.prompt(self.subject_id, text.strip("\n"))
        self._locate()
        if self.window.body()[self.end :].startswith(text):
            self.window.replace(self.end, self.end + len(text), "")
            self.window.clean()

    def answer(self, call: Call) -> None:
        """``Answer <choice>``; without a choice the question opens."""
        if call.argument:
            session = self.app.roster.find(self.subject_id)
            self.app.agent.write(f"{self.subject_id}/answer", named(session.asks if session else (), call.argument))
        else:
            self.ask(call)

    def ask(self, call: Call) -> None:
        self.app.open("ask", self.subject_id)


def _draft(body: str) -> str:
    """What the person typed at the end of a log, by the look of its lines."""
    typed: list[str] = []
    for line in reversed(body.split("\n")):
        if _LOGGED.match(line):
            break
        typed.insert(0, line)
    return "\n".join(typed).strip("\n")
