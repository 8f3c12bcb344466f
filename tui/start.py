"""A new session: its form, which stays until the session is there."""

import os
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Static

from anvilsrv.front import requests
from anvilsrv.p9.client import Client
from tui.dialogs import Dialog, Field
from tui.text import clip, printable

Submit = Callable[[dict[str, str], Callable[[str], None], Callable[[str], bool]], object]


class Start(Dialog):
    """A new session; gives its id. ``submit`` gets the fields, and what to call with the id or with why there is none."""

    FIELDS: ClassVar = ("backend", "directory", "alias", "role", "tasks")

    def __init__(
        self, backends: list[dict[str, str]], known: dict[str, list[str]], directory: str, submit: Submit
    ) -> None:
        super().__init__("Start a session")
        self.backends = backends
        self.submit = submit
        self._busy = False
        able = [one["name"] for one in backends if one["status"] == "ok"]
        self.values = {"backend": next(iter(able), ""), "directory": directory}
        self.known = {"backend": able, **known}

    def inside(self) -> ComposeResult:
        for name in self.FIELDS:
            with Horizontal(classes="row"):
                yield Label(name)
                suggester = SuggestFromList(self.known[name]) if self.known.get(name) else None
                yield Field(self.values.get(name, ""), id=name, suggester=suggester, select_on_focus=False)
        yield Static(id="wrong")
        for one in self.backends:
            why = "" if one["status"] == "ok" else f": {one['status']}"
            yield Label(Content(clip(f"{one['name']} · {one['title']}{why}", 68)), classes="hint")
        if self.known.get("tasks"):
            yield Label(Content(clip(f"tasks, commas between: {' '.join(self.known['tasks'])}", 136)), classes="hint")
        yield Label("Tab next   Enter starts   Esc leaves", classes="hint")

    def on_mount(self) -> None:
        self._say("")

    def on_input_submitted(self) -> None:
        found = {name: self.query_one(f"#{name}", Input).value.strip() for name in self.FIELDS}
        for name in ("backend", "directory"):
            if not found[name]:
                self.query_one(f"#{name}", Input).focus()
                return
        if not self._busy:
            self._busy = True
            self._say("starting …")
            self.submit(found, self._made, self._refused)

    def _made(self, session: str) -> None:
        if self.is_running:
            self.dismiss(session)

    def _refused(self, why: str) -> bool:
        """Show why there is no session; False: the form is gone."""
        self._busy = False
        if self.is_running:
            self._say(why)
        return self.is_running

    def _say(self, words: str) -> None:
        wrong = self.query_one("#wrong", Static)
        wrong.display = bool(words)
        wrong.update(Content(printable(words)))


def known(client: Client) -> tuple[list[dict[str, str]], dict[str, list[str]]]:
    """The backends, and the names of roles and tasks."""
    roles, tasks = ([one["name"] for one in ask(client)] for ask in (requests.roles, requests.tasks))
    return requests.backends(client), {"role": roles, "tasks": tasks}


def new(client: Client, found: dict[str, str]) -> str:
    """Start the session of those fields; its id."""
    where = os.path.abspath(os.path.expanduser(found["directory"]))
    make = partial(requests.new, client, found["backend"], where)
    return make(role=found["role"], tasks=found["tasks"], alias=found["alias"])
