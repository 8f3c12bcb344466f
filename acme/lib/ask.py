"""What an agent waits for, with its choices to middle-click: `<cwd>/+Ask.<alias>`."""

from __future__ import annotations

from typing import ClassVar

from acme.lib.about import About
from acme.lib.agent import Ask
from acme.lib.event import Gesture
from acme.lib.pane import Call
from anvilsrv.errors import Invalid


class AskPane(About):
    """One question. A middle click anywhere on a choice's line takes it; the window goes when the question does."""

    kind = "Ask"
    tag = "Answer Log Attach"
    commands: ClassVar = {**About.commands, "Answer": "answer"}
    asked: Ask | None = None

    def open(self) -> None:
        self.refresh()
        self.window.show()

    def refresh(self) -> None:
        current = self.app.roster.find(self.subject_id)
        ask = current.ask if current is not None else None
        if ask is None:
            if self.app.online:
                self.window.delete()
            return
        if ask != self.asked:
            self.asked = ask
            with self.window.bulk():
                self.drawn = self.window.replace(0, self.window.address("$")[1], draw(ask))
            self.window.select(0, 0)

    def executed(self, text: str, gesture: Gesture) -> bool:
        if self.asked is None or not gesture.in_body:
            return False
        line = self._line(gesture)[1].strip()
        chosen = [choice for choice in self.asked.choices if line == _drawn(choice) or text == choice]
        if not chosen:
            return False
        self.give(chosen[0])
        return True

    def answer(self, call: Call) -> None:
        """``Answer <text>``, or what was typed below the question."""
        text = call.argument or self.window.body()[self.drawn :].strip()
        if not text:
            raise Invalid("no answer: middle-click a choice, or type one at the end of the window")
        self.give(text)

    def give(self, choice: str) -> None:
        self.app.agent.write(f"{self.subject_id}/answer", choice + "\n")
        self.window.delete()


def draw(ask: Ask) -> str:
    choices = "".join(f"{_drawn(choice)}\n" for choice in ask.choices)
    return f"{ask.text.rstrip()}\n\n{choices}"


def _drawn(choice: str) -> str:
    return f"[{' '.join(choice.split())}]"
