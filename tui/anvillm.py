"""The application: what all screens share. The connection, the sessions as last seen, drafts, and running requests."""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from rich.segment import Segment
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter
from textual.message import Message

from anvilsrv import paths
from anvilsrv.errors import AnvilError
from anvilsrv.front.follow import Follower, Row
from anvilsrv.p9.client import Client
from tui.sessions import SessionsScreen
from tui.text import label, one_line

T = TypeVar("T")


class Plain(LineFilter):
    """No colours at all (no-color.org), but bold, underlined and reverse text."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(text, style.without_color if style else None, control) for text, style, control in segments]


class Anvillm(App[None]):
    """``anvillm``. ``rows`` are the sessions, oldest first; ``why`` says why the daemon is away, and is empty while it answers."""

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
        """A request is done: ``then`` is to be called with its result."""

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
        self.mail = 0  # messages in the user's inbox

    @property
    def namespace(self) -> str:
        """Where we look for the daemon."""
        return paths.namespace()

    def get_default_screen(self) -> SessionsScreen:
        return SessionsScreen()

    def on_mount(self) -> None:
        self.call_after_refresh(self.follower.start)  # the first paint waits for nobody

    def on_unmount(self) -> None:
        self.follower.stop()

    def find(self, session: str) -> Row | None:
        """The session of that id."""
        return next((row for row in self.rows if row["id"] == session), None)

    def say(self, text: str, error: bool = False) -> None:
        """A note at the corner of the screen."""
        self.notify(one_line(text), severity="error" if error else "information", timeout=8, markup=False)

    def request(
        self,
        ask: Callable[[Client], T],
        then: Callable[[T], object] = lambda _: None,
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        """Ask the tree in a thread, then call ``then`` here. What is refused is said, and ``failed`` called instead."""

        def work() -> None:
            try:
                found = ask(self.follower.client())
            except AnvilError as error:
                words = str(error)
                self.finish(lambda: self._failed(words, failed))
            else:
                self.finish(lambda: then(found))

        self.run_worker(work, thread=True)

    def _failed(self, words: str, failed: Callable[[], object]) -> None:
        self.say(words, error=True)
        failed()

    def finish(self, then: Callable[[], object]) -> None:
        """Call ``then`` on the loop; from any thread."""
        self.post_message(self.Finished(then))

    # -- news ---------------------------------------------------------------------------------------------------------

    def on_anvillm_finished(self, message: Finished) -> None:
        message.then()

    def on_anvillm_sessions(self, message: Sessions) -> None:
        if self.why or not self.known:
            self.count_mail()
        self.rows, self.why, self.known = message.rows, "", True
        self.redraw()

    def on_anvillm_away(self, message: Away) -> None:
        first, self.known, self.why = not self.known, True, message.why
        self.redraw()
        if first and isinstance(self.screen, SessionsScreen):
            self.screen.action_daemon()

    def on_anvillm_events(self, message: Events) -> None:
        for event in message.found:
            if event["type"] == "error":
                row = self.find(event["session_id"] or "")
                self.say(f"{label(row) if row else 'anvilsrv'}: {event['error']}", error=True)
            elif event["type"] == "message" and event["to"] == "user":
                self.say(f"mail from {self.name_of(event['from'])}: {event['subject'] or event['kind']}")
        if any(event["type"] in ("message", "archived", "overflow") for event in message.found):
            self.count_mail()
        for screen in self.screen_stack:
            if hasattr(screen, "happened"):
                screen.happened(message.found)

    def name_of(self, who: str) -> str:
        """The alias of a session, or what it was called."""
        row = self.find(who)
        return label(row) if row else who

    def count_mail(self) -> None:
        """Ask how many messages wait for the user."""
        from anvilsrv.front import requests

        def counted(found: list[Any]) -> None:
            self.mail = len(found)
            self.redraw()

        self.request(lambda client: requests.box(client, requests.USER, "inbox"), counted)

    def redraw(self) -> None:
        """Let the screens show what changed."""
        for screen in self.screen_stack:
            if hasattr(screen, "redraw"):
                screen.redraw()


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
