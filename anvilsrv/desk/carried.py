"""Prompts that the replies to reports carry: whose program has one, asks whether it may give it on, and whose connection closed.

Threads: everything is called on a thread of the reports (``inorder.py``) and waits for jobs of the store. The lock guards who carries
what, and is not held meanwhile.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.desk import outcomes
from anvilsrv.desk.life import Life
from anvilsrv.desk.post import Post
from anvilsrv.desk.stamps import is_number, stamp
from anvilsrv.errors import Invalid
from anvilsrv.sessions import prompts
from anvilsrv.sessions.machine import ON_ITS_WAY, Status
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.effects import Waiting
from anvilsrv.store.store import Need, Store, Tx


@dataclass(frozen=True)
class Carried:
    """A prompt that was given in the reply to a report of number ``link``; ``given``: its program may give it on, and will tell."""

    session: str
    link: str
    given: bool = False


class Carriers:
    """Those of all sessions. ``first`` is what is done before a prompt is given to an agent."""

    def __init__(
        self, store: Store, registry: Registry, turns: Turns, post: Post, life: Life, first: Callable[[str], None]
    ) -> None:
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._life = life
        self._first = first
        self._lock = threading.Lock()
        self._carriers: dict[Waiting, Carried] = {}  # who was given a prompt in the reply to which report

    def got(self, session: str, link: str, by: Waiting) -> None:
        """Note that the reply to the report ``link`` brings it a prompt, or will."""
        with self._lock:
            self._carriers[by] = Carried(session, link)

    def asks(self, session: str, found: Mapping[str, Any], by: Waiting) -> None:
        """Handle a hook program's question whether it may hand on the prompt that the reply to its report brought it.
        Raises Invalid.
        """
        number, link, turn = found.get("take"), found.get("of"), found.get("turn")
        if not isinstance(number, int) or not is_number(link) or not (turn is None or is_number(turn)):
            raise Invalid("hook: 'take' must be a number, 'of' the number of a report, 'turn' a name")

        def job(tx: Tx) -> dict[str, Any]:
            at = stamp(found.get("mono")) or tx.now.monotonic
            name = None if turn is None else f"{turn}"
            tells = found.get("gives") is True
            happened = self._turns.delivered.given(tx, session, number, f"{link}", at, name, tells)
            outcomes.settle(tx, session, self._post, happened)
            now = prompts.get(tx, number)
            if now is not None and (now.session, now.link, now.status) == (session, link, Status.TAKEN):
                return {"go": True}
            waits = now is not None and now.session == session and now.status in (Status.QUEUED, *ON_ITS_WAY)
            return {"go": False, "why": "not now" if waits else "no"}

        self._first(session)
        answer = self._store.call(job, need=Need.OWN, by=self._registry.family(session))
        if answer["go"]:
            with self._lock:
                for one in [one for one, carried in self._carriers.items() if carried.link == link]:
                    del self._carriers[one]  # it may have asked by another connection before
                if found.get("gives") is True:
                    self._carriers[by] = Carried(session, f"{link}", given=True)
        by.answer(answer)

    def gave(self, session: str, found: Mapping[str, Any], by: Waiting | None) -> None:
        """Record its report that the agent has the prompt: from its connection, or from the spool if the daemon did not
        live to hear it. Raises Invalid.
        """
        number = found["given"]
        if not isinstance(number, int):
            raise Invalid("hook: 'given' must be a number")
        job: Callable[[Tx], None] = lambda tx: self._turns.delivered.gave(tx, session, number)  # noqa: E731
        self._store.call(job, need=Need.OWN, by=self._registry.family(session))
        if by is not None:
            with self._lock:
                self._carriers.pop(by, None)
            by.answer({})

    def closed(self, session: str, by: Waiting) -> None:
        """Handle the close of its connection: a prompt that it did not ask for is queued again, and one that it was to
        hand on has failed, unless it has said that it did.
        """
        with self._lock:
            carried = self._carriers.pop(by, None)
        if carried is not None:
            gone = self._turns.delivered.kept if carried.given else self._turns.delivered.gone
            self._life.about(
                session,
                lambda tx: outcomes.settle(tx, session, self._post, gone(tx, session, carried.link)),
                by=self._registry.family(session),
            )
