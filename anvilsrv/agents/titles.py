"""Turns that end without a word, seen in the title that an agent gives its terminal; and what an interrupt leaves in its input.

Some agents report nothing when a person breaks a turn off before it has begun to answer, neither by a hook nor in the transcript; their
title alone changes from busy to idle. A title proves nothing by itself, since it may change before the hook of a regular end has
reported; so it is believed only when it stays idle for a while with the same turn still running and nothing asked.

Threads: ``changed`` is called by the reader of tmux, ``follow`` on the store's thread, ``interrupt`` there too; everything else runs on
the reactor of the agents.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.agents.evidence import Evidence, is_clear
from anvilsrv.agents.eye import CALM
from anvilsrv.backends.registry import Backends
from anvilsrv.desk import outcomes
from anvilsrv.desk.life import Life
from anvilsrv.desk.post import Post
from anvilsrv.errors import AnvilError
from anvilsrv.linux.reactor import Deadline, Reactor
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Store
from anvilsrv.tmux.tmux import Tmux

ASKED = 2.0  # s that the title must stay idle after an interrupt of ours
UNASKED = 8.0  # s, where we sent none: a loaded machine delivers hooks late
PAUSE = 1.0  # s between looks at the input after an interrupt: an agent may put its prompt back some time later, line by line
LOOKS = 8
LONGEST = 1000  # characters of a title that are looked at
CLEARS = 3  # looks after a prompt was given up


@dataclass
class Idle:
    """A turn whose title is idle, and when it is taken for over."""

    turn: int
    deadline: Deadline


class Titles:
    """Watches the titles of agents that are in a turn."""

    def __init__(
        self, reactor: Reactor, store: Store, registry: Registry, turns: Turns, post: Post, life: Life, tmux: Tmux,
        backends: Backends, evidence: Evidence,
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._life = life
        self._tmux = tmux
        self._backends = backends
        self._evidence = evidence
        self._titles: dict[str, str] = {}  # by pane; these three are the reactor's
        self._idle: dict[str, Idle] = {}  # by session
        self._interrupted: dict[str, int] = {}  # the turn of a session that we interrupted

    # -- from other threads ---------------------------------------------------------------------------------------------

    def changed(self, pane: str, title: str) -> None:
        """Note that a title changed (or all that tmux has, when it is asked first)."""
        self._reactor.do(lambda: self._changed(pane, title[:LONGEST]))

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        session = after.id if after is not None else before.id if before is not None else ""
        turns = [view.in_turn if view is not None else 0 for view in (before, after)]
        if turns[0] != turns[1] or (before is not None and after is not None and bool(before.ask) != bool(after.ask)):
            self._reactor.do(lambda: self._look(session))

    def interrupt(self, session: str) -> None:
        """Press the keys that break a turn off, and clear what the agent then puts back into its input."""
        self._reactor.do(lambda: self._interrupt(session))

    def clear(self, session: str) -> None:
        """Clear the input, where it holds nothing but what we typed."""
        self._reactor.do(lambda: self._quietly(lambda: self._tidy(session, CLEARS)))

    def close(self) -> None:
        """Do nothing: the reactor drops what was to come."""

    # -- titles -----------------------------------------------------------------------------------------------------------

    def _changed(self, pane: str, title: str) -> None:
        self._titles[pane] = title
        view = next((v for v in self._registry.views.values() if v.pane == pane), None)
        if view is not None:
            self._look(view.id)

    def _look(self, session: str) -> None:
        """Begin or give up to wait for the end of a turn whose title is idle."""
        view = self._registry.views.get(session)
        turn = view.in_turn if view is not None else 0
        waiting = self._idle.get(session)
        quiet = view is not None and turn != 0 and not view.ask and self._shows_idle(view)
        if waiting is not None and (not quiet or waiting.turn != turn):
            self._idle.pop(session).deadline.cancel()
            waiting = None
        if quiet and waiting is None:
            patience = ASKED if self._interrupted.get(session) == turn else UNASKED
            self._idle[session] = Idle(turn, self._reactor.at(patience, lambda: self._over(session, turn)))
        if view is None:
            self._interrupted.pop(session, None)

    def _shows_idle(self, view: View) -> bool:
        try:
            idle = self._backends.get(view.backend).titles.idle
        except AnvilError:
            return False
        return idle is not None and view.pane is not None and idle.search(self._titles.get(view.pane, "")) is not None

    def _over(self, session: str, turn: int) -> None:
        self._idle.pop(session, None)
        view = self._registry.views.get(session)
        if view is None or view.in_turn != turn or view.ask:
            return
        if self._interrupted.get(session) == turn:
            self._tidy(session, 1)
        self._life.about(
            session, lambda tx: outcomes.settle(tx, session, self._post, self._turns.reported.over(tx, session, turn))
        )

    # -- interrupts -----------------------------------------------------------------------------------------------------

    def _interrupt(self, session: str) -> None:
        view = self._registry.views.get(session)
        if view is None:
            return
        self._press(session, self._backends.get(view.backend).interrupt)
        if view.in_turn:
            self._interrupted[session] = view.in_turn
            if session in self._idle:
                self._idle.pop(session).deadline.cancel()
            self._look(session)
        self._later(lambda: self._tidy(session, LOOKS))

    def _tidy(self, session: str, looks: int, seen: bool = False) -> None:
        """Clear the input where it holds nothing but what we typed: an agent may put its prompt back, some time later. That is ``seen``
        twice before a key is pressed (see ``Evidence.left``)."""
        view = self._registry.views.get(session)
        if view is None or not view.pane or not view.pid:
            return
        ours = view.status in (None, Status.CHOSEN) and is_clear(self._evidence.look(session))
        if ours and not seen:
            self._later(lambda: self._tidy(session, looks, seen=True), CALM)
            return
        if ours:
            self._press(session, self._backends.get(view.backend).input.clear)
        if looks > 1:
            self._later(lambda: self._tidy(session, looks - 1))

    def _later(self, command: Callable[[], None], pause: float = PAUSE) -> None:
        self._reactor.at(pause, lambda: self._quietly(command))

    @staticmethod
    def _quietly(command: Callable[[], None]) -> None:
        try:
            command()
        except AnvilError:
            return  # the pane, or the backend's file, is gone, which others tell

    def _press(self, session: str, keys: tuple[str, ...]) -> None:
        view = self._registry.views.get(session)
        if keys and view is not None and view.pane and view.pid:
            self._tmux.keys(view.pane, *keys)
