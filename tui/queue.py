"""The prompts of a session that wait: drop one, put it first, edit it; hold the queue and let it go on."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.binding import Binding
from textual.content import Content

from anvilsrv.front import requests
from anvilsrv.front.requests import Queued
from anvilsrv.p9.client import Client
from tui.host import Host
from tui.listed import Listed
from tui.prompt import Prompt
from tui.text import clip


class QueueScreen(Listed):
    """What waits for ``session``, in the order in which its agent gets it; the text of one below the list."""

    hints = "d drop  f first  e edit  h hold  g go on  PgUp PgDn scroll the text  Esc back"
    columns: ClassVar = {"nr": 5, "kind": 6, "since": 8, "prompt": 0}
    BINDINGS: ClassVar = [
        Binding("d,delete", "move_prompt('drop')", show=False),
        Binding("f", "move_prompt('first')", show=False),
        Binding("e,enter", "edit", show=False),
        Binding("h", "control('hold')", show=False),
        Binding("g", "control('go')", show=False),
    ]

    def __init__(self, host: Host, session: str) -> None:
        super().__init__(host)
        self.session = session
        self.waiting: list[Queued] = []

    # -- showing ------------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Redraw the head: how many wait, and what holds them."""
        if not self.is_running:
            return
        row = self.host.find(self.session)
        said = [f"queue of {self.host.name_of(self.session)}", f"{len(self.waiting)} waiting"]
        said += [f"held: {row['held']}"] if row and row["held"] else []
        said += ["DAEMON AWAY"] if self.host.why else []
        self.head(clip(" · ".join(said), max(20, self.app.size.width - 2)))

    def happened(self, changes: set[str]) -> None:
        if "sessions" in changes:
            self.reread()

    def reread(self) -> None:
        self.host.request(partial(requests.queue, session=self.session), self._fill)

    def _fill(self, waiting: list[Queued]) -> None:
        if not self.is_running:
            return
        chosen, at = self.selected(), self.table.cursor_row
        self.waiting = waiting
        self.table.clear()
        for one in waiting:
            cells = (str(one.n), "mail" if one.origin == "mail" else "prompt", one.when[11:19], one.words)
            self.table.add_row(*(Content(clip(cell, 200)) for cell in cells), key=str(one.n))
        numbers = [one.n for one in waiting]
        if waiting:  # the cursor stays on its prompt; where that is gone, on what came after it
            self.table.move_cursor(
                row=numbers.index(chosen.n) if chosen and chosen.n in numbers else min(at, len(waiting) - 1)
            )
        self.redraw()
        self.describe()

    def selected(self) -> Queued | None:
        """Return the prompt under the cursor."""
        at = self.table.cursor_row
        return self.waiting[at] if 0 <= at < len(self.waiting) and self.table.row_count else None

    def on_data_table_row_selected(self) -> None:
        self.action_edit()

    def describe(self) -> None:
        one = self.selected()
        if one is None:
            self.below("Nothing waits.")
            return
        self._text(one, partial(self._show, one.n))

    def _text(self, one: Queued, then: Callable[[str], object], failed: Callable[[str], object] | None = None) -> None:
        def ask(client: Client) -> str:
            return requests.queued_text(client, self.session, one.n)

        self.host.request(ask, then, failed)

    def _show(self, n: int, text: str) -> None:
        one = self.selected() if self.is_running else None
        if one is not None and one.n == n:
            self.below(text)

    # -- keys ---------------------------------------------------------------------------------------------------------

    def action_move_prompt(self, move: str) -> None:
        one = self.selected()
        if one is not None:
            self.host.request(
                partial(requests.move_queued, session=self.session, n=one.n, move=move),
                lambda _: self.reread(),
            )

    def action_control(self, command: str) -> None:
        self.host.request(partial(requests.control, session=self.session, command=command))

    def action_edit(self) -> None:
        one = self.selected()
        if one is None:
            return
        key, drafts = f"queue {self.session} {one.n}", self.host.drafts

        def put(text: str | None) -> None:
            if text is not None:
                drafts[key] = text
                self.host.request(
                    partial(requests.edit_queued, session=self.session, n=one.n, text=text),
                    lambda _: drafts.pop(key, None),
                )

        if one.origin == "mail":
            self.host.say("a delivered message cannot be edited; d withdraws it", error=True)
            return

        def ask() -> None:
            self._text(one, form.begin, gone)

        def gone(why: str) -> None:
            self.host.say(why, error=True)
            if form.is_running:
                form.dismiss(None)

        form = Prompt(
            f"Prompt {one.n} in the queue",
            drafts.get(key, ""),
            partial(drafts.__setitem__, key),
            ask=None if key in drafts else ask,
        )
        self.app.push_screen(form, put)
