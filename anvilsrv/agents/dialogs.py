"""What is seen on the screen: dialogs at the start and in a turn, readiness that no hook reports, and what keeps an agent from it.

It follows the rows: an agent that is starting is watched, and one in a turn where its backend knows of dialogs then.

Threads: one for each watch (``following.py``). ``close`` ends and joins them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.agents.eye import Until, watch_turn
from anvilsrv.agents.following import Following
from anvilsrv.agents.starting import Starter
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.backends.shown import Dialog
from anvilsrv.desk import outcomes
from anvilsrv.desk.life import Life
from anvilsrv.desk.post import Post
from anvilsrv.errors import AnvilError
from anvilsrv.sessions import session_rows, turn_rows
from anvilsrv.sessions.happened import Happened
from anvilsrv.sessions.state import State, View
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Tx
from anvilsrv.tmux.tmux import Tmux


@dataclass(frozen=True)
class Stage:
    """What of an agent is watched: the start of process ``pid`` (turn 0), or a turn."""

    session: str
    pane: str
    backend: str
    pid: int
    turn: int


class Dialogs:
    """Watches the panes of agents that start or are in a turn."""

    def __init__(
        self, turns: Turns, post: Post, life: Life, tmux: Tmux, backends: Backends,
        on_error: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._turns = turns
        self._post = post
        self._life = life
        self._tmux = tmux
        self._backends = backends
        self._on_error = on_error
        self._following = Following[Stage]("dialogs", self._run)

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        session = after.id if after is not None else before.id if before is not None else ""
        self._following.want(session, self._stage(after))

    def _stage(self, view: View | None) -> Stage | None:
        """Return what is to be watched of a session; nothing in a turn if its backend, as it was read last, knows of no
        dialogs then.
        """
        found, backend = stage(view), self._backends.last(view.backend) if view is not None else None
        return None if found is not None and found.turn and backend is not None and not backend.asks("turn") else found

    def close(self) -> None:
        """End every watch and join its thread."""
        self._following.close()

    def _run(self, session: str, at: Stage, until: Until) -> None:
        try:
            backend = self._backends.get(at.backend)
            if at.turn:
                self._turn(at, backend, until)
            else:
                self._start(at, backend, until)
        except AnvilError as error:
            if not until.is_set():
                self._on_error(error)
        except Exception as error:
            self._life.broken(session, error)

    def _start(self, at: Stage, backend: Backend, until: Until) -> None:
        def told(words: str) -> None:
            self._life.about(at.session, lambda tx: self._life.shows(tx, at.session, at.pid, words))

        def answered(words: str) -> None:
            self._life.error(at.session, words)

        if Starter(self._tmux, at.pane, backend, told, answered).run(until):
            self._life.about(at.session, lambda tx: self._ready(tx, at))

    def _ready(self, tx: Tx, at: Stage) -> None:
        row = session_rows.maybe(tx, at.session)
        if row is not None and row.state == State.STARTING and row.pid == at.pid:
            outcomes.settle(
                tx, at.session, self._post, self._turns.reported.ready(tx, at.session, Happened(tx.now.monotonic))
            )

    def _turn(self, at: Stage, backend: Backend, until: Until) -> None:
        if not backend.asks("turn"):
            return
        found = watch_turn(self._tmux, at.pane, backend.asks("turn"), until)
        if found is not None:
            dialog, text = found
            ends = backend.until(text, time.time())
            self._life.about(at.session, lambda tx: self._failed(tx, at, dialog, text, ends))

    def _failed(self, tx: Tx, at: Stage, dialog: Dialog, text: str, ends: float | None) -> None:
        if turn_rows.number_open(tx, at.session) == at.turn:
            failed = Happened(tx.now.monotonic, reason=dialog.why(text), until=ends)
            outcomes.settle(tx, at.session, self._post, self._turns.reported.failed(tx, at.session, failed))


def stage(view: View | None) -> Stage | None:
    """Return what is to be watched of a session; None: nothing."""
    if view is None or not view.pane or not view.pid:
        return None
    if view.state == State.STARTING:
        return Stage(view.id, view.pane, view.backend, view.pid, 0)
    if view.in_turn:
        return Stage(view.id, view.pane, view.backend, view.pid, view.in_turn)
    return None
