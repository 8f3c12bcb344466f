"""Windows about one session: where they stand, and the words that all of them know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from acme.lib import branch
from acme.lib.agent import Session
from acme.lib.host import Call
from acme.lib.pane import Pane


class About(Pane):
    """A window `<cwd>/+<kind>.<alias>`. It outlives its session, so the last that was known of it is kept."""

    kind = ""
    commands: ClassVar[Mapping[str, str]] = {
        "Attach": "attach",
        "Stop": "control",
        "Interrupt": "control",
        "Log": "other",
        "Prompt": "other",
        "Context": "other",
        "Queue": "other",
        "Diff": "other",
        **dict.fromkeys(branch.COMMANDS, "git"),
    }
    any_word = False
    _last: Session | None = None

    def title(self) -> str:
        session = self.session()
        if session is None:
            return f"/AnviLLM/+{self.kind}.{self.subject_id}"
        return f"{session.cwd.rstrip('/')}/+{self.kind}.{session.label}"

    def reopen(self) -> str:
        return f"{self.kind.lower()} {self.subject_id}"

    def session(self) -> Session | None:
        self._last = self.app.roster.find(self.subject_id) or self._last
        return self._last

    def attach(self, call: Call) -> None:
        self.app.attach(self.subject(call))

    def control(self, call: Call) -> None:
        self.app.agent.control(self.subject(call).id, call.word.lower())

    def git(self, call: Call) -> None:
        """Run ``Merge``, ``Push`` or ``Discard`` for the window's session, and say what was done."""
        session = self.subject(Call(call.word, "", None, None))
        self.say(f"Assist: {branch.command(self.app.agent, session, call)}")
        self.app.reread(session)

    def other(self, call: Call) -> None:
        self.app.open(call.word.lower(), self.subject(call).id)
