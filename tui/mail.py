"""A mailbox: the messages of the user or of a session, one of them below the list; reply and archive."""

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from anvilsrv.front import requests
from anvilsrv.front.follow import Row
from anvilsrv.words import USER
from tui.dialogs import Help
from tui.footer import Footer
from tui.host import Host, Shown
from tui.once import Once
from tui.prompt import Prompt
from tui.text import clip, clock, printable

HINTS = "Enter reply  a archive  v inbox/archive  j k  PgUp PgDn scroll the text  Esc back"
COLUMNS = {"time": 10, "from": 14, "type": 17, "subject": 0}


class MailScreen(Shown, Once[None]):
    """``inbox`` or ``archive`` of ``owner``, newest first."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "dismiss", show=False),
        Binding("a", "archive", show=False),
        Binding("e,enter", "reply", show=False),
        Binding("v", "other", show=False),
        Binding("r", "refresh_box", show=False),
        Binding("j,ctrl+n", "move('down')", show=False),
        Binding("k,ctrl+p", "move('up')", show=False),
        Binding("pageup", "scroll('page_up')", show=False, priority=True),
        Binding("pagedown", "scroll('page_down')", show=False, priority=True),
        Binding("question_mark", "help", show=False),
    ]

    def __init__(self, host: Host, owner: str) -> None:
        super().__init__()
        self.host = host
        self.owner = owner
        self.box = "inbox"
        self.messages: list[Row] = []

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield DataTable(cursor_type="row", cell_padding=1)
        with VerticalScroll(id="body", can_focus=False):
            yield Static(id="message")
        yield Footer(self.host, HINTS)

    def on_mount(self) -> None:
        rest = self.app.size.width - sum(COLUMNS.values()) - 2 * len(COLUMNS) - 1
        for name, width in COLUMNS.items():
            self.table.add_column(name.upper(), key=name, width=width or max(10, rest))
        self.action_refresh_box()

    @property
    def table(self) -> "DataTable[Content]":
        """The list."""
        return self.query_one(DataTable)

    def happened(self, changes: set[str]) -> None:
        if "mail" in changes:
            self.action_refresh_box()

    def action_refresh_box(self) -> None:
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
        self.query_one("#head", Static).update(Content(clip(f"{self.box} of {who} · {counted}", 78)))
        self._describe()

    def selected(self) -> Row | None:
        """Return the message under the cursor."""
        at = self.table.cursor_row
        return self.messages[at] if 0 <= at < len(self.messages) and self.table.row_count else None

    def on_data_table_row_highlighted(self) -> None:
        self._describe()

    def on_data_table_row_selected(self) -> None:
        self.action_reply()

    def _describe(self) -> None:
        one = self.selected()
        if one is None:
            self.query_one("#message", Static).update("No messages.")
            return
        head = f"{one['type']} from {self.host.name_of(one['from'])} to {self.host.name_of(one['to'])}\n{one.get('subject') or ''}\n\n"
        self.query_one("#message", Static).update(Content(printable(head + (one.get("body") or "")).expandtabs(8)))
        self.query_one("#body", VerticalScroll).scroll_home(animate=False)

    def action_archive(self) -> None:
        one = self.selected()
        if one is not None and self.box == "inbox":
            self.host.request(partial(requests.complete, owner=self.owner, message=one["id"]), self._archived)

    def _archived(self, _: object) -> None:
        self.action_refresh_box()
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
        self.action_refresh_box()

    def action_move(self, where: str) -> None:
        getattr(self.table, f"action_cursor_{where}")()

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one("#body", VerticalScroll), f"scroll_{where}")(animate=False)

    def action_help(self) -> None:
        self.app.push_screen(Help())
