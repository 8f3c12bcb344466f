"""The application: what all screens share. The connection, the sessions as last seen, drafts, and running requests.

It alone imports the screens; they know it as ``tui.host.Host``. Those that the first paint does not need are imported when
they are first shown.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar, TypeVar

from rich.segment import Segment
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter
from textual.message import Message

from anvilsrv import paths
from anvilsrv.errors import AnvilError
from anvilsrv.front import requests
from anvilsrv.front.follow import Follower, Row, changes, read_json
from anvilsrv.front.notes import label
from anvilsrv.front.tail import Tail
from anvilsrv.front.turns import Turns
from anvilsrv.p9.client import Client
from anvilsrv.words import USER
from tui.footer import Footer
from tui.host import LEFT, Shown, nothing
from tui.saying import LASTS, Saying
from tui.sessions import SessionsScreen

T = TypeVar("T")


class Plain(LineFilter):
    """No colours at all (no-color.org), but bold, underlined and reverse text."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(text, style.without_color if style else None, control) for text, style, control in segments]


class Anvillm(App[None]):
    """``anvillm``: a ``tui.host.Host``."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "AnviLLM"
    CSS_PATH = "anvillm.tcss"
    BINDINGS: ClassVar = [("ctrl+c", "quit", "quit")]

    class Sessions(Message):
        """The sessions are these now."""

        def __init__(self, rows: list[Row]) -> None:
            super().__init__()
            self.rows = rows

    class Events(Message):
        """These happened."""

        def __init__(self, found: list[Row]) -> None:
            super().__init__()
            self.found = found

    class Away(Message):
        """The daemon cannot be reached."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    class Finished(Message):
        """Something is done in a thread: ``then`` is to be called on the loop."""

        def __init__(self, then: Callable[[], object]) -> None:
            super().__init__()
            self.then = then

    def __init__(self, socket: str | None = None) -> None:
        super().__init__()
        self.theme = "ansi-dark"  # the terminal's own 16 colours and its own background
        if self.no_color:
            self._filters[:] = [Plain()]  # Textual's own makes black on black of an ANSI theme
        self.follower = Follower(_Listener(self), socket)
        self.rows: list[Row] = []
        self.why = ""
        self.known = False  # heard of the daemon, whether it is there or not
        self.drafts: dict[str, str] = {}
        self._saying = Saying()
        self.mail = 0  # messages in the user's inbox

    @property
    def namespace(self) -> str:
        return paths.namespace()

    @property
    def service(self) -> str:
        return self.follower.socket

    def get_default_screen(self) -> SessionsScreen:
        return SessionsScreen(self)

    def on_mount(self) -> None:
        self.call_after_refresh(self.follower.start)  # the first paint waits for nothing

    def on_unmount(self) -> None:
        self.follower.stop()

    # -- what screens ask ---------------------------------------------------------------------------------------------

    def find(self, session: str) -> Row | None:
        return next((row for row in self.rows if row["id"] == session), None)

    def name_of(self, who: str) -> str:
        row = self.find(who)
        return label(row) if row else who

    def say(self, text: str, error: bool = False) -> None:
        self._saying.add(text, error, time.monotonic())
        self._draw_said()
        self.set_timer(LASTS + 0.1, self._draw_said)

    @property
    def said(self) -> tuple[str, bool]:
        return self._saying.line

    def _draw_said(self) -> None:
        self._saying.forget(time.monotonic())
        for screen in self.screen_stack:
            for footer in screen.query(Footer):
                footer.draw()

    def keep(self, session: str, text: str) -> None:
        if text.strip():
            self.drafts[session] = text
        else:
            self.drafts.pop(session, None)
        self._rescue()

    def draft(self, session: str) -> str:
        if LEFT in self.drafts and not self.drafts.get(session):
            self.drafts[session] = self.drafts.pop(LEFT)
        return self.drafts.get(session, "")

    def sent(self, session: str) -> None:
        self.drafts.pop(session, None)

    def _rescue(self) -> None:
        """Offer what was typed for a session that is gone for the next prompt."""
        if self.why or not self.known:
            return
        there = {row["id"] for row in self.rows}
        for gone in [key for key in self.drafts if key != LEFT and " " not in key and key not in there]:
            text = self.drafts.pop(gone)
            if text not in self.drafts.get(LEFT, ""):
                self.drafts[LEFT] = "\n\n".join(filter(None, (self.drafts.get(LEFT), text)))
            self.say(f"{gone} is gone; what was typed for it is offered at the next prompt (p)")

    def request(
        self,
        ask: Callable[[Client], T],
        then: Callable[[T], object] = nothing,
        failed: Callable[[str], object] | None = None,
    ) -> None:
        def asked() -> Callable[[], object]:
            try:
                found = ask(self.follower.client())
            except AnvilError as error:
                return partial(failed or partial(self.say, error=True), str(error))
            return lambda: then(found)

        self.work(asked, lambda done: done())

    def work(self, act: Callable[[], T], then: Callable[[T], object]) -> None:
        def run() -> None:
            found = act()
            self._finish(lambda: then(found))

        self.run_worker(run, thread=True)

    def _finish(self, then: Callable[[], object]) -> None:
        """Call ``then`` on the loop; from any thread."""
        self.post_message(self.Finished(then))

    def tail(
        self,
        session: str,
        told: Callable[[list[str]], object],
        ended: Callable[[str], object],
        first: Callable[[int], object],
    ) -> Tail:
        made = Turns(
            self.follower,
            session,
            lambda lines: self._finish(lambda: told(lines)),
            lambda why: self._finish(lambda: ended(why)),
            lambda n: self._finish(lambda: first(n)),
        )
        made.start()
        return made

    def hurry(self) -> None:
        self.follower.hurry()

    def refresh_sessions(self) -> None:
        self.request(lambda client: read_json(client, "sessions"), lambda rows: self.post_message(self.Sessions(rows)))

    def count_mail(self) -> None:
        def counted(found: list[Row]) -> None:
            self.mail = len(found)
            self.redraw()

        self.request(
            partial(requests.box, owner=USER, name="inbox"), counted, nothing
        )  # it is counted again when it comes

    # -- screens ------------------------------------------------------------------------------------------------------

    def show_conversation(self, session: str) -> None:
        from tui.conversation import ConversationScreen

        self.push_screen(ConversationScreen(self, session))

    def show_mail(self, owner: str) -> None:
        from tui.mail import MailScreen

        self.push_screen(MailScreen(self, owner))

    def show_queue(self, session: str) -> None:
        from tui.queue import QueueScreen

        self.push_screen(QueueScreen(self, session))

    def show_changes(self, session: str) -> None:
        from tui.changes import ChangesScreen

        self.push_screen(ChangesScreen(self, session))

    def show_daemon(self) -> None:
        from tui.daemon import DaemonScreen

        self.push_screen(DaemonScreen(self))

    def redraw(self) -> None:
        """Let the screens show what changed."""
        for screen in self._shown():
            screen.redraw()

    def _shown(self) -> list[Shown]:
        return [screen for screen in self.screen_stack if isinstance(screen, Shown)]

    # -- news ---------------------------------------------------------------------------------------------------------

    def on_anvillm_finished(self, message: Finished) -> None:
        message.then()

    def on_anvillm_sessions(self, message: Sessions) -> None:
        if self.why or not self.known:
            self.count_mail()
        self.rows, self.why, self.known = message.rows, "", True
        self._rescue()
        self.redraw()

    def on_anvillm_away(self, message: Away) -> None:
        first, self.known, self.why = not self.known, True, message.why
        self.redraw()
        if first and isinstance(self.screen, SessionsScreen):
            self.show_daemon()

    def on_anvillm_events(self, message: Events) -> None:
        for event in message.found:
            if event["type"] == "error":
                row = self.find(event["session_id"] or "")
                self.say(f"{label(row) if row else 'anvilsrv'}: {event['error']}", error=True)
            elif event["type"] == "message" and event["to"] == USER:
                self.say(f"mail from {self.name_of(event['from'])}: {event['subject'] or event['kind']}")
        changed = changes(message.found)
        if "mail" in changed:
            self.count_mail()
        for screen in self._shown():
            screen.happened(changed)


class _Listener:
    """From the follower's thread to the loop."""

    def __init__(self, app: Anvillm) -> None:
        self._app = app

    def sessions(self, rows: list[Row]) -> None:
        self._app.post_message(Anvillm.Sessions(rows))

    def events(self, found: list[Row]) -> None:
        self._app.post_message(Anvillm.Events(found))

    def away(self, why: str) -> None:
        self._app.post_message(Anvillm.Away(why))
