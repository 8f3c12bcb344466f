"""What is seen on the screen: dialogs to answer, at the start and in a turn, and readiness that no hook reports.

It follows the rows: an agent that is starting, or in a turn, is watched where its backend needs it, and one that is not, is not.

Threads: one per watched agent, at most one per session; the lock guards which. ``close`` ends and joins them.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from anvilsrv.agents.eye import Starter, Until, watch_turn
from anvilsrv.backends.backend import Backend, Dialog
from anvilsrv.backends.registry import Backends
from anvilsrv.desk import outcomes
from anvilsrv.desk.life import Life
from anvilsrv.desk.post import Post
from anvilsrv.errors import AnvilError
from anvilsrv.sessions.registry import Registry
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


@dataclass
class Watching:
    """One watch and its thread; ``until`` is set when it is over."""

    stage: Stage
    until: Until = field(default_factory=Until)
    thread: threading.Thread | None = None


class Dialogs:
    """Watches the panes of agents that start or are in a turn."""

    def __init__(
        self, registry: Registry, turns: Turns, post: Post, life: Life, tmux: Tmux, backends: Backends,
        on_error: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._registry = registry
        self._turns = turns
        self._post = post
        self._life = life
        self._tmux = tmux
        self._backends = backends
        self._on_error = on_error
        self._lock = threading.Lock()
        self._watching: dict[str, Watching] = {}
        self._ending: list[Watching] = []
        self._closed = False

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        session = after.id if after is not None else before.id if before is not None else ""
        wanted = self._stage(after)
        with self._lock:
            current = self._watching.get(session)
            if (current.stage if current is not None else None) == wanted or self._closed:
                return
            if current is not None:
                del self._watching[session]
                current.until.set()
                self._ending = [
                    one for one in (*self._ending, current) if one.thread is not None and one.thread.is_alive()
                ]
            if wanted is None:
                return
            watching = self._watching[session] = Watching(wanted)
            watching.thread = threading.Thread(target=self._run, args=(watching, current), name=f"dialogs {session}")
            watching.thread.start()

    def _stage(self, view: View | None) -> Stage | None:
        """What of a session there is to watch; None also where its backend, as it was read last, knows of no dialogs then."""
        found, backend = stage(view), self._backends.last(view.backend) if view is not None else None
        if found is None or backend is None:
            return found
        needed = bool(backend.asks("turn")) if found.turn else bool(backend.asks("start") or backend.ready_screen)
        return found if needed else None

    def close(self) -> None:
        """End every watch and join its thread."""
        with self._lock:
            self._closed = True
            watching = [*self._watching.values(), *self._ending]
        for one in watching:
            one.until.set()
        for one in watching:
            if one.thread is not None:
                one.thread.join()

    def _run(self, watching: Watching, before: Watching | None) -> None:
        """A watch, once the one ``before`` it is over: two would answer one dialog twice."""
        if before is not None and before.thread is not None:
            before.thread.join()
        at = watching.stage
        try:
            backend = self._backends.get(at.backend)
            if at.turn:
                self._turn(at, backend, watching.until)
            else:
                self._start(at, backend, watching.until)
        except AnvilError as error:
            if not watching.until.is_set():
                self._on_error(error)
        except Exception as error:
            self._life.broken(at.session, error)

    def _start(self, at: Stage, backend: Backend, until: Until) -> None:
        if not backend.asks("start") and backend.ready_screen is None:
            return
        if Starter(self._tmux, at.pane, backend).run(until):
            self._life.about(at.session, lambda tx: self._ready(tx, at))

    def _ready(self, tx: Tx, at: Stage) -> None:
        row = self._registry.maybe(tx, at.session)
        if row is not None and row.state == State.STARTING and row.pid == at.pid:
            outcomes.settle(tx, at.session, self._post, self._turns.ready(tx, at.session))

    def _turn(self, at: Stage, backend: Backend, until: Until) -> None:
        if not backend.asks("turn"):
            return
        found = watch_turn(self._tmux, at.pane, backend.asks("turn"), until)
        if found is not None:
            dialog, text = found
            ends = backend.until(text, time.time())
            self._life.about(at.session, lambda tx: self._failed(tx, at, dialog, text, ends))

    def _failed(self, tx: Tx, at: Stage, dialog: Dialog, text: str, ends: float | None) -> None:
        if self._turns.current(tx, at.session) == at.turn:
            outcomes.settle(tx, at.session, self._post, self._turns.failed(tx, at.session, dialog.why(text), ends))


def stage(view: View | None) -> Stage | None:
    """What of a session there is to watch; None: nothing."""
    if view is None or not view.pane or not view.pid:
        return None
    if view.state == State.STARTING:
        return Stage(view.id, view.pane, view.backend, view.pid, 0)
    if view.in_turn:
        return Stage(view.id, view.pane, view.backend, view.pid, view.in_turn)
    return None
