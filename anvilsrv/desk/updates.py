"""What a session needs its user for, what holds it, and whether work of it goes on: told by an event when it changes.

All three follow from rows, mail in the user's inbox among them. So they are compared after each commit, and told in a job of their own,
a few times a second at most.

Threads: ``load`` and ``settled`` run on the store's thread, as do the jobs; what is put off waits on the reactor of the agents.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from anvilsrv.linux.reactor import Reactor
from anvilsrv.mail.box import TOPIC, Snapshots
from anvilsrv.sessions.doing import OFTEN
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.words import USER

Values = dict[str, Any]


class Updates:
    """Of all sessions. Everything here is the store's thread's."""

    def __init__(self, reactor: Reactor, store: Store, registry: Registry, boxes: Snapshots) -> None:
        self._reactor = reactor
        self._store = store
        self._registry = registry
        self._boxes = boxes
        self._said: dict[str, Values] = {}
        self._when: dict[str, float] = {}  # told last, monotonic
        self._coming: set[str] = set()  # a job is on its way
        self._senders: frozenset[str] = frozenset()

    def load(self) -> None:
        """Load what exists when the daemon starts, without announcing it."""
        self._senders = self._boxes.of(USER).senders
        self._said = {view.id: self._values(view) for view in self._registry.views.values()}

    def settled(self, touched: Iterable[str]) -> None:
        """Note what changed: sessions by their ids, boxes by their topics."""
        changed = {name for name in touched if " " not in name}
        if f"{TOPIC}{USER}" in touched:
            before, self._senders = self._senders, self._boxes.of(USER).senders
            changed |= before ^ self._senders
        for session in changed:
            view = self._registry.views.get(session)
            if view is None:
                self._said.pop(session, None)
                self._when.pop(session, None)
            elif session not in self._coming and self._values(view) != self._said.get(session):
                self._coming.add(session)
                self._store.post(partial(self._due, session=session), need=Need.HAPPENED, durable=False)

    def _values(self, view: View) -> Values:
        needs = view.needs(view.id in self._boxes.of(USER).senders)
        return {"needs": needs, "held": view.gate.why, "background": view.background}

    def _due(self, tx: Tx, session: str) -> None:
        wait = self._when.get(session, -OFTEN) + OFTEN - tx.now.monotonic
        if 0 < wait <= OFTEN:
            self._reactor.at(
                wait, lambda: self._store.post(lambda tx: self._tell(tx, session), need=Need.HAPPENED, durable=False)
            )
        else:
            self._tell(tx, session)

    def _tell(self, tx: Tx, session: str) -> None:
        self._coming.discard(session)
        view = self._registry.views.get(session)
        if view is None:
            return
        before, now = self._said.get(session, {"needs": "", "held": "", "background": 0}), self._values(view)
        self._said[session] = now
        news = {name: value for name, value in now.items() if value != before[name]}
        if news:
            self._when[session] = tx.now.monotonic
            self._registry.stream.emit(tx, "session_update", session, **news)
