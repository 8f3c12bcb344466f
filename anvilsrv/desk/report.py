"""What agents report, through their hooks and transcripts, and what the hooks are answered.

A report is one JSON object of ``anvillm-hook``: ``{"report": uuid, "ts": s, "hook": name, "payload": {...}}``. The backend's table says
what a hook's name means (one of ``KINDS``, backends/backend.py); here that becomes a change of the session. A report is
answered when its effect is on disk; one that came before (from the spool, or sent again) has no effect twice.

A question (``ask``) is different: its reply is what somebody writes to ``answer`` (``answer.py``).

Threads: reports of one session are taken one after another, in the order in which they came, on the threads of ``inorder.py``: there
is read what must be read (spool, transcript, the backend's file and its Python, sometimes the screen), and a job posted with it.
``come``, ``spooled``, ``transcript`` and ``abandon`` are called from any thread but the store's. Methods with a Tx run in a job. The
lock guards the carriers.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from anvilsrv.backends import templates
from anvilsrv.backends.backend import Backend, Reply, Report
from anvilsrv.backends.ending import ended
from anvilsrv.backends.registry import Backends
from anvilsrv.desk import heard, outcomes
from anvilsrv.desk.answer import Questions
from anvilsrv.desk.inorder import InOrder
from anvilsrv.desk.life import Life
from anvilsrv.desk.messages import Messages
from anvilsrv.desk.post import Post
from anvilsrv.errors import AnvilError, Invalid, NotFound, Unavailable
from anvilsrv.sessions import offers, prompts, questions, usage, whose
from anvilsrv.sessions.happened import NOTHING, Seen
from anvilsrv.sessions.machine import ON_ITS_WAY, Status
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import Session
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.effects import Asked, Waiting
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.strict_json import dumps

log = logging.getLogger("anvilsrv")

KEEP = 2000  # reports of a session whose numbers are remembered, at least
OFTEN = 100  # reports of all sessions between looks at how many there are of one
COUNTS = ("interrupt", "fail", "joined", "refused", "active")  # kinds of lines that say more than figures
PLAN = 256 << 10  # bytes of a plan that are shown
OFFERS = "offers"  # the report by which it tells what can be chosen
SILENT = "silent"  # the report by which it tells for how long nothing came from its agent
NEXT = "next"  # the report by which a program in the pane asks for a prompt
MOST_SILENT = 1e7  # s
OVER = ("stop", "fail", "interrupt", "end")  # kinds with which a turn ends
Line = dict[str, Any]


Done = Callable[[BaseException | None], None]


class Listener:
    """Who hears what reports tell besides (agents/activity.py); this one does not."""

    def heard(self, session: str, hook: str, payload: Mapping[str, Any]) -> None:
        """A hook has told something."""

    def catch_up(self, session: str) -> None:
        """A turn is about to end: what was told in it by then is to be recorded first. Waits for it."""


class Kept(Protocol):
    """What a session has in its own directory (agents/spool.py and agents/transcript.py)."""

    def spooled(self, session: str) -> list[tuple[object, dict[str, Any]]]:
        """Reports that hooks left while no daemon answered, oldest first, each with its place."""

    def take(self, place: object) -> None:
        """That report is on disk elsewhere now: remove it."""

    def lines(self, session: str, transcript: str) -> Iterator[Line]:
        """Every line of a transcript, from its beginning. Raises AnvilError."""

    def text(self, session: str, path: str, most: int) -> str:
        """A text in its directory, at most so many bytes of it. Raises AnvilError."""


@dataclass(frozen=True)
class Told:
    """A report as it was understood: its number and meaning."""

    number: str
    at: float | None  # when its hook began (monotonic, s), if it tells
    meaning: Report | None


class Known(NamedTuple):
    """What a line of a transcript means; ``counts``: not only for its figures."""

    report: Report
    counts: bool


@dataclass(frozen=True)
class Carried:
    """A prompt that was given in the reply to a report of number ``link``; ``given``: its program may give it on, and will tell."""

    session: str
    link: str
    given: bool = False


class Unseen:
    """What a report does depends on something that must be looked at first."""


class Eyes(Protocol):
    """Looks for what decides about a prompt on its way (agents/evidence.py). Not in a job."""

    def seen(self, session: str) -> Seen: ...


class Reports:
    """Reports of all sessions."""

    def __init__(
        self, store: Store, registry: Registry, turns: Turns, post: Post, questions: Questions, life: Life,
        backends: Backends, kept: Kept, eyes: Eyes, messages: Messages, on_error: Callable[[BaseException], None],
        listener: Listener | None = None, first: Callable[[str], None] = lambda session: None,
    ) -> None:  # fmt: skip
        self._first = first  # what is done before a prompt is given to an agent
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._questions = questions
        self._life = life
        self._backends = backends
        self._kept = kept
        self._lock = threading.Lock()
        self._carriers: dict[Waiting, Carried] = {}  # who was given a prompt in the reply to which report
        self._eyes = eyes
        self._messages = messages
        self._order = InOrder(on_error, lambda session: registry.family(str(session)))
        self._listener = listener or Listener()

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def come(self, session: str, found: Mapping[str, Any], by: Waiting, done: Done) -> None:
        """A report came through ``hook``: it is taken after those that came before it; ``done(error)`` when it was. From any thread."""

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
            self._give(session, found, by)
        elif "given" in found:
            with self._lock:
                self._carriers.pop(by, None)
            by.answer({})
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
        """The same, except the one of number ``but``, which is here as well."""
        there = self._kept.spooled(session)
        for place, found in there:
            if found.get("report") != but:
                try:
                    self._take(session, found, None)
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

    def _take(self, session: str, found: Mapping[str, Any], by: Waiting | None) -> None:
        number, hook, payload = found.get("report"), found.get("hook"), found.get("payload", {})
        if not is_number(number) or not isinstance(hook, str):
            raise Invalid("hook: a report has 'report' and 'hook', both strings")
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
            meaning = self._understood(view, backend, hook, payload)
            if meaning is not None and meaning.kind in OVER:
                self._listener.catch_up(view.id)
            told = Told(str(number), stamp(found.get("mono")), meaning)
            can = by is not None and found.get("takes") is True and backend.can("stop")
            handed = self._done(view.id, told, by, backend, can)
            if by is None or (meaning is not None and meaning.kind == "ask" and handed is None):
                return
            if not isinstance(handed, Prompt):
                by.answer({})
                return
            with self._lock:
                self._carriers[by] = Carried(view.id, told.number)
            by.answer(as_json(backend.reply("stop", handed.text, meaning)) | {"take": handed.id})

    def _offers(self, tx: Tx, session: str, payload: Mapping[str, Any]) -> None:
        if self._registry.there(tx, session):
            offers.keep(tx, session, payload)

    def _silent(self, tx: Tx, session: str, payload: Mapping[str, Any]) -> None:
        self._registry.silent(tx, session, min(stamp(payload.get("seconds")) or 0.0, MOST_SILENT))

    def _done(self, session: str, told: "Told", by: Waiting | None, backend: Backend, can: bool) -> Prompt | str | None:
        """What a report means is done, once what must be seen for that was seen."""
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
        """A program in the pane asks for the next prompt: of a kind of agent that gets them by message."""
        number, view = found.get("report"), self._registry.get(session)
        if not is_number(number):
            raise Invalid("hook: a report has 'report', a string")
        if not self._backends.get(view.backend).by_message:
            raise Invalid(f"hook: prompts of '{view.backend}' are typed")
        with self._lock:
            self._carriers[by] = Carried(view.id, str(number))
        asked = found.get("chosen")
        self._messages.ask(view.id, str(number), by, asked if isinstance(asked, dict) else {})

    def _give(self, session: str, found: Mapping[str, Any], by: Waiting) -> None:
        """A hook program asks whether it may give on the prompt that the reply to its report brought it."""
        number, link, turn = found.get("take"), found.get("of"), found.get("turn")
        if not isinstance(number, int) or not is_number(link) or not (turn is None or is_number(turn)):
            raise Invalid("hook: 'take' is a number, 'of' that of a report, 'turn' a name")

        def job(tx: Tx) -> dict[str, Any]:
            at = stamp(found.get("mono")) or tx.now.monotonic
            name = None if turn is None else f"{turn}"
            happened = self._turns.delivered.given(tx, session, number, f"{link}", at, name)
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

    def abandon(self, session: str, by: Waiting) -> None:
        """The connection of a hook program has closed (any thread): what it did not ask for is queued again, and what it was to give
        on has failed, unless it has said that it did."""

        self._messages.gone(session, by)

        def closed() -> None:
            with self._lock:
                carried = self._carriers.pop(by, None)
            if carried is not None:
                gone = self._turns.delivered.kept if carried.given else self._turns.delivered.gone
                self._life.about(
                    session,
                    lambda tx: outcomes.settle(tx, session, self._post, gone(tx, session, carried.link)),
                    by=self._registry.family(session),
                )

        self._order.do(session, closed)  # after what it brought

    def _understood(self, view: Session, backend: Backend, hook: str, payload: Mapping[str, Any]) -> Report | None:
        """What the hook means. The words of an end that does not tell them are the last in the transcript."""
        meaning = backend.report(hook, payload)
        if meaning is not None and meaning.kind == "ask" and "plan_in" in meaning.fields:
            return self._with_plan(view, meaning)
        if meaning is None or meaning.kind != "stop" or meaning.fields.get("text") is not None:
            return meaning
        transcript = meaning.fields.get("transcript") or view.transcript
        try:
            return ended(backend, meaning, self._kept.lines(view.id, transcript) if transcript else ())
        except AnvilError as error:
            return Report(
                "fail", {**meaning.fields, "reason": f"the answer cannot be read: {error}"}, payload, meaning.rule
            )

    def _with_plan(self, view: Session, meaning: Report) -> Report:
        """A question about a plan that is in a file of the agent's, whose path its transcript told last. Where that cannot be read the
        question stands as it is."""
        fields = dict(meaning.fields)
        where, transcript = fields.pop("plan_in"), fields.get("transcript") or view.transcript
        try:
            paths = [templates.dig(line, where) for line in self._kept.lines(view.id, transcript)] if transcript else []
            path = next((one for one in reversed(paths) if isinstance(one, str)), None)
            plan = self._kept.text(view.id, path, PLAN) if path is not None else ""
        except AnvilError as error:
            log.info("session '%s': its plan cannot be read: %s", view.id, error)
            plan = ""
        if plan.strip():
            fields["question"] = f"{fields.get('question', '')}\n\n{plan}"
        return Report(meaning.kind, fields, meaning.payload, meaning.rule)

    def _job(
        self, tx: Tx, session: str, told: "Told", by: Waiting | None, backend: Backend, can: bool, seen: Seen | None
    ) -> "Prompt | str | Unseen | None":
        """Do what a report means, unless it came before; the prompt that is to be handed over in the reply. Nothing is done while what
        was to be done depends on something that was not looked at."""
        row, meaning = self._registry.row(tx, session), told.meaning
        at = min(told.at or tx.now.monotonic, tx.now.monotonic)
        if seen is None and not tx.late and meaning is not None and heard.asks(self._turns, tx, session, meaning, at):
            return Unseen()
        inserted = tx.run("INSERT OR IGNORE INTO reports(id, ts) VALUES(?, ?)", f"{session} {told.number}", tx.now.wall)
        fresh = inserted.rowcount
        if fresh and (inserted.lastrowid or 0) % OFTEN == 0:
            forget_old(tx, session)
        if meaning is None:
            return None
        if meaning.kind == "ask":
            if by is not None and (fresh or any(one["report"] == told.number for one in row.ask)):
                self._learn(tx, row, meaning)
                reply = lambda choice: as_json(backend.reply("ask", choice, meaning))  # noqa: E731
                otherwise = as_json(backend.unanswered(meaning))
                self._questions.ask(tx, Asked(session, told.number, by, reply, otherwise), meaning.fields)
                return None
            return ""
        if not fresh:
            return None
        self._learn(tx, row, meaning)
        source = meaning.fields.get("conversation") or row.conversation or meaning.fields.get("transcript")
        self._used(tx, row, [meaning], str(source or ""))
        if row.ask and meaning.kind != "note":
            agent, tool = (str(meaning.fields.get(name, "")) for name in ("agent", "tool"))
            self._questions.over(tx, session, agent, tool, meaning.kind in OVER)
        happened = heard.happen(self._turns, tx, session, meaning, at, seen or NOTHING, told.number if can else "")
        return outcomes.settle(tx, session, self._post, happened)

    def _learn(self, tx: Tx, row: Session, meaning: Report) -> None:
        """Keep what every report may tell: which conversation it is, where its transcript lies."""
        known = {"conversation": row.conversation, "transcript": row.transcript}
        news = {
            key: meaning.fields[key] for key, old in known.items() if meaning.fields.get(key) not in (None, "", old)
        }
        if news:
            self._registry.set(tx, row.id, **news)

    def _used(self, tx: Tx, row: Session, found: list[Report], source: str) -> None:
        """Count the figures of these; of one that names no message they are totals, of the conversation or file ``source``."""
        told = [
            (f"message {named}" if (named := one.fields.get("usage_id")) else f"all of {source}", one.fields["usage"])
            for one in found
            if one.fields.get("usage")
        ]
        if told:
            now = usage.shown(row.usage, usage.add(tx, row.id, told))
            if now != row.usage:
                self._registry.set(tx, row.id, usage=dumps(now))
                self._registry.activity.record(tx, row.id, whose.turn_of(tx, row.id), "usage", **now)

    # -- transcripts ---------------------------------------------------------------------------------------------------

    def transcript(self, session: str, lines: list[Line], old: bool) -> None:
        """New lines of the agent's transcript. Of ``old`` ones (there when watching began) only the last can still end a turn."""
        view = self._registry.find(session)
        if view is None:
            return
        with self._life.guard(session):
            backend = self._backends.get(view.backend)
            found = [
                Known(report, not old or at == len(lines))
                for at, line in enumerate(lines, 1)
                for report in backend.transcript_reports(line)
            ]
            if found:
                source = view.transcript or ""
                self._order.do(session, lambda: self._know(session, found, source))

    def beside(self, session: str, lines: list[Line]) -> None:
        """New lines of the files beside the transcript, which are subagents': their figures count, and nothing else."""
        view = self._registry.find(session)
        if view is None:
            return
        with self._life.guard(session):
            backend = self._backends.get(view.backend)
            found = [one for line in lines for one in backend.transcript_reports(line) if one.kind == "usage"]
            if found:
                self._order.do(session, lambda: self._know(session, [Known(one, False) for one in found], ""))

    def _know(self, session: str, found: list[Known], source: str) -> None:
        """Lines are taken in their order with what hooks tell; what must be seen for that is looked at first."""
        if any(one.counts and one.report.kind in OVER for one in found):
            self._listener.catch_up(session)
        looks = any(one.report.kind in ("joined", "refused") for one in found) and self._view_on_its_way(session)
        seen = self._eyes.seen(session) if looks else NOTHING
        family = self._registry.family(session)
        self._life.about(session, lambda tx: self._read(tx, session, found, seen, source), by=family)

    def _view_on_its_way(self, session: str) -> bool:
        view = self._registry.find(session)
        return view is not None and view.on_its_way

    def _read(self, tx: Tx, session: str, found: list[Known], seen: Seen, source: str) -> None:
        row = self._registry.maybe(tx, session)
        if row is None:
            return
        self._used(tx, row, [one.report for one in found], source)
        for report, counts in found:
            self._learn(tx, row, report)
            if (
                not counts
                or report.kind not in COUNTS
                or (report.kind == "fail" and not self._turns.queue.busy(tx, session))
            ):
                continue
            if report.kind == "interrupt":
                self._questions.over(tx, session, "")
            told = report.fields.get("mono")
            at = min(told, tx.now.monotonic) if isinstance(told, float) else tx.now.monotonic
            outcomes.settle(tx, session, self._post, heard.happen(self._turns, tx, session, report, at, seen, ""))

    def idle(self) -> None:
        """Wait until what came so far is taken, and on disk. Not in a job."""
        for session in list(self._registry.views):
            self._order.call(session, lambda: None)
            self._store.call(lambda tx: None, by=self._registry.family(session))

    def close(self) -> None:
        """End the threads; what waits is taken first."""
        self._order.close()


def forget_old(tx: Tx, session: str) -> None:
    """Of a session's reports only the last are remembered: one that makes them up pushes nobody else's out."""
    own = "SELECT rowid FROM reports WHERE id >= ?1 || ' ' AND id < ?1 || '!'"  # the number follows a blank, and ! is next to it
    tx.run(f"DELETE FROM reports WHERE rowid IN ({own} ORDER BY rowid DESC LIMIT -1 OFFSET ?2)", session, KEEP)


def is_number(number: object) -> bool:
    """Whether that may be the number of a report."""
    return isinstance(number, str) and 0 < len(number) <= 64


def stamp(mono: object) -> float | None:
    """The time that a report tells, if it is one."""
    good = isinstance(mono, int | float) and not isinstance(mono, bool) and math.isfinite(mono) and mono > 0
    return float(mono) if good else None  # type: ignore[arg-type]


def as_json(reply: Reply | None) -> dict[str, Any]:
    """A backend's reply as the hook program reads it."""
    return {} if reply is None else {"stdout": reply.stdout, "exit": reply.exit}
