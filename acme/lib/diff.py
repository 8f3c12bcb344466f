"""What a session has changed, to be judged: `<cwd>/+Diff.<alias>`.

Each hunk stands beneath its address, which a right click opens. What is written beneath a line is a comment on it.
"""

from __future__ import annotations

import os
from typing import ClassVar

from acme.lib import patch, table
from acme.lib.about import About
from acme.lib.host import Call
from anvilsrv.errors import Conflict, Invalid


class Diff(About):
    """Put gives the comments to the session as one prompt; Revert takes the hunks of dot back from the files."""

    kind = "Diff"
    by_dot = True
    tag = "Get Put Revert Merge Push Discard Log Prompt Undo Redo Look"
    commands: ClassVar = {**About.commands, "Get": "get", "Put": "put", "Revert": "revert"}
    _drawn = patch.Drawn()
    _got = ""  # the comments that Get has warned of

    def open(self) -> None:
        self._draw()

    def _draw(self) -> None:
        session = self.subject(Call("Diff", "", None, None))
        diff = self.app.agent.read(f"{session.id}/git/diff")
        top = patch.top_of(session.cwd)
        self._drawn = patch.draw(diff, lambda path: os.path.relpath(os.path.join(top, path), session.cwd))
        table.whole(self.window, self._drawn.text())

    def draft(self) -> str:
        return "\n".join(patch.comments(self._drawn, self.window.body()))

    def restore(self, text: str) -> None:
        """Put comments that were kept at the end, with the places that they are about."""
        self.window.append(f"\n{text}\n")

    def get(self, call: Call) -> None:
        text = self.draft()
        if text and text != self._got:
            self._got = text
            raise Conflict(f"{self.title()} modified; Get again discards the comments")
        self._draw()
        self._keep()

    def put(self, call: Call) -> None:
        body = self.window.body()
        text = "\n".join(patch.comments(self._drawn, body))
        if not text:
            raise Invalid("no comments: write them below the lines that they are about")
        self.app.agent.write(f"{self.subject_id}/git/review", f"{text}\n")
        if self.window.body() == body:  # else the person has gone on writing
            self._draw()
        self._keep()

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
