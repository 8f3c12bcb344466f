"""The keys that act on one session, for every screen that has one: the list, and the conversation."""

import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from textual.binding import Binding

from anvilsrv.display import standing
from anvilsrv.front import requests
from anvilsrv.front.follow import Row
from anvilsrv.front.notes import asks as waiting
from anvilsrv.front.notes import label
from sandbox import outside
from tui.dialogs import Answer, Confirm, Help, Line
from tui.host import Host, Shown
from tui.once import Once
from tui.prompt import Prompt


class Acting(Shown, Once[None]):
    """The keys that act on ``selected()``, for the screens that have a session."""

    ACTS: ClassVar = [
        Binding("p", "prompt", show=False),
        Binding("t", "control('stop')", show=False),
        Binding("R", "control('restart')", show=False),
        Binding("x", "control('interrupt')", show=False),
        Binding("K", "kill", show=False),
        Binding("T", "type", show=False),
        Binding("a", "alias", show=False),
        Binding("c", "context", show=False),
        Binding("A", "attach", show=False),
        Binding("w", "answer", show=False),
        Binding("i", "inbox('user')", show=False),
        Binding("I", "inbox", show=False),
        Binding("Q", "queue", show=False),
        Binding("y", "copy", show=False),
        Binding("D", "changes", show=False),
        Binding("question_mark", "help", show=False),
    ]

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def selected(self) -> Row | None:
        """Return the session that keys act on."""
        raise NotImplementedError

    def _with(self, act: Callable[[Row], object]) -> None:
        row = self.selected()
        if row is None:
            self.host.say("no session: s starts one")
        else:
            act(row)

    def action_prompt(self) -> None:
        self._with(self._prompt)

    def _prompt(self, row: Row) -> None:
        who = row["id"]

        def send(text: str | None) -> None:
            if text is not None:
                self.host.keep(who, text)
                if self.host.find(who) is not None:  # else it has been said where the text is
                    self.host.request(partial(requests.prompt, session=who, text=text), lambda _: self.host.sent(who))

        self.app.push_screen(
            Prompt(f"Prompt for {label(row)}", self.host.draft(who), partial(self.host.keep, who)), send
        )

    def action_control(self, command: str) -> None:
        self._with(lambda row: self.host.request(partial(requests.control, session=row["id"], command=command)))

    def action_kill(self) -> None:
        def ask(row: Row) -> None:
            def kill(sure: bool | None) -> None:
                if sure:
                    self.host.request(partial(requests.control, session=row["id"], command="kill"))

            self.app.push_screen(Confirm(f"Kill {label(row)}?", "The session and its conversation go for good."), kill)

        self._with(ask)

    def action_alias(self) -> None:
        def ask(row: Row) -> None:
            def rename(alias: str | None) -> None:
                if alias is not None:
                    self.host.request(partial(requests.rename, session=row["id"], alias=alias.strip()))

            self.app.push_screen(
                Line(f"Alias of {row['id']}", row["alias"], "letters, digits, _ and -; empty takes it away"), rename
            )

        self._with(ask)

    def action_type(self) -> None:
        def ask(row: Row) -> None:
            def press(keys: str | None) -> None:
                if keys:
                    self.host.request(partial(requests.press, session=row["id"], keys=keys))

            self.app.push_screen(Line(f"Keys for the pane of {label(row)}", "", "names, as in Down Enter"), press)

        self._with(ask)

    def action_context(self) -> None:
        def ask(row: Row) -> None:
            def put(text: str | None) -> None:
                if text is not None and self.host.find(row["id"]) is None:
                    self.host.keep(row["id"], text)
                elif text is not None:
                    self.host.request(partial(requests.set_context, session=row["id"], context=text))

            title = f"Context before each prompt of {label(row)}"
            self.app.push_screen(
                Prompt(
                    title,
                    row["context"],
                    lambda _: None,
                    "Enter takes it, empty: none   Ctrl-J new line   Esc leaves it",
                ),
                put,
            )

        self._with(ask)

    def action_attach(self) -> None:
        self._with(self._terminal)

    def _terminal(self, row: Row) -> None:
        if not row["tmux"]:
            self.host.say(f"{label(row)} has no terminal: it {standing(row['state'])}", error=True)
            return
        with self.app.suspend():
            done = subprocess.run(
                ["sh", "-c", row["tmux"].splitlines()[-1]], env=outside.environment(), cwd="/", check=False
            )
        self.app.refresh()
        if done.returncode:
            self.host.say(f"attaching failed: tmux ended with status {done.returncode}", error=True)

    def action_answer(self) -> None:
        row = self.selected()
        if row is None or not row["ask"]:
            row = next((one for one in self.host.rows if one["ask"]), None)
        if row is None:
            self.host.say("no session is asking")
            return
        asks = waiting(row)
        titles = [
            f"{label(row)} asks" + (f" ({at} of {len(asks)}, {ask['id']})" if asks[1:] else "")
            for at, ask in enumerate(asks, 1)
        ]
        self._answer_each(row["id"], list(zip(titles, asks, strict=True)))

    def _answer_each(self, who: str, asks: list[tuple[str, dict[str, Any]]]) -> None:
        """Answer one question after the other; one that is left open is passed over."""
        title, ask = asks.pop(0)

        def answer(choice: str | None) -> None:
            if choice is not None:
                self.host.request(partial(requests.answer, session=who, choice=choice, ask=ask["id"]))
            if asks:
                self._answer_each(who, asks)

        self.app.push_screen(Answer(title, ask), answer)

    def action_inbox(self, owner: str = "") -> None:
        row = self.selected()
        if owner or row is not None:
            self.host.show_mail(owner or str(row["id"] if row else ""))

    def action_queue(self) -> None:
        self._with(lambda row: self.host.show_queue(row["id"]))

    def action_copy(self) -> None:
        """Copy the last answer to the clipboard of the terminal (OSC 52)."""

        def copy(row: Row) -> None:
            if not row.get("answered"):
                self.host.say(f"{label(row)} has not answered yet")
                return

            def copied(text: str) -> None:
                self.app.copy_to_clipboard(text)
                self.host.say(f"the last answer of {label(row)} is on the clipboard ({len(text)} characters)")

            self.host.request(partial(requests.answered, session=row["id"], n=row["answered"]), copied)

        self._with(copy)

    def action_changes(self) -> None:
        self._with(lambda row: self.host.show_changes(row["id"]))

    def action_help(self) -> None:
        self.app.push_screen(Help())
