"""A new session: its form, which is there at once, before its choices are known, and stays until the session is there."""

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
    """A new session; gives its id. ``submit`` gets the fields, and what to call with the id or with why there is none; ``ask``
    is called once it is on the screen, and leads to ``offer`` or ``unknown``."""

    FIELDS: ClassVar = ("backend", "directory", "alias", "role", "tasks")

    def __init__(self, directory: str, submit: Submit, ask: Callable[[], object]) -> None:
        super().__init__("Start a session")
        self.values = {"directory": directory}
        self.submit = submit
        self._ask = ask
        self._busy = False
        self._asked = True  # for the choices
        self._entered = False  # before they came

    def inside(self) -> ComposeResult:
        for name in self.FIELDS:
            with Horizontal(classes="row"):
                yield Label(name)
                yield Field(self.values.get(name, ""), id=name, select_on_focus=False)
        yield Static(id="wrong")
        yield Static("…", id="offered", classes="hint")
        yield Label("Tab next   Enter starts   Esc leaves", classes="hint")

    def on_mount(self) -> None:
        self._say("")
        self._ask()

    def offer(self, backends: list[dict[str, str]], known: dict[str, list[str]]) -> None:
        """Offer the choices: suggested while one types, and the first backend is taken if none has been typed."""
        self._asked = False
        if not self.is_running:
            return
        able = [one["name"] for one in backends if one["status"] == "ok"]
        for name, names in {"backend": able, **known}.items():
            self.query_one(f"#{name}", Input).suggester = SuggestFromList(names) if names else None
        backend = self.query_one("#backend", Input)
        if able and not backend.value:
            backend.value = able[0]
            backend.cursor_position = len(able[0])
        able_first = sorted(backends, key=lambda one: one["status"] != "ok")
        lines = [clip(f"{one['name']} · {one['title']}{_why(one)}", 68) for one in able_first]
        lines += [clip(f"tasks, commas between: {' '.join(known['tasks'])}", 136)] if known.get("tasks") else []
        self.query_one("#offered", Static).update(Content("\n".join(lines)))
        self._answered("")

    def unknown(self, why: str) -> None:
        """Note that there are no choices; the form can be filled in all the same."""
        self._asked = False
        if self.is_running:
            self.query_one("#offered", Static).update("")
            self._answered(why)

    def _answered(self, why: str) -> None:
        """Say that, unless there is something to start now."""
        if not self._busy:
            self._say(why)
        if self._entered:
            self._entered = False
            self.on_input_submitted()

    def on_input_submitted(self) -> None:
        found = {name: self.query_one(f"#{name}", Input).value.strip() for name in self.FIELDS}
        for name in ("backend", "directory"):
            if not found[name] and name == "backend" and self._asked:
                self._entered = True
                self._say("asking which backends there are …")
                return
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


def _why(backend: dict[str, str]) -> str:
    return "" if backend["status"] == "ok" else f": {backend['status']}"


def known(client: Client) -> tuple[list[dict[str, str]], dict[str, list[str]]]:
    """Return the backends, and the names of roles and tasks."""
    roles, tasks = ([one["name"] for one in ask(client)] for ask in (requests.roles, requests.tasks))
    return requests.backends(client), {"role": roles, "tasks": tasks}


def new(client: Client, found: dict[str, str]) -> str:
    """Start the session of those fields; its id."""
    where = os.path.abspath(os.path.expanduser(found["directory"]))
    make = partial(requests.new, client, found["backend"], where)
    return make(role=found["role"], tasks=found["tasks"], alias=found["alias"])
