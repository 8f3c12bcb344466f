"""What a session has changed, to be judged: `<cwd>/+Diff.<alias>`.

Each hunk stands beneath its address, which a right click opens. What is written beneath a line is a comment on it.
"""

from __future__ import annotations

import os
import threading
from typing import ClassVar

from acme.lib import patch, table
from acme.lib.about import About
from acme.lib.host import Call, Host
from anvilsrv.errors import Conflict, Invalid

_GONE = "the session is gone; it had changed: "


class Diff(About):
    """Put gives the comments to the session as one prompt; Revert takes the hunks of dot back from the files."""

    kind = "Diff"
    by_dot = True
    tag = "Get Put Revert Merge Push Discard Log Prompt Undo Redo Look"
    commands: ClassVar = {**About.commands, "Get": "get", "Put": "put", "Revert": "revert"}
    _drawn = patch.Drawn()
    _got = ""  # the comments that Get has warned of

    def __init__(self, app: Host, subject: str = "") -> None:
        super().__init__(app, subject)
        self._old = threading.Event()

    def open(self) -> None:
        kept = self.window.body() if self.adopted and self.window.dirty() else ""
        self._draw()
        if comments := patch.comments(self._drawn, kept):
            self.restore("\n".join(comments))

    def outdate(self) -> None:
        """Have it drawn again, from any thread, since a turn is over or a command has changed it."""
        self._old.set()
        self.stale()

    def refresh(self) -> None:
        """Draw it again if it is old, unless the person has written in it: what comments are about stays."""
        if self.app.online and self.app.roster.find(self.subject_id) is None:
            self._say_gone()
        elif self._old.is_set():
            body = self.window.body()
            if not set(body.split("\n")) <= {*self._drawn.lines, ""}:
                return
            self._old.clear()
            edits = table.differences(body, self._read().text())
            table.put(self.window, edits, to=lambda dot: table.kept(body, dot, edits))

    def _say_gone(self) -> None:
        """Say so in the first line: what it had changed stays to be read."""
        line = next((line for line in self._drawn.lines if not line.startswith("#")), "")
        at = self.window.body().find(line)
        if at >= 0 and not line.startswith(_GONE):
            with self.window.bulk(clean=not self.draft()):
                self.window.replace(at, at, _GONE)
            self._drawn.lines[self._drawn.lines.index(line)] = _GONE + line

    def _read(self) -> patch.Drawn:
        """Return what is to be shown now."""
        session = self.subject(Call("Diff", "", None, None))
        diff = self.app.agent.read(f"{session.id}/git/diff")
        top = patch.top_of(session.cwd)
        self._drawn = patch.draw(diff, lambda path: os.path.relpath(os.path.join(top, path), session.cwd))
        return self._drawn

    def _draw(self) -> None:
        self._old.clear()
        table.whole(self.window, self._read().text())

    def draft(self) -> str:
        return "\n".join(patch.comments(self._drawn, self.window.body()))

    def restore(self, text: str) -> None:
        """Put comments that were kept beneath the lines that they are about."""
        table.whole(self.window, patch.commented(self._drawn, text), clean=False)

    def get(self, call: Call) -> None:
        text = self.draft()
        if text and text != self._got:
            self._got = text
            raise Conflict(f"{self.title()} modified; Get again discards the comments")
        self._draw()
        self.keep()

    def put(self, call: Call) -> None:
        body = self.window.body()
        text = "\n".join(patch.comments(self._drawn, body))
        if not text:
            raise Invalid("no comments: write them below the lines that they are about")
        self.app.agent.write(f"{self.subject_id}/git/review", f"{text}\n")
        if self.window.body() == body:  # else the person has gone on writing
            self._draw()
        self.keep()

    def revert(self, call: Call) -> None:
        """Take the hunks back on which dot is: the files are then as they were before them."""
        text = self.draft()
        if text:
            raise Conflict("there are comments: Put them first, or Get the diff again")
        q0, q1 = self.dot().q0, self.dot().q1
        found = patch.touched(self._drawn, self.window.body(), q0, q1)
        if not found:
            raise Invalid("Revert: which hunk? put dot on it")
        self.app.agent.write(f"{self.subject_id}/git/apply", patch.taken_back(found))
        self._draw()
        self.app.reread(self.subject(Call("Revert", "", None, None)))
