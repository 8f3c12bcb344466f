"""A mailbox: the messages of the user or of a session, one of them below the list; reply and archive."""

from functools import partial
from typing import ClassVar

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content

from anvilsrv.front import requests
from anvilsrv.front.follow import Row
from anvilsrv.words import USER
from tui.host import Host
from tui.listed import Listed
from tui.prompt import Prompt
from tui.text import clip, clock


class MailScreen(Listed):
    """``inbox`` or ``archive`` of ``owner``, newest first."""

    hints = "Enter reply  a archive  v inbox/archive  j k  PgUp PgDn scroll the text  Esc back"
    columns: ClassVar = {"time": 10, "from": 14, "type": 17, "subject": 0}
    BINDINGS: ClassVar = [
        Binding("a", "archive", show=False),
        Binding("e,enter", "reply", show=False),
        Binding("v", "other", show=False),
    ]

    def __init__(self, host: Host, owner: str) -> None:
        super().__init__(host)
        self.owner = owner
        self.box = "inbox"
        self.messages: list[Row] = []

    def happened(self, changes: set[str]) -> None:
        if "mail" in changes:
            self.reread()

    def reread(self) -> None:
        self.host.request(partial(requests.box, owner=self.owner, name=self.box), partial(self._fill, self.box))

    def _fill(self, box: str, messages: list[Row]) -> None:
        if not self.is_running or box != self.box:
            return
        chosen = self.selected()
        self.messages = messages[::-1]
        self.table.clear()
        for one in self.messages:
            cells = (clock(one["timestamp"]), self.host.name_of(one["from"]), one["type"], one.get("subject") or "")
            self.table.add_row(*(Content(clip(cell, 200)) for cell in cells), key=one["id"])
        if chosen is not None and chosen["id"] in self.table.rows:
            self.table.move_cursor(row=self.table.get_row_index(chosen["id"]))
        counted = "1 message" if len(messages) == 1 else f"{len(messages)} messages"
        who = "you" if self.owner == USER else self.host.name_of(self.owner)
        self.head(clip(f"{self.box} of {who} · {counted}", 78))
        self.describe()

    def selected(self) -> Row | None:
        """Return the message under the cursor."""
        at = self.table.cursor_row
        return self.messages[at] if 0 <= at < len(self.messages) and self.table.row_count else None

    def on_data_table_row_selected(self) -> None:
        self.action_reply()

    def describe(self) -> None:
        one = self.selected()
        if one is None:
            self.below("No messages.")
            return
        head = f"{one['type']} from {self.host.name_of(one['from'])} to {self.host.name_of(one['to'])}\n{one.get('subject') or ''}\n\n"
        self.below(head + (one.get("body") or ""))
        self.query_one("#body", VerticalScroll).scroll_home(animate=False)

    def action_archive(self) -> None:
        one = self.selected()
        if one is not None and self.box == "inbox":
            self.host.request(partial(requests.complete, owner=self.owner, message=one["id"]), self._archived)

    def _archived(self, _: object) -> None:
        self.reread()
        self.host.count_mail()

    def action_reply(self) -> None:
        one = self.selected()
        if one is None:
            return
        if one["from"] == USER:
            self.host.say("this message is from you")
            return
        key = f"mail {one['id']}"

        def send(body: str | None) -> None:
            if body is not None:
                self.host.drafts[key] = body
                self.host.request(partial(requests.reply, owner=self.owner, message=one["id"], body=body), sent)

        def sent(_: object) -> None:
            self.host.drafts.pop(key, None)
            self.host.say("sent")
            self._archived(None)

        title = f"Reply to {self.host.name_of(one['from'])}: {one.get('subject') or one['type']}"
        self.app.push_screen(
            Prompt(clip(title, 66), self.host.drafts.get(key, ""), partial(self.host.drafts.__setitem__, key)), send
        )

    def action_other(self) -> None:
        self.box = "archive" if self.box == "inbox" else "inbox"
        self.reread()
