"""What an agent waits for, all its questions with their choices to middle-click: `<cwd>/+Ask.<alias>`."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from acme.lib import change
from acme.lib.about import About
from acme.lib.agent import Ask, named
from acme.lib.choices import drawn, picked
from acme.lib.event import Gesture
from acme.lib.host import Call
from acme.lib.typed import typed
from anvilsrv.errors import Conflict, Invalid
from anvilsrv.strict_json import dumps, loads


class AskPane(About):
    """The open questions. A middle click anywhere on a choice's line takes it; the window goes with the last of them."""

    kind = "Ask"
    tag = "Answer Get Log Attach Undo Redo Look"
    commands: ClassVar = {**About.commands, "Answer": "answer", "Get": "get"}
    asked: tuple[Ask, ...] = ()
    drawn = ""  # the questions as they stand here

    def open(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        if not self.app.online:
            return  # what was asked stays until the daemon is back
        current = self.app.roster.find(self.subject_id)
        asks = current.asks if current is not None else ()
        if not asks and not self.draft():
            self.finish()
        elif asks != self.asked or not self.drawn:
            self.asked = asks
            self._draw()

    def _draw(self) -> None:
        """Show the questions; what the person has typed comes below them."""
        current = self.session()
        questions = draw(self.asked, current.cwd if current is not None else "/")
        text = self.draft() if self.drawn else _left(self.window.body(), questions)
        self.drawn = questions if self.asked else "no question is open any more\n\n"
        self.window.draws(self.asked)
        with self.window.bulk(clean=not text):
            self.window.replace(0, self.window.address("$")[1], self.drawn + text)
        end = self.window.address("$")[1]
        self.show_top()  # a low window shows the question, and not the empty line in which one types
        if self.window.dot() == (0, 0):
            self.window.select(end, end)

    def draft(self) -> str:
        return typed(self.drawn, self.window.body()) if self.drawn else ""

    def restore(self, text: str) -> None:
        self.window.append(text)

    def mine(self, q0: int, q1: int) -> bool:
        return self.window.text(q0, q1).strip() not in self.drawn

    def get(self, call: Call) -> None:
        """Draw what is asked now; what was typed stays."""
        self.app.refetch()
        self.refresh()
        if self.asked:
            self._draw()

    def chosen(self, text: str, gesture: Gesture) -> bool:
        asks = self._shown(gesture)
        choice = picked(self._line(gesture)[1], text, [one for ask in asks for one in offered(ask, asks)])
        if choice is not None:
            self.give(choice, asks)
        return choice is not None

    def _shown(self, gesture: Gesture | None) -> tuple[Ask, ...]:
        """Return the questions that were shown here when it was clicked."""
        drawn = gesture.body.drawn if gesture is not None and gesture.body is not None else self.asked
        return drawn if isinstance(drawn, tuple) else self.asked

    def answer(self, call: Call) -> None:
        """Answer with ``Answer <text>``, or whatever was typed here, wherever it is."""
        if not self.asked:
            raise Invalid("no question is open any more")
        text = call.argument or self.draft()
        if not text:
            raise Invalid("no answer: middle-click a choice, or type one and click Answer")
        self.give(text, self._shown(self.acting))

    def give(self, choice: str, asks: tuple[Ask, ...]) -> None:
        """Answer one of the questions that were shown, if it is still open."""
        last = len(self.asked) < 2
        if not all(ask.id for ask in asks) and asks != self.asked:
            raise Conflict("that question is no longer open; nothing was answered")
        self.app.agent.write(f"{self.subject_id}/answer", named(asks, choice))
        if last:
            self.finish()
        else:
            self._forget()

    def _forget(self) -> None:
        """Forget what was typed, which is answered."""
        with self.window.bulk():
            self.window.replace(0, self.window.address("$")[1], self.drawn)
        self.keep()


def _left(body: str, drawn: str) -> str:
    """Return what the person had typed in a window that an earlier Assist left: the lines that are none of ours."""
    ours = set(drawn.splitlines())
    return "\n".join(line for line in body.splitlines() if line.strip() and line not in ours)


def offered(ask: Ask, asks: tuple[Ask, ...]) -> list[str]:
    """Return its choices as they are written: after its id if others are open too."""
    return [f"{ask.id} {choice}" if len(asks) > 1 else choice for choice in ask.choices]


def draw(asks: tuple[Ask, ...], directory: str) -> str:
    """Return all of them; if there are several, each after its id. Names of files are those in `directory`."""
    parts: list[str] = []
    for ask in asks:
        text = f"{ask.id}: {ask.text.rstrip()}" if len(asks) > 1 else ask.text.rstrip()
        path = change.path_of(ask.text, ask.detail)
        about = change.drawn(ask.diff, path, directory) if ask.diff.strip() else detailed(ask.detail)
        parts += [text, textwrap.indent(about, "\t"), drawn(offered(ask, asks))]
    return "\n\n".join(part.rstrip("\n") for part in parts if part.strip()) + "\n"


def detailed(detail: str) -> str:
    """Return what a question is about: JSON, such as the input of a tool, as a person reads it, other text as it is."""
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
