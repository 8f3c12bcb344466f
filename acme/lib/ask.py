"""What an agent waits for, with its choices to middle-click: `<cwd>/+Ask.<alias>`."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from acme.lib.about import About
from acme.lib.agent import Ask
from acme.lib.choices import drawn, picked
from acme.lib.event import Gesture
from acme.lib.host import Call
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import dumps, loads


class AskPane(About):
    """One question. A middle click anywhere on a choice's line takes it; the window goes when the question does."""

    kind = "Ask"
    tag = "Answer Log Attach"
    commands: ClassVar = {**About.commands, "Answer": "answer"}
    asked: Ask | None = None

    def open(self) -> None:
        self.refresh()

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
            self.window.show()  # acme went to the end

    def executed(self, text: str, gesture: Gesture) -> bool:
        if self.asked is None or not gesture.in_body:
            return False
        choice = picked(self._line(gesture)[1], text, self.asked.choices)
        if choice is not None:
            self.give(choice)
        return choice is not None

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
    parts = [ask.text.rstrip(), textwrap.indent(detailed(ask.detail), "\t"), drawn(ask.choices)]
    return "\n\n".join(part for part in parts if part.strip()).rstrip("\n") + "\n"


def detailed(detail: str) -> str:
    """What a question is about: JSON, as the input of a tool is, as a person reads it, other text as it is."""
    try:
        values = loads(detail)
    except Invalid:
        return detail.strip("\n")
    if not isinstance(values, dict):
        return detail.strip("\n")
    return "\n".join(f"{name}:{_value(value)}" for name, value in values.items())


def _value(value: object) -> str:
    text = value if isinstance(value, str) else dumps(value)
    return "\n" + textwrap.indent(text.strip("\n"), "\t") if "\n" in text.strip("\n") else f" {text.strip()}"
