"""What a session has changed: a turn's diff or all of it, and what is done with it: taken back, merged, discarded."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from anvilsrv.front import changes
from anvilsrv.front.changes import WHOLE
from anvilsrv.p9.client import Client
from tui.dialogs import Confirm, Help
from tui.footer import Footer
from tui.host import Host, Shown
from tui.once import Once
from tui.text import clip, printable

HINTS = "t turn or all  [ ] turns  u undo  m merge  X discard  Esc back"
COLOURS = {"+": "ansi_green", "-": "ansi_red", "@": "ansi_cyan"}
MOST = 200_000  # characters that are shown
HEADS = ("diff --git ", "+++ ", "--- ")


def coloured(text: str) -> Content:
    """Return a diff with the colours of its lines."""
    lines = printable(text).expandtabs(8).splitlines()
    return Content.assemble(*((f"{line}\n", style(line)) for line in lines))


def style(line: str) -> str:
    """Return that of one line."""
    return "bold" if line.startswith(HEADS) else COLOURS.get(line[:1], "")


class ChangesScreen(Shown, Once[None]):
    """The diff of ``session``: all, or that of turn ``n``."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "dismiss", show=False),
        Binding("t", "other", show=False),
        Binding("left_square_bracket", "turn(-1)", show=False),
        Binding("right_square_bracket", "turn(1)", show=False),
        Binding("u", "undo", show=False),
        Binding("m", "merge", show=False),
        Binding("X", "discard", show=False),
        Binding("r", "read", show=False),
        Binding("j,ctrl+n,down", "scroll('down')", show=False, priority=True),
        Binding("k,ctrl+p,up", "scroll('up')", show=False, priority=True),
        Binding("pageup", "scroll('page_up')", show=False, priority=True),
        Binding("pagedown,space", "scroll('page_down')", show=False, priority=True),
        Binding("question_mark", "help", show=False),
    ]

    def __init__(self, host: Host, session: str) -> None:
        super().__init__()
        self.host = host
        self.session = session
        self.n = WHOLE
        self.last = 0
        self.size_said = ""

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        with VerticalScroll(id="body", can_focus=False):
            yield Static(id="message")
        yield Footer(self.host, HINTS)

    def on_mount(self) -> None:
        self.redraw()
        self.action_read()
        self.host.request(self._last, partial(setattr, self, "last"))

    # -- showing ------------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Redraw the head: whose changes, and on which branch."""
        if not self.is_running:
            return
        row = self.host.find(self.session)
        branch = str(row.get("branch") or "") if row else ""
        said = [f"changes of {self.host.name_of(self.session)}", f"turn {self.n}" if self.n else "all"]
        said += [f"branch {branch}"] if branch else []
        said += [self.size_said] if self.size_said else []
        self.query_one("#head", Static).update(Content(clip(" · ".join(said), max(20, self.app.size.width - 2))))

    def happened(self, changes: set[str]) -> None:
        if "sessions" in changes:
            self.host.request(self._last, self._known)

    def _last(self, client: Client) -> int:
        return changes.last(client, self.session)

    def _known(self, last: int) -> None:
        if last != self.last:
            self.last = last
            self.action_read()

    def action_read(self) -> None:
        n = self.n
        self.host.request(partial(changes.diff, session=self.session, n=n), partial(self._show, n), self._none)

    def _none(self, why: str) -> None:
        if self.is_running:
            self.query_one("#message", Static).update(Content(f"There is no diff to show: {printable(why)}"))

    def _show(self, n: int, text: str) -> None:
        if not self.is_running or n != self.n:
            return
        lines = text.splitlines()
        plus = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
        minus = sum(line.startswith("-") and not line.startswith("--- ") for line in lines)
        files = sum(line.startswith("diff --git ") for line in lines)
        self.size_said = f"{files} file{'s'[: files != 1]} +{plus} -{minus}"
        more = f"\n… {len(text) - MOST:,} characters more" if len(text) > MOST else ""
        self.query_one("#message", Static).update(coloured(text[:MOST] + more) if text else "Nothing is changed.")
        self.redraw()

    # -- keys ---------------------------------------------------------------------------------------------------------

    def action_other(self) -> None:
        def known(last: int) -> None:
            self.last = last
            self._turn(last if self.n == WHOLE else WHOLE)

        self.host.request(self._last, known)

    def action_turn(self, by: int) -> None:
        if self.n:
            self._turn(max(1, min(self.n + by, self.last)))
        else:
            self.action_other()

    def _turn(self, n: int) -> None:
        self.n = n
        self.query_one("#body", VerticalScroll).scroll_home(animate=False)
        self.redraw()
        self.action_read()

    def action_undo(self) -> None:
        """Undo the turn that is shown, or the last that changed something."""

        known = self.n or self.last

        def undo(client: Client, session: str) -> str:
            n = known or self._last(client)
            return changes.undo(client, session, n) if n else "no turn has changed anything"

        which = f"turn {known}" if known else "the last turn"
        title = f"Take back what {which} of {self.host.name_of(self.session)} changed?"
        self._sure(title, "What was changed since is kept. It can be undone.", undo)

    def action_merge(self) -> None:
        title = f"Merge the branch of {self.host.name_of(self.session)}?"
        self._sure(title, "Into what is checked out in its repository.", partial(changes.command, words="merge"))

    def action_discard(self) -> None:
        title = f"Discard {self.host.name_of(self.session)}?"
        why = "The session and its work tree go; git keeps what was committed for 30 days."
        self._sure(title, why, partial(changes.command, words="discard"), self.dismiss)

    def _sure(self, title: str, why: str, act: Callable[..., str], then: Callable[[], object] | None = None) -> None:
        def done(said: str) -> None:
            self.host.say(said)
            (then or self.action_read)()

        def go(sure: bool | None) -> None:
            if sure:
                self.host.request(partial(act, session=self.session), done)

        self.app.push_screen(Confirm(title, why), go)

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one("#body", VerticalScroll), f"scroll_{where}")(animate=False)

    def action_help(self) -> None:
        self.app.push_screen(Help())
