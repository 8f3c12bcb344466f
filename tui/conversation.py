"""One session as a conversation: what was said, and a prompt under it. It follows what happens."""

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Static

from anvilsrv.front import requests
from anvilsrv.front.follow import Row
from anvilsrv.front.notes import asks as waiting
from anvilsrv.front.notes import label, notes
from anvilsrv.front.tail import Tail
from anvilsrv.front.turns import LAST, objects, over, turn
from anvilsrv.p9.client import Client
from tui.acting import Acting
from tui.columns import itself
from tui.footer import Footer
from tui.host import Host
from tui.prompt import PromptArea
from tui.talk import Talk
from tui.text import clip

HINTS = "Enter sends  C-j line  C-w answer  C-o steps  Tab text/prompt  PgUp PgDn  Esc"


class ConversationScreen(Acting):
    """The conversation of one session. In the text the keys of the list act on it; in the prompt they are letters."""

    BINDINGS: ClassVar = [
        *Acting.ACTS,
        Binding("escape,q", "leave", show=False),
        Binding("ctrl+w", "answer", show=False, priority=True),
        Binding("pageup", "scroll('page_up')", show=False, priority=True),
        Binding("pagedown", "scroll('page_down')", show=False, priority=True),
        Binding("j,ctrl+n", "scroll('down')", show=False),
        Binding("k,ctrl+p", "scroll('up')", show=False),
        Binding("g", "scroll('home')", show=False),
        Binding("G", "scroll('end')", show=False),
        Binding("o", "unfold", show=False),
        Binding("ctrl+o", "unfold", show=False, priority=True),
        Binding("u", "older", show=False),
    ]

    def __init__(self, host: Host, session: str) -> None:
        super().__init__(host)
        self.session = session
        self._tail: Tail | None = None
        self._gone = ""
        self._first = 0  # the first turn that is shown
        self._seen = 0  # what was said to be seen

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Talk()
        yield Static(id="asks")
        yield PromptArea()
        yield Footer(self.host, HINTS)

    def on_mount(self) -> None:
        self.query_one(PromptArea).put(self.host.draft(self.session))
        self.query_one(PromptArea).focus()
        self.redraw()
        self._tail = self.host.tail(self.session, self._show, self._end, self._begin)

    def on_unmount(self) -> None:
        if self._tail is not None:
            self._tail.stop()

    def selected(self) -> Row | None:
        return self.host.find(self.session)

    def redraw(self) -> None:
        """Redraw the head, and the question if there is one."""
        if not self.is_running:
            return
        row, width = self.selected(), max(20, self.app.size.width - 2)
        asks = self.query_one("#asks", Static)
        asks.display = bool(row and row["ask"])
        if row is None:
            self.query_one("#head", Static).update(Content(clip(f"{self.session} · {self._gone or '…'}", width)))
            return
        if row["ask"]:
            asks.update(
                Content("\n".join(clip(f"asks: {one['text']} (Ctrl-W answers)", width) for one in waiting(row)))
            )
        self._see(row)
        state = "DAEMON AWAY" if self.host.why else row["state"]
        state += f" · {row['doing']}" if row.get("doing") and not self.host.why else ""
        said = [label(row), row["id"], row["backend"], state, *(note.text for note in notes(row)), *itself(row)]
        self.query_one("#head", Static).update(Content(clip(" · ".join(said), width)))

    def _see(self, row: Row) -> None:
        """Record that the user, who has the conversation before them, looks at its last answer."""
        number = row.get("answered", 0)
        if (
            number > max(row.get("seen", 0), self._seen)
            and self.is_current
            and self.app.app_focus
            and not self.host.why
        ):
            self._seen = number
            self.host.request(partial(requests.see, session=self.session, number=number))

    def on_screen_resume(self) -> None:
        self.redraw()

    def on_app_focus(self) -> None:
        self.redraw()

    def _show(self, lines: list[str]) -> None:
        if self.is_running:
            self.query_one(Talk).add(objects(lines))

    def _begin(self, first: int) -> None:
        self._first = first

    def action_older(self) -> None:
        """Show the turns before those that are shown."""
        if self._first <= 1:
            return
        numbers = range(max(1, self._first - LAST), self._first)
        self._first = numbers[0]

        def ask(client: Client) -> list[str]:
            known = set(over(client, self.session))
            return [line for n in numbers if n in known for line in turn(client, self.session, n)]

        self.host.request(ask, lambda lines: self.query_one(Talk).add(objects(lines), first=True))

    def action_unfold(self) -> None:
        self.query_one(Talk).unfold()

    def _end(self, why: str) -> None:
        self._gone = why
        if self.is_running:
            self.host.say(why, error=True)
            self.redraw()

    def on_prompt_area_sent(self, message: PromptArea.Sent) -> None:
        area = self.query_one(PromptArea)
        text = message.text
        self.host.keep(self.session, text)
        area.text = ""

        def sent(_: None) -> None:
            self.host.sent(self.session)
            if self.is_running:
                self.query_one(Talk).follow()

        self.host.request(
            lambda client: requests.prompt(client, self.session, text), sent, partial(self._give_back, text)
        )

    def _give_back(self, text: str, why: str) -> None:
        """Put what could not be sent into the prompt again, unless something else is there by now."""
        self.host.say(why, error=True)
        if self.is_running and not self.query_one(PromptArea).text:
            self.query_one(PromptArea).put(text)

    def action_scroll(self, where: str) -> None:
        if not self.query_one(Talk).go(where):
            self.action_older()

    def action_leave(self) -> None:
        self.host.keep(self.session, self.query_one(PromptArea).text)
        self.dismiss()
