"""What an agent waits for, all its questions with their choices to middle-click: `<cwd>/+Ask.<alias>`."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from acme.lib.about import About
from acme.lib.agent import Ask, named
from acme.lib.choices import drawn, picked
from acme.lib.event import Gesture
from acme.lib.host import Call
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import dumps, loads


class AskPane(About):
    """The open questions. A middle click anywhere on a choice's line takes it; the window goes with the last of them."""

    kind = "Ask"
    tag = "Answer Log Attach"
    commands: ClassVar = {**About.commands, "Answer": "answer"}
    asked: tuple[Ask, ...] = ()

    def open(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        current = self.app.roster.find(self.subject_id)
        asks = current.asks if current is not None else ()
        if not asks:
            if self.app.online:
                self.window.delete()
            return
        if asks != self.asked:
            self.asked = asks
            with self.window.bulk():
                self.drawn = self.window.replace(0, self.window.address("$")[1], draw(asks))
            self.window.select(0, 0)
            self.window.show()  # acme went to the end

    def executed(self, text: str, gesture: Gesture) -> bool:
        if not gesture.in_body:
            return False
        choice = picked(self._line(gesture)[1], text, [one for ask in self.asked for one in offered(ask, self.asked)])
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
        last = len(self.asked) < 2
        self.app.agent.write(f"{self.subject_id}/answer", named(self.asked, choice))
        if last:
            self.window.delete()


def offered(ask: Ask, asks: tuple[Ask, ...]) -> list[str]:
    """Its choices as they are written: after its id where others are open too."""
    return [f"{ask.id} {choice}" if len(asks) > 1 else choice for choice in ask.choices]


def draw(asks: tuple[Ask, ...]) -> str:
    """All of them; where there are several, each after its id."""
    parts: list[str] = []
    for ask in asks:
        text = f"{ask.id}: {ask.text.rstrip()}" if len(asks) > 1 else ask.text.rstrip()
        parts += [text, textwrap.indent(detailed(ask.detail), "\t"), drawn(offered(ask, asks))]
    return "\n\n".join(part.rstrip("\n") for part in parts if part.strip()) + "\n"


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
