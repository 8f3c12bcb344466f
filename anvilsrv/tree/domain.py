"""The interface between the tree and the daemon: every call that files make.

The rows of ``table.py`` and the kinds of file know the daemon by this Protocol alone; ``served.py`` has the one class that
implements it, and a test of the tree implements as much as it needs.

Threads: what takes a Tx runs on the store's thread, in a job; ``*_ctl`` on a worker of the 9P server, where it may wait for the
store; everything else on any thread, and quickly.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from anvilsrv.activity.live import Live
from anvilsrv.agents.attachments import Attachments
from anvilsrv.beads.beads import Beads
from anvilsrv.sessions.state import View
from anvilsrv.store.effects import Waiting
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Store, Tx
from anvilsrv.store.topics import Topics
from anvilsrv.tree.access import Who
from anvilsrv.tree.editors import Editors


class Git(Protocol):
    """What is asked of a session's work trees, on a worker, which waits for it. Raises AnvilError where there is none."""

    def turn_diff(self, session: str, n: int) -> bytes:
        """Return what the turn of that prompt changed."""

    def diff_since(self, session: str) -> bytes:
        """Return what changed since the base, or since the session began."""

    def status(self, session: str) -> bytes:
        """Return the short form of git-status(1)."""

    def branch(self, session: str) -> str:
        """Return the branch that it is on; empty for none."""

    def base(self, session: str) -> str:
        """Return the commit from which it began; empty for none."""


class Work(Protocol):
    """Actions on a session's work trees; called on a worker. All raise AnvilError."""

    def undo(self, session: str, n: int) -> str:
        """Undo what a turn changed."""

    def apply(self, session: str, patch: str) -> None:
        """Apply a diff."""

    def comments(self, session: str) -> bytes:
        """Return the content of ``git/review``."""


class Domain(Protocol):
    """The daemon as its files see it. Errors are AnvilErrors; NotFound for a session that does not exist."""

    @property
    def store(self) -> Store: ...
    @property
    def stream(self) -> Stream: ...
    @property
    def topics(self) -> Topics: ...
    @property
    def beads(self) -> Beads: ...

    @property
    def activity(self) -> Live: ...
    @property
    def git(self) -> Git: ...
    @property
    def work(self) -> Work: ...
    @property
    def editors(self) -> Editors: ...
    @property
    def attachments(self) -> Attachments: ...

    # -- what is shown ---------------------------------------------------------------------------------------------------

    def views(self) -> Mapping[str, View]:
        """Return all sessions by id, oldest first."""

    def find(self, name: str) -> View | None:
        """Return the session with that id or alias, or None."""

    def get(self, name: str) -> View:
        """Return the session with that id or alias. Raises NotFound."""

    def descends(self, child: str, ancestor: str) -> bool:
        """Return True if ``ancestor`` spawned ``child``, directly or through others."""

    def changed(self) -> float:
        """Return when any visible field of any session last changed (seconds since the epoch)."""

    def stamp(self, session: str, name: str) -> float:
        """Return when ``<id>/<name>`` last changed (seconds since the epoch). Raises NotFound."""

    def listing(self) -> bytes:
        """Return the content of ``list``."""

    def roles_listing(self) -> bytes:
        """Return the content of ``roles``."""

    def tasks_listing(self) -> bytes:
        """Return the content of ``tasks``."""

    def backends_listing(self) -> bytes:
        """Return the content of ``backends``."""

    def summaries(self) -> bytes:
        """Return the content of ``sessions`` for the user."""

    def summary(self, view: View, attach: bool) -> str:
        """Return the object of a session in ``sessions``, as JSON; ``attach``: with the content of its ``tmux``."""

    def attach(self, view: View) -> str:
        """Return the content of ``tmux``: two command lines, ``anvilsrv attach`` and tmux's own; empty without a pane."""

    def box_length(self, owner: str, box: str) -> int:
        """Return the length of ``inbox`` or ``archive`` of a session or of the user. Raises NotFound."""

    # -- commands --------------------------------------------------------------------------------------------------------

    def root_ctl(self, who: Who, words: list[str]) -> str | None:
        """Execute a command of ``ctl``; return what reading the file then gives."""

    def user_ctl(self, words: list[str]) -> str | None:
        """Execute a command of ``user/ctl``."""

    def session_ctl(self, who: Who, session: str, words: list[str]) -> str | None:
        """Execute a command of ``<id>/ctl``."""

    def turn_ctl(self, session: str, n: int, words: list[str]) -> str | None:
        """Execute a command of ``<id>/turns/<n>/ctl``."""

    def git_ctl(self, session: str, words: list[str]) -> str:
        """Execute a command of ``git/ctl``, on a worker; return what was done."""

    def review(self, session: str, text: str, origin: str) -> str | None:
        """Handle a write to ``git/review``, on a worker. Returns the number of the prompt."""

    def report(self, session: str | None, why: str, told: Callable[[], None], by: str) -> None:
        """Publish an error that has no caller as an event, then call ``told``; ``by``: the turn that it belongs to."""

    # -- prompts and contexts --------------------------------------------------------------------------------------------

    def check_prompt(self, tx: Tx, session: str) -> None:
        """Refuse a prompt that cannot be accepted now."""

    def number(self, tx: Tx, session: str) -> int:
        """Return the number for a prompt, at its first write."""

    def accept(self, tx: Tx, session: str, text: str, origin: str, n: int) -> int:
        """Accept a complete prompt: ``origin`` wrote it, ``n`` is its number. Returns that number."""

    def numbered(self, tx: Tx, session: str, n: int) -> int:
        """Return the id of the prompt with that number. Raises NotFound."""

    def prompt_text(self, tx: Tx, session: str, n: int) -> bytes:
        """Return what ``turns/<n>/prompt`` gives. Raises NotFound."""

    def check_edit(self, tx: Tx, session: str, n: int) -> None:
        """Refuse to edit a prompt that is not queued any more."""

    def edit(self, tx: Tx, session: str, n: int, text: str) -> None:
        """Handle a write to ``turns/<n>/prompt``."""

    def turns(self, tx: Tx, session: str) -> bytes:
        """Return the content of ``turns/list``."""

    def check_session(self, tx: Tx, session: str) -> None:
        """Raise NotFound if there is no such session."""

    def set_context(self, tx: Tx, session: str, text: str) -> None:
        """Set a context that is complete."""

    def error(self, tx: Tx, session: str, why: str) -> None:
        """Report, as an ``error`` event, a failure after the write was acknowledged."""

    # -- what is waited for ----------------------------------------------------------------------------------------------

    def last_prompt(self, tx: Tx, session: str) -> int:
        """Return the number of the prompt that ``out`` answers if opened now, or 0. Raises NotFound."""

    def response(self, tx: Tx, prompt: int) -> bytes | None:
        """Return the answer to a prompt, or None while it may still come. Raises Conflict if it cannot."""

    def conversation(self, tx: Tx, session: str, cursor: object) -> tuple[bytes, object]:
        """Return the blocks of ``<id>/log`` after ``cursor`` (empty: no more yet) and the next cursor. Raises NotFound."""

    def activity_page(self, tx: Tx, session: str, after: int, turn: int | None) -> tuple[bytes, int, bool]:
        """Return lines of ``<id>/activity`` after a number (of one turn), the number of the last, and whether that is
        all so far. Raises NotFound.
        """

    def turn_of(self, tx: Tx, session: str, n: int) -> int:
        """Return the number of the prompt that began the turn of that one. Raises NotFound."""

    def is_over(self, tx: Tx, session: str, n: int) -> bool:
        """Return True if that prompt is finished."""

    def mail_log(self, tx: Tx, shown: Callable[[Iterable[str]], bool], cursor: int) -> tuple[bytes, int]:
        """Return the blocks of ``log`` after ``cursor`` and the next cursor: messages between owners that are
        ``shown``.
        """

    # -- small files -----------------------------------------------------------------------------------------------------

    def rename(self, tx: Tx, session: str, alias: str) -> None:
        """Handle a write to ``alias``."""

    def see(self, tx: Tx, session: str, number: str) -> None:
        """Handle a write to ``seen``."""

    def options(self, tx: Tx, session: str) -> bytes:
        """Return the content of ``options``."""

    def choose(self, tx: Tx, session: str, text: str, origin: str) -> None:
        """Handle a write to ``options`` by ``origin``."""

    def commands(self, tx: Tx, session: str) -> bytes:
        """Return the content of ``commands``."""

    def write_state(self, tx: Tx, session: str, word: str) -> None:
        """Handle a write to ``state``."""

    def limits(self, session: str) -> bytes:
        """Return the content of ``limits``. On a worker. Raises NotFound."""

    def limit(self, session: str, text: str) -> None:
        """Handle a write to ``limits``. On a worker. Raises AnvilError."""

    def answer(self, session: str, choice: str) -> None:
        """Handle a write to ``answer``. On a worker."""

    # -- mail and reports ------------------------------------------------------------------------------------------------

    def box(self, tx: Tx, owner: str, box: str) -> bytes:
        """Return the content of ``inbox`` or ``archive`` of a session or of the user."""

    def send(self, tx: Tx, sender: str, fields: dict[str, Any]) -> None:
        """Send a message that ``sender`` wrote to ``mail``."""

    def take_report(
        self, session: str, report: dict[str, Any], waiting: Waiting, done: Callable[[BaseException | None], None]
    ) -> None:
        """Take a report that was written to ``hook``. On a worker. ``done`` is called when its effect is on disk, or
        with the error if it is refused; otherwise ``waiting.answer`` is called once with the reply: before that, or
        when there is one. Raises Unavailable.
        """

    def abandoned(self, session: str, waiting: Waiting) -> None:
        """Note that the client that brought a report no longer waits for its reply."""
