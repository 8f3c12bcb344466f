"""What a screen may ask of the application as a whole, and what it shows again when that changes."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from anvilsrv.front.follow import Row
from anvilsrv.front.tail import Tail
from anvilsrv.p9.client import Client

T = TypeVar("T")
LEFT = ""  # whose drafts are those for sessions that are gone


def nothing(*_: object) -> None:
    """Do nothing."""


class Host(Protocol):
    """The application, as its screens see it (``tui.anvillm``).

    ``rows`` are the sessions, oldest first; ``why`` says why the daemon is away, and is empty while it answers; ``known`` is
    false until it was heard of; ``drafts`` are texts not sent yet, by what they are for, those for sessions that are gone by
    ``LEFT``; ``mail`` counts the user's inbox; ``said`` is what was said last, while it is new, and whether that is an error.
    """

    rows: list[Row]
    why: str
    known: bool
    drafts: dict[str, str]
    mail: int

    @property
    def said(self) -> tuple[str, bool]:
        """What was said last."""

    @property
    def namespace(self) -> str:
        """Where the daemon is looked for."""

    @property
    def service(self) -> str:
        """The daemon's socket."""

    # what is known

    def find(self, session: str) -> Row | None:
        """Return the session of that id."""

    def name_of(self, who: str) -> str:
        """Return the alias of a session, or what it was called."""

    # what is asked

    def request(
        self,
        ask: Callable[[Client], T],
        then: Callable[[T], object] = nothing,
        failed: Callable[[str], object] | None = None,
    ) -> None:
        """Ask the tree in a thread, then call ``then`` on the loop; with what is refused ``failed``, or it is said."""

    def work(self, act: Callable[[], T], then: Callable[[T], object]) -> None:
        """Do something that takes its time in a thread, then call ``then`` on the loop."""

    def tail(
        self,
        session: str,
        told: Callable[[list[str]], object],
        ended: Callable[[str], object],
        first: Callable[[int], object],
    ) -> Tail:
        """Follow what happens in ``session`` until the tail is stopped (``front.turns.Turns``); all are called on the loop."""

    def refresh_sessions(self) -> None:
        """Read the sessions again."""

    def hurry(self) -> None:
        """Look for the daemon now."""

    def count_mail(self) -> None:
        """Ask how many messages wait for the user."""

    # what is shown

    def say(self, text: str, error: bool = False) -> None:
        """Let the last line say that for a while."""

    def keep(self, session: str, text: str) -> None:
        """Keep what was typed for a session and not sent, over its end too."""

    def draft(self, session: str) -> str:
        """Return what was kept for that session; else what was kept for one that is gone, which is this one's from now
        on.
        """

    def sent(self, session: str) -> None:
        """Forget the draft, which was sent."""

    def show_conversation(self, session: str) -> None:
        """Open the conversation of ``session``."""

    def show_mail(self, owner: str) -> None:
        """Open the mail of a session or of the user."""

    def show_queue(self, session: str) -> None:
        """Open what waits for ``session``."""

    def show_changes(self, session: str) -> None:
        """Open what ``session`` has changed."""

    def show_daemon(self) -> None:
        """Open the daemon's dialog."""


class Shown:
    """A screen of ours: told when what it shows has changed."""

    def redraw(self) -> None:
        """Redraw: the sessions, or what is known of the daemon, have changed."""

    def happened(self, changes: set[str]) -> None:
        """Take what is to be read again after events (``changes`` of anvilsrv(4))."""
