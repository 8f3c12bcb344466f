"""The main screen: the list of sessions, kept up to date, and the keys that act on the selected one."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import DataTable, Static

from anvilsrv.front.follow import Row
from anvilsrv.front.notes import asks as waiting
from anvilsrv.front.notes import notes
from tui.acting import Acting
from tui.columns import age, cells, itself, tokens, widths
from tui.dialogs import Filter
from tui.footer import Footer
from tui.host import Host
from tui.start import Start, known, new
from tui.text import clip, one_line, short_path

HINTS = "s start  p prompt  Enter talk  w answer  t stop  K kill  / filter  i inbox  ? keys  q"
TICK = 30.0  # s after which ages are updated
SEARCHED = ("id", "alias", "state", "backend", "cwd", "role", "doing", "branch")


class SessionsScreen(Acting):
    """The list."""

    KEYS: ClassVar = [
        *Acting.ACTS,
        Binding("s", "start", show=False),
        Binding("enter", "talk", show=False),
        Binding("r", "refresh_list", show=False),
        Binding("d", "daemon", show=False),
        Binding("n", "needing", show=False),
        Binding("slash", "filter", show=False),
        Binding("q", "app.quit", show=False),
        Binding("j,ctrl+n", "move('down')", show=False),
        Binding("k,ctrl+p", "move('up')", show=False),
        Binding("g", "move('top')", show=False),
        Binding("G", "move('bottom')", show=False),
    ]
    # with priority: a key is then acted on before the next one is looked at, so what is typed ahead finds the right place
    BINDINGS: ClassVar = [replace(one, priority=True) for one in KEYS]

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._shown: dict[str, tuple[Content, ...]] = {}
        self._wanted = ""  # a session to put the cursor on when it comes
        self._columns: dict[str, int] = {}
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield DataTable(cursor_type="row", zebra_stripes=False, cell_padding=1)
        yield Static(id="empty")
        yield Static(id="detail")
        yield Footer(self.host, HINTS)

    def on_mount(self) -> None:
        self._lay_out()
        self.set_interval(TICK, self.redraw)

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        """Make the columns as the width wants them; the cursor stays on its session."""
        columns = widths(self.app.size.width)
        if columns == self._columns:
            return
        self._wanted = self._wanted or (self._chosen() if self._columns else "")
        self._columns, self._shown = columns, {}
        self.table.clear(columns=True)
        for name, width in columns.items():
            self.table.add_column(name.upper(), key=name, width=width)
        self.redraw()

    @property
    def table(self) -> "DataTable[Content]":
        """The list itself."""
        return self.query_one(DataTable)

    def selected(self) -> Row | None:
        return self.host.find(self._chosen())

    def _chosen(self) -> str:
        """Return the id under the cursor; empty in an empty list."""
        if not self.table.row_count:
            return ""
        return self.table.coordinate_to_cell_key(self.table.cursor_coordinate).row_key.value or ""

    # -- showing ------------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Bring the list up to date: what needs the user first, else as the daemon has them. The cursor stays where it is."""
        if not self.is_running or not self.table.columns:
            return
        ordered = sorted(self.host.rows, key=lambda row: not row.get("needs"))
        rows = {row["id"]: cells(row, self._columns) for row in ordered if self._fits(row)}
        chosen = self._chosen()
        for gone in [key for key in self._shown if key not in rows]:
            self.table.remove_row(gone)
        kept = [key for key in self._shown if key in rows]
        if kept + [key for key in rows if key not in self._shown] != list(rows):
            self.table.clear()  # what needs somebody goes up, what the filter left out comes back to its own place
        for key, row in rows.items():
            if key not in self.table.rows:
                self.table.add_row(*row, key=key)
            elif row != self._shown.get(key):
                for name, cell in zip(self._columns, row, strict=True):
                    self.table.update_cell(key, name, cell)
        self._shown = rows
        if chosen in rows:
            self.table.move_cursor(row=self.table.get_row_index(chosen))  # rows above it may have gone
        if self._wanted in rows:
            self._select(self._wanted)
        self.table.display = bool(rows)
        self.query_one("#empty").display = not rows
        if not rows:
            self.query_one("#empty", Static).update(Content(self._emptiness()))
        self.query_one("#head", Static).update(Content(self._heading()))
        self._describe()

    def _fits(self, row: Row) -> bool:
        """Return whether all words of the filter are in what is known of the session."""
        about = " ".join([*(str(row.get(name) or "") for name in SEARCHED), *(note.line for note in notes(row))])
        return all(word in about.lower() for word in self._filter.lower().split())

    def _heading(self) -> str:
        if self.host.why:
            return clip(f"AnviLLM · {self.host.namespace} · DAEMON AWAY, connecting again (d)", self.app.size.width - 2)
        asks = sum(len(waiting(row)) for row in self.host.rows)
        count = len(self.host.rows)
        parts = ["AnviLLM", self.host.namespace, f"{count} session{'' if count == 1 else 's'}"]
        parts += [f"/{self._filter}: {len(self._shown)}"] if self._filter else []
        parts += [f"{asks} ASK (w)"] if asks else []
        needs = sum(bool(row.get("needs")) for row in self.host.rows)
        parts += [f"{needs} need{'' if needs > 1 else 's'} you (n)"] if needs else []
        parts += [f"{self.host.mail} mail (i)"] if self.host.mail else []
        return clip(" · ".join(parts), max(20, self.app.size.width - 2))

    def _emptiness(self) -> str:
        if self.host.why:
            return f"{one_line(self.host.why)}\n\nd starts the daemon."
        if self._filter and self.host.rows:
            return f"No session has '{one_line(self._filter)}'. / and Esc shows all."
        return "No sessions. s starts one." if self.host.known else "…"

    def on_data_table_row_highlighted(self) -> None:
        self._describe()

    def _describe(self) -> None:
        """Write the lines under the list: what does not fit in it."""
        row = self.selected()
        lines: list[str] = []
        if row is not None:
            lines += [note.line for note in notes(row) if note.why]
            about = [short_path(row["cwd"], 40)]
            about += [f"pid {row['pid']}", f"sandbox {row['sandbox_tier'] or '?'}"] if row["pid"] else []
            about += [f"branch {row['branch']}"] if row.get("branch") else []
            about += [f"role {row['role']}"] if row["role"] else []
            about += [f"by {self.host.name_of(row['parent'])}"] if row["parent"] else []
            about += ["context"] if row["context"] else []
            about += [f"{used} tokens"] if (used := tokens(row)) else []
            about.append(f"{row['state']} for {age(time.time() - (row.get('since') or row['changed']))}")
            about += itself(row)
            lines.append(" · ".join(about))
        width = max(20, self.app.size.width - 2)
        detail = self.query_one("#detail", Static)
        detail.display = bool(lines)
        detail.update(Content("\n".join(clip(line, width) for line in lines)))

    # -- keys ---------------------------------------------------------------------------------------------------------

    def action_move(self, where: str) -> None:
        getattr(self.table, {"down": "action_cursor_down", "up": "action_cursor_up", "top": "action_scroll_top",
                             "bottom": "action_scroll_bottom"}[where])()  # fmt: skip

    def action_needing(self) -> None:
        """Put the cursor on the next session that needs the user."""
        ids = list(self._shown)
        rows = [row for one in ids if (row := self.host.find(one))]
        at = ids.index(chosen) + 1 if (chosen := self._chosen()) in ids else 0
        found = [row["id"] for row in rows[at:] + rows[:at] if row.get("needs")]
        if found:
            self._select(found[0])
        else:
            self.host.say("nothing needs you")

    def action_talk(self) -> None:
        self._with(lambda row: self.host.show_conversation(row["id"]))

    def on_data_table_row_selected(self) -> None:
        self.action_talk()

    def action_refresh_list(self) -> None:
        self.host.hurry()
        self.host.count_mail()
        self.host.refresh_sessions()

    def action_daemon(self) -> None:
        self.host.show_daemon()

    def action_filter(self) -> None:
        def changed(text: str) -> None:
            self._filter = text
            self.redraw()

        self.app.push_screen(Filter(self._filter, changed))

    def action_start(self) -> None:
        row = self.selected()

        def submit(found: dict[str, str], made: Callable[[str], None], refused: Callable[[str], bool]) -> None:
            def failed(why: str) -> None:
                if not refused(why):
                    self.host.say(why, error=True)

            self.host.request(partial(new, found=found), made, failed)

        def made(session: str | None) -> None:
            if session is not None:
                self._select(session)

        def ask() -> None:
            self.host.request(known, lambda offered: form.offer(*offered), form.unknown)

        form = Start(row["cwd"] if row else os.getcwd(), submit, ask)
        self.app.push_screen(form, made)

    def _select(self, session: str) -> None:
        """Put the cursor on a session once it is in the list."""
        if session in self.table.rows:
            self._wanted = ""
            self.table.move_cursor(row=self.table.get_row_index(session))
        else:
            self._wanted = session
