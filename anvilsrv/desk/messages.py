"""Prompts by message: a program of ours in the pane asks for the next one, and is answered when there is one; nothing is typed.

It asks with a report ``next``; the prompt that is chosen, now or later, is SENT with the reply. Before the program gives it to the
agent it asks whether it may (``Reports``): only then is it TAKEN. So a reply that is lost is no loss, and one that is read twice has
no effect.

Threads: ``ask`` on a thread of the reports; ``follow`` and jobs on the store's thread; ``gone`` on any. The lock guards who waits.
"""

import threading
from collections.abc import Callable, Mapping

from anvilsrv.desk import outcomes
from anvilsrv.desk.post import Post
from anvilsrv.sessions import session_rows, undone
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.effects import Given, Waiting
from anvilsrv.store.store import Need, Store, Tx

About = Callable[[str, Callable[[Tx], object]], None]


class Messages:
    """Who waits for the next prompt of its session, and under which report: the last who asked. A follower."""

    def __init__(self, store: Store, registry: Registry, turns: Turns, post: Post, about: About) -> None:
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._about = about
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[Waiting, str, Mapping[str, str]]] = {}

    def ask(self, session: str, number: str, by: Waiting, chosen: Mapping[str, str]) -> None:
        """Record that the program in the pane wants the next prompt; the reply comes when there is one, or when options
        other than ``chosen``, which it knows of, were chosen. A program that asked before gets none.
        """
        with self._lock:
            before = self._waiting.get(session)
            self._waiting[session] = (by, number, chosen)
        if before is not None:
            before[0].answer({})
        self._store.call(lambda tx: self._offer(tx, session), need=Need.OWN, by=self._registry.family(session))

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`: a prompt was chosen, or an option."""
        if after is None:
            self._drop(before.id if before is not None else "")
        elif after.id in self._waiting and (
            after.status == Status.CHOSEN or (before and before.chosen != after.chosen)
        ):
            self._about(after.id, lambda tx: self._offer(tx, after.id))

    def close(self) -> None:
        """Do nothing: connections end with the server."""

    def gone(self, session: str, by: Waiting) -> str | None:
        """Forget the connection of one that asked, which has closed. Returns the number of its report if it was still
        waiting.
        """
        with self._lock:
            found = self._waiting.get(session)
            if found is None or found[0] is not by:
                return None
            del self._waiting[session]
        return found[1]

    def _drop(self, session: str) -> None:
        with self._lock:
            found = self._waiting.pop(session, None)
        if found is not None:
            found[0].answer({})

    def _offer(self, tx: Tx, session: str) -> None:
        """Hand the chosen prompt over in the reply, if one is waiting."""
        with self._lock:
            found = self._waiting.get(session)
        if found is None or not session_rows.there(tx, session):
            return
        by, link, known = found
        row = session_rows.get(tx, session)
        news = {name: value for name, value in row.chosen.items() if known.get(name) != value}
        if news:
            tx.after(Given(session, link, by, {"choose": news}))
            return
        prompt = outcomes.settle(tx, session, self._post, self._turns.delivered.offered(tx, session, link))
        if prompt is not None:
            given = row.context.decode("utf-8", "replace")
            context = undone.context(tx, session, given)
            reply = {"take": prompt.id, "n": prompt.n, "text": prompt.text, "context": context}
            tx.after(Given(session, link, by, reply))

    def given(self, effect: Given) -> None:
        """Send the reply: the prompt is SENT on disk."""
        with self._lock:
            if self._waiting.get(effect.session, (None, ""))[:2] == (effect.by, effect.link):
                del self._waiting[effect.session]
        effect.by.answer(effect.reply)
