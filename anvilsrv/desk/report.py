"""What agents report through their hooks, and what the hooks are answered.

A report is one JSON object of ``anvillm-hook``: ``{"report": uuid, "ts": s, "hook": name, "payload": {...}}``. The backend's table says
what a hook's name means (one of ``KINDS``, backends/backend.py); here that becomes a change of the session. A report is
answered when its effect is on disk; one that came before (from the spool, or sent again) has no effect twice.

A question (``ask``) is different: its reply is what someone writes to ``answer`` (``answer.py``). A reply may carry the next prompt
(``carried.py``). What stands in transcripts is taken in the same order (``transcripts.py``).

Threads: reports of one session are taken one after another, in the order in which they came, on the threads of ``inorder.py``: there
is read what must be read (spool, transcript, the backend's file and its Python, sometimes the screen), and a job posted with it.
``come``, ``spooled`` and ``abandon`` are called from any thread but the store's. Methods with a Tx run in a job.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.backends.replies import Reply
from anvilsrv.backends.rules import Report
from anvilsrv.desk import besides, heard, outcomes, stamps
from anvilsrv.desk.answer import Questions
from anvilsrv.desk.around import Eyes, Kept, Listener
from anvilsrv.desk.carried import Carriers
from anvilsrv.desk.heard import OVER
from anvilsrv.desk.inorder import InOrder
from anvilsrv.desk.life import Life
from anvilsrv.desk.meaning import understood
from anvilsrv.desk.messages import Messages
from anvilsrv.desk.post import Post
from anvilsrv.desk.transcripts import Lines
from anvilsrv.errors import AnvilError, Invalid, NotFound, Unavailable
from anvilsrv.sessions import offers, questions, session_rows
from anvilsrv.sessions.happened import NOTHING, Seen
from anvilsrv.sessions.new import CHOSEN
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.effects import Asked, Waiting
from anvilsrv.store.store import Need, Store, Tx

log = logging.getLogger("anvilsrv")

OFFERS = "offers"  # the report by which it tells what can be chosen
SILENT = "silent"  # the report by which it tells for how long nothing came from its agent
NEXT = "next"  # the report by which a program in the pane asks for a prompt
MOST_SILENT = 1e7  # s
Done = Callable[[BaseException | None], None]


@dataclass(frozen=True)
class Told:
    """A report as it was understood: its number and meaning."""

    number: str
    at: float | None  # when its hook began (monotonic, s), if it tells
    meaning: Report | None


class Unseen:
    """What a report does depends on something that must be looked at first."""


class Reports:
    """Reports of all sessions."""

    def __init__(
        self, store: Store, registry: Registry, turns: Turns, post: Post, questions: Questions, life: Life,
        backends: Backends, kept: Kept, eyes: Eyes, messages: Messages, on_error: Callable[[BaseException], None],
        listener: Listener | None = None, first: Callable[[str], None] = lambda session: None,
    ) -> None:  # fmt: skip
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._questions = questions
        self._life = life
        self._backends = backends
        self._kept = kept
        self._eyes = eyes
        self._messages = messages
        self._order = InOrder(on_error, lambda session: registry.family(str(session)))
        self._listener = listener or Listener()
        self._carriers = Carriers(store, registry, turns, post, life, first)
        self.lines = Lines(registry, turns, post, questions, life, backends, eyes, self._listener, self._order)

    def come(self, session: str, found: Mapping[str, Any], by: Waiting, done: Done) -> None:
        """Take a report that came through ``hook``, after those that came before it; ``done(error)`` is called when it
        was taken. From any thread.
        """

        def take() -> None:
            try:
                self.take(session, found, by)
            except Exception as error:
                done(error)
            else:
                done(None)

        self._order.do(session, take)

    def take(self, session: str, found: Mapping[str, Any], by: Waiting) -> None:
        """Take a report now. Raises Invalid and NotFound; else ``by`` is answered, or waits for an answer."""
        number = found.get("report")
        self._spooled(session, number if isinstance(number, str) else None)  # it was made before
        if "take" in found:
            self._carriers.asks(session, found, by)
        elif "given" in found:
            self._carriers.gave(session, found, by)
        elif found.get("hook") == NEXT:
            self._next(session, found, by)
        else:
            self._take(session, found, by)

    def spooled(self, session: str) -> int:
        """Take the reports that hooks left while no daemon answered. Returns how many there were.

        Raises Unavailable when the store does not take one: it and those after it stay where they are.
        """
        return self._order.call(session, lambda: self._spooled(session))

    def _spooled(self, session: str, but: str | None = None) -> int:
        """Take the spooled reports, except number ``but``, which is here as well."""
        there = self._kept.spooled(session)
        for place, found in there:
            if found.get("report") != but:
                try:
                    self._take_left(session, found)
                except Unavailable:
                    raise
                except NotFound:  # the session was killed
                    break
                except AnvilError as error:
                    self._life.error(session, f"spooled report: {error}")
                try:
                    self._kept.take(place)
                except AnvilError as error:  # it has no effect twice
                    log.warning("session %s: %s", session, error)
        return len(there)

    def _take_left(self, session: str, found: Mapping[str, Any]) -> None:
        """Take a report from the spool."""
        if "given" in found:
            self._carriers.gave(session, found, None)
        else:
            self._take(session, found, None)

    def _take(self, session: str, found: Mapping[str, Any], by: Waiting | None) -> None:
        number, hook, payload = found.get("report"), found.get("hook"), found.get("payload", {})
        if not stamps.is_number(number) or not isinstance(hook, str):
            raise Invalid("hook: a report must have 'report' and 'hook', both strings")
        if not isinstance(payload, dict):
            raise Invalid("hook: 'payload' is not an object")
        view = self._registry.get(session)
        self._listener.heard(view.id, hook, payload)
        with self._life.guard(view.id):
            if hook == questions.ASK_USER:
                if by is not None:  # a question without its asker is none
                    self._questions.ask_user(view.id, str(number), by, payload)
                return
            backend = self._backends.get(view.backend)
            if hook in (OFFERS, SILENT) and backend.by_message:
                job, family = self._offers if hook == OFFERS else self._silent, self._registry.family(view.id)
                self._store.call(lambda tx: job(tx, view.id, payload), need=Need.HAPPENED, by=family)
                if by is not None:
                    by.answer({})
                return
            meaning = understood(self._kept, view, backend, hook, payload)
            if meaning is not None and meaning.kind in OVER:
                self._listener.catch_up(view.id)
            told = Told(str(number), stamps.stamp(found.get("mono")), meaning)
            can = by is not None and found.get("takes") is True and backend.can("stop")
            handed = self._done(view.id, told, by, backend, can)
            if by is None or (meaning is not None and meaning.kind == "ask" and handed is None):
                return
            if not isinstance(handed, Prompt):
                by.answer({})
                return
            self._carriers.got(view.id, told.number, by)
            by.answer(as_json(backend.reply("stop", handed.text, meaning)) | {"take": handed.id})

    def _offers(self, tx: Tx, session: str, payload: Mapping[str, Any]) -> None:
        if session_rows.there(tx, session):
            offers.keep(tx, session, payload)
            of_itself = {one.name: one.value for one in offers.options(tx, session) if one.name in CHOSEN and one.value}
            self._registry.doing.itself(tx, session, of_itself)

    def _silent(self, tx: Tx, session: str, payload: Mapping[str, Any]) -> None:
        self._registry.doing.silent(tx, session, min(stamps.stamp(payload.get("seconds")) or 0.0, MOST_SILENT))

    def _done(self, session: str, told: "Told", by: Waiting | None, backend: Backend, can: bool) -> Prompt | str | None:
        """Do what a report means, once what must be seen for that was seen."""
        seen: Seen | None = None
        while True:
            # a spooled one stays on the disk until it is taken; one that came through the hook is kept by the store alone
            found = self._store.call(
                lambda tx: self._job(tx, session, told, None if tx.late else by, backend, can and not tx.late, seen),  # noqa: B023
                need=Need.OWN if by is None else Need.HAPPENED,
                key=f"report {session} {told.number}",
                by=self._registry.family(session),
            )
            if not isinstance(found, Unseen):
                return found
            seen = self._eyes.seen(session)

    def _next(self, session: str, found: Mapping[str, Any], by: Waiting) -> None:
        """Handle a program in the pane that asks for the next prompt: its kind of agent gets prompts by message."""
        number, view = found.get("report"), self._registry.get(session)
        if not stamps.is_number(number):
            raise Invalid("hook: a report must have 'report', a string")
        if not self._backends.get(view.backend).by_message:
            raise Invalid(f"hook: prompts of '{view.backend}' are typed, not sent as messages")
        self._carriers.got(view.id, str(number), by)
        asked = found.get("chosen")
        self._messages.ask(view.id, str(number), by, asked if isinstance(asked, dict) else {})

    def abandon(self, session: str, by: Waiting) -> None:
        """Handle the close of a hook program's connection (any thread): a prompt that it did not ask for is queued
        again, and one that it was to hand on has failed, unless it has said that it did.
        """
        self._messages.gone(session, by)
        self._order.do(session, lambda: self._carriers.closed(session, by))  # after what it brought

    def _job(
        self, tx: Tx, session: str, told: "Told", by: Waiting | None, backend: Backend, can: bool, seen: Seen | None
    ) -> "Prompt | str | Unseen | None":
        """Do what a report means, unless it came before; the prompt that is to be handed over in the reply. Nothing is done while what
        was to be done depends on something that was not looked at."""
        row, meaning = session_rows.get(tx, session), told.meaning
        at = min(told.at or tx.now.monotonic, tx.now.monotonic)
        if seen is None and not tx.late and meaning is not None and heard.asks(self._turns, tx, session, meaning, at):
            return Unseen()
        fresh = stamps.is_first(tx, session, told.number)
        if meaning is None:
            return None
        if meaning.kind == "ask":
            if by is not None and (fresh or any(one["report"] == told.number for one in row.ask)):
                besides.learn(tx, row, meaning)
                reply = lambda choice: as_json(backend.reply("ask", choice, meaning))  # noqa: E731
                otherwise = as_json(backend.unanswered(meaning))
                self._questions.ask(tx, Asked(session, told.number, by, reply, otherwise), meaning.fields)
                return None
            return ""
        if not fresh:
            return None
        besides.learn(tx, row, meaning)
        source = meaning.fields.get("conversation") or row.conversation or meaning.fields.get("transcript")
        besides.count(self._registry, tx, row, [meaning], str(source or ""))
        if row.ask and meaning.kind != "note":
            agent, tool = (str(meaning.fields.get(name, "")) for name in ("agent", "tool"))
            self._questions.over(tx, session, agent, tool, meaning.kind in OVER)
        happened = heard.happen(self._turns, tx, session, meaning, at, seen or NOTHING, told.number if can else "")
        return outcomes.settle(tx, session, self._post, happened)

    def idle(self) -> None:
        """Wait until what came so far is taken, and on disk. Not in a job."""
        for session in list(self._registry.views):
            self._order.call(session, lambda: None)
            self._store.call(lambda tx: None, by=self._registry.family(session))

    def close(self) -> None:
        """End the threads; what waits is taken first."""
        self._order.close()


def as_json(reply: Reply | None) -> dict[str, Any]:
    """Return a backend's reply as the hook program reads it."""
    return {} if reply is None else {"stdout": reply.stdout, "exit": reply.exit}
