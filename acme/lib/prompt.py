"""Windows that a person writes in: a prompt for a session, and a session's context."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from acme.lib.about import About
from acme.lib.host import Call
from anvilsrv.errors import Invalid
from anvilsrv.p9.client import P9Error


class Written(About):
    """A window whose text is the person's: nothing is lost by a single Del."""

    def delete(self, call: Call) -> None:
        """As acme does it: the first Del of a changed window only says that it is modified."""
        if call.word == "Delete" or not self.window.body().strip():
            self.window.delete()
            return
        with suppress(P9Error):
            self.window.ctl("del")


class Prompt(Written):
    """`<cwd>/+Prompt.<alias>`: Send, or Put, gives the text to the session; the window stays until it was accepted."""

    kind = "Prompt"
    tag = "Send Put Log Context Attach"
    commands: ClassVar = {**About.commands, "Send": "send", "Put": "send"}

    def open(self) -> None:
        self.window.show()

    def reopen(self) -> str:
        return f"prompt {self.subject_id}"

    def send(self, call: Call) -> None:
        text = self.window.body()
        if not text.strip():
            raise Invalid("nothing to send")
        self.app.agent.prompt(self.subject_id, text.rstrip("\n"))
        self.window.delete()


class Context(Written):
    """`<cwd>/+Context.<alias>`: what is put before every prompt. Put stores it, Get fetches it anew."""

    kind = "Context"
    tag = "Put Get Prompt Log"
    commands: ClassVar = {**About.commands, "Put": "put", "Get": "get"}

    def open(self) -> None:
        if not (self.adopted and self.window.dirty()):
            self.fill()
        self.window.select(0, 0)
        self.window.show()

    def fill(self) -> None:
        text = self.app.agent.read(f"{self.subject_id}/context")
        with self.window.bulk():
            self.window.replace(0, self.window.address("$")[1], text)

    def get(self, call: Call) -> None:
        self.fill()

    def put(self, call: Call) -> None:
        self.app.agent.write(f"{self.subject_id}/context", self.window.body())
        self.window.clean()
