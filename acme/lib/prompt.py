"""Windows that a person writes in: a prompt for a session, and a session's context."""

from __future__ import annotations

from typing import ClassVar

from acme.lib import table
from acme.lib.about import About
from acme.lib.host import Call
from acme.lib.written import Written
from anvilsrv.errors import Conflict, Invalid


class Prompt(Written):
    """`<cwd>/+Prompt.<alias>`: Send, or Put, gives the text to the session; the window stays until it was accepted."""

    kind = "Prompt"
    tag = "Send Put Log Context Attach Undo Redo Look"
    commands: ClassVar = {**About.commands, "Send": "send", "Put": "send"}

    def open(self) -> None:
        self.window.show()

    def send(self, call: Call) -> None:
        text = self.window.body()
        if not text.strip():
            raise Invalid("nothing to send")
        self.app.agent.prompt(self.subject_id, text.rstrip("\n"))
        self.sent(text)


class Context(Written):
    """`<cwd>/+Context.<alias>`: what is put before every prompt. Put stores it, Get fetches it again.

    As acme does with a file: neither throws text away without a warning, which is given once for each text.
    """

    kind = "Context"
    tag = "Put Get Prompt Log Undo Redo Look"
    commands: ClassVar = {**About.commands, "Put": "put", "Get": "get"}

    def open(self) -> None:
        self._read = ""  # what the daemon had when it was last asked
        self._got = ""  # the text that Get has warned of
        self._changed = ""  # what another wrote, of which Put has warned
        if self.adopted and self.window.dirty():
            self._read = self._stored()
        elif self.adopted:
            self.fill()
        else:
            self._read = self._stored()
            self.window.replace(0, 0, self._read)  # the person may have typed already
            if self.window.body() == self._read:
                self.window.clean()
        self.window.select(0, 0)
        self.window.show()

    def draft(self) -> str:
        text = self.window.body()
        return text if text != self._read else ""

    def fill(self) -> None:
        self._read = self._stored()
        table.whole(self.window, self._read)

    def get(self, call: Call) -> None:
        text = self.draft()
        if text and text != self._got:
            self._got = text
            raise Conflict(f"{self.title()} modified; Get again discards the changes")
        self.fill()
        self.keep()

    def put(self, call: Call) -> None:
        now = self._stored()
        if now not in (self._read, self._changed):
            self._changed = now
            raise Conflict(f"{self.title()} was changed elsewhere since it was read; Put again overwrites that")
        text = self.window.body()
        self.app.agent.write(f"{self.subject_id}/context", text)
        self._read = text
        self.keep()
        self.window.clean()

    def _stored(self) -> str:
        return self.app.agent.read(f"{self.subject_id}/context")
