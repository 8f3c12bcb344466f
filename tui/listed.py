"""A screen that is a list: a line above it, and below it the text of the row under the cursor."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from tui.dialogs import Help
from tui.footer import Footer
from tui.host import Host, Shown
from tui.once import Once
from tui.text import printable


class Listed(Shown, Once[None]):
    """Subclasses say which columns there are (0: what is left of the width), fill the list, and describe its rows."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "dismiss", show=False),
        Binding("r", "reread", show=False),
        Binding("j,ctrl+n", "move('down')", show=False),
        Binding("k,ctrl+p", "move('up')", show=False),
        Binding("pageup", "scroll('page_up')", show=False, priority=True),
        Binding("pagedown", "scroll('page_down')", show=False, priority=True),
        Binding("question_mark", "help", show=False),
    ]
    hints: ClassVar[str]
    columns: ClassVar[Mapping[str, int]]

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield DataTable(cursor_type="row", cell_padding=1)
        with VerticalScroll(id="body", can_focus=False):
            yield Static(id="message")
        yield Footer(self.host, self.hints)

    def on_mount(self) -> None:
        rest = self.app.size.width - sum(self.columns.values()) - 2 * len(self.columns) - 1
        for name, width in self.columns.items():
            self.table.add_column(name.upper(), key=name, width=width or max(10, rest))
        self.redraw()
        self.reread()

    def reread(self) -> None:
        """Ask for what is in the list."""

    def describe(self) -> None:
        """Say below the list what the row under the cursor is."""

    @property
    def table(self) -> "DataTable[Content]":
        """The list."""
        return self.query_one(DataTable)

    def head(self, text: str) -> None:
        """Show a line above the list."""
        self.query_one("#head", Static).update(Content(text))

    def below(self, text: str) -> None:
        """Show a text below the list."""
        self.query_one("#message", Static).update(Content(printable(text).expandtabs(8)))

    def on_data_table_row_highlighted(self) -> None:
        self.describe()

    def action_reread(self) -> None:
        self.reread()

    def action_move(self, where: str) -> None:
        getattr(self.table, f"action_cursor_{where}")()

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one("#body", VerticalScroll), f"scroll_{where}")(animate=False)

    def action_help(self) -> None:
        self.app.push_screen(Help())
