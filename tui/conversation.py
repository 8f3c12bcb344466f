"""One session as a conversation: what was said, and a prompt under it. It follows the log as it grows."""

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import RichLog, Static

from anvilsrv.front import requests
from anvilsrv.front.follow import Row
from anvilsrv.front.notes import asks as waiting
from anvilsrv.front.notes import label, notes
from anvilsrv.front.tail import Piece, Tail
from tui.acting import Acting
from tui.dialogs import PromptArea
from tui.host import Host
from tui.text import clip, printable

LINES = 20_000  # of a conversation that are kept on the screen
_WHO = {
    "USER": ("you", "bold cyan"),
    "ASSISTANT": ("agent", "bold green"),
    "NOTE": ("left in repositories", "bold yellow"),
}
HINTS = "Enter sends  Ctrl-J new line  Ctrl-W answer  Tab text/prompt  PgUp PgDn  Esc back"


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
    ]

    def __init__(self, host: Host, session: str) -> None:
        super().__init__(host)
        self.session = session
        self._tail: Tail | None = None
        self._gone = ""
        self._seen = 0  # what was said to be seen

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield RichLog(
            id="talk", wrap=True, markup=False, highlight=False, max_lines=LINES, auto_scroll=False, min_width=20
        )
        yield Static(id="asks")
        yield PromptArea()
        yield Static(HINTS, id="keys")

    def on_mount(self) -> None:
        self.query_one(PromptArea).put(self.host.drafts.get(self.session, ""))
        self.query_one(PromptArea).focus()
        self.query_one("#talk", RichLog).anchor()  # at the end, until the user scrolls
        self.redraw()
        self._tail = self.host.tail(self.session, self._show, self._end)

    def on_unmount(self) -> None:
        if self._tail is not None:
            self._tail.stop()

    def selected(self) -> Row | None:
        return self.host.find(self.session)

    def redraw(self) -> None:
        """The head, and the question if there is one."""
        if not self.is_running:
            return
        row, width = self.selected(), max(20, self.app.size.width - 2)
        asks, talk = self.query_one("#asks", Static), self.query_one("#talk", RichLog)
        if talk.is_vertical_scroll_end:  # the question takes lines away from it
            self.call_after_refresh(talk.scroll_end, animate=False)
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
        said = [label(row), row["id"], row["backend"], state, *(note.text for note in notes(row))]
        self.query_one("#head", Static).update(Content(clip(" · ".join(said), width)))

    def _see(self, row: Row) -> None:
        """Who has the conversation before him looks at its last answer."""
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

    def _show(self, pieces: list[Piece]) -> None:
        if not self.is_running:
            return
        talk = self.query_one("#talk", RichLog)
        from rich.text import Text

        for piece in pieces:
            if piece.role:
                when = piece.time[11:16] or piece.time
                who, style = _WHO.get(piece.role, _WHO["ASSISTANT"])
                talk.write(Text(f"── {who} {when} ".ljust(max(20, talk.size.width - 4), "─"), style))
            if piece.text:
                talk.write(
                    Text(
                        printable(piece.text.strip("\n") if not piece.role else piece.text).expandtabs(8),
                        overflow="fold",
                    )
                )

    def _end(self, why: str) -> None:
        self._gone = why
        if self.is_running:
            self.host.say(why, error=True)
            self.redraw()

    def on_prompt_area_sent(self, message: PromptArea.Sent) -> None:
        area = self.query_one(PromptArea)
        text = message.text
        self.host.drafts[self.session] = text
        area.text = ""

        def sent(_: None) -> None:
            self.host.drafts.pop(self.session, None)
            self.query_one("#talk", RichLog).scroll_end(animate=False)

        self.host.request(
            lambda client: requests.prompt(client, self.session, text), sent, lambda: self._give_back(text)
        )

    def _give_back(self, text: str) -> None:
        """What could not be sent stands in the prompt again, unless something else does by now."""
        if self.is_running and not self.query_one(PromptArea).text:
            self.query_one(PromptArea).put(text)

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one("#talk", RichLog), f"scroll_{where}")(animate=False)

    def action_leave(self) -> None:
        if text := self.query_one(PromptArea).text:
            self.host.drafts[self.session] = text
        self.dismiss()
