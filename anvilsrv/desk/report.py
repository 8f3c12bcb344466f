"""What agents report, through their hooks and transcripts, and what the hooks are answered.

A report is one JSON object of ``anvillm-hook``: ``{"report": uuid, "ts": s, "hook": name, "payload": {...}}``. The backend's table says
what a hook's name means (one of ``KINDS``, backends/backend.py); here that becomes a change of the session. A report is
answered when its effect is on disk; one that came before (from the spool, or sent again) has no effect twice.

A question (``ask``) is different: its reply is what somebody writes to ``answer`` (``answer.py``).

Threads: ``take``, ``spooled`` and ``transcript`` run on workers and on the threads of agents/; they read what must be read (spool,
transcript, the backend's file and its Python) and post a job with it. Methods with a Tx run in a job. The lock guards the tallies.
"""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from anvilsrv.backends.backend import Backend, Reply, Report
from anvilsrv.backends.ending import ended
from anvilsrv.backends.registry import Backends
from anvilsrv.desk import outcomes
from anvilsrv.desk.answer import Questions, plain
from anvilsrv.desk.life import Life
from anvilsrv.desk.post import Post
from anvilsrv.errors import AnvilError, Invalid, Unavailable
from anvilsrv.sessions.machine import Event
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import Session
from anvilsrv.sessions.turns import Happened, Outcomes, Turns
from anvilsrv.sessions.usage import Tally
from anvilsrv.store.effects import Asked, Waiting
from anvilsrv.store.store import Need, Store, Tx

log = logging.getLogger("anvilsrv")

KEEP = 100_000  # reports whose numbers are remembered
Line = dict[str, Any]


class Kept(Protocol):
    """What a session has in its own directory (agents/spool.py and agents/transcript.py)."""

    def spooled(self, session: str) -> list[tuple[object, dict[str, Any]]]:
        """Reports that hooks left while no daemon answered, oldest first, each with its place."""

    def take(self, place: object) -> None:
        """That report is on disk elsewhere now: remove it."""

    def lines(self, session: str, transcript: str) -> Iterator[Line]:
        """Every line of a transcript, from its beginning. Raises AnvilError."""


@dataclass(frozen=True)
class Told:
    """A report as it was understood: its number and meaning, and the usage of the conversation so far, if it tells."""

    number: str
    meaning: Report | None
    usage: Mapping[str, float] | None = None


class Reports:
    """Reports of all sessions."""

    def __init__(
        self, store: Store, registry: Registry, turns: Turns, post: Post, questions: Questions, life: Life,
        backends: Backends, kept: Kept,
    ) -> None:  # fmt: skip
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._questions = questions
        self._life = life
        self._backends = backends
        self._kept = kept
        self._lock = threading.Lock()
        self._tallies: dict[str, tuple[str, Tally]] = {}

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def take(self, session: str, found: Mapping[str, Any], by: Waiting) -> None:
        """A report came through ``hook``. Raises Invalid and NotFound; else ``by`` is answered, or waits for an answer."""
        number = found.get("report")
        self.spooled(
            session, number if isinstance(number, str) else None
        )  # a submit must not be learned after its stop
        self._take(session, found, by)

    def spooled(self, session: str, but: str | None = None) -> int:
        """Take the reports that hooks left while no daemon answered, except the one of number ``but``, which is here as well.

        Returns how many there were.

        Raises Unavailable when the store does not take one: it and those after it stay where they are.
        """
        there = self._kept.spooled(session)
        for place, found in there:
            if found.get("report") != but:
                try:
                    self._take(session, found, None)
                except Unavailable:
                    raise
                except AnvilError as error:
                    self._life.error(session, f"spooled report: {error}")
                try:
                    self._kept.take(place)
                except AnvilError as error:  # it has no effect twice
                    log.warning("session %s: %s", session, error)
        return len(there)

    def _take(self, session: str, found: Mapping[str, Any], by: Waiting | None) -> None:
        number, hook, payload = found.get("report"), found.get("hook"), found.get("payload", {})
        if not isinstance(number, str) or not 0 < len(number) <= 64 or not isinstance(hook, str):
            raise Invalid("hook: a report has 'report' and 'hook', both strings")
        if not isinstance(payload, dict):
            raise Invalid("hook: 'payload' is not an object")
        view = self._registry.get(session)
        with self._life.guard(view.id):
            backend = self._backends.get(view.backend)
            meaning = self._understood(view, backend, hook, payload)
            told = Told(number, meaning, self._usage(view, meaning))
            handover = by is not None and backend.can("stop")
            # a spooled one stays on the disk until it is taken; one that came through the hook is kept by the store alone
            handed = self._store.call(
                lambda tx: self._job(tx, view.id, told, None if tx.late else by, backend, handover and not tx.late),
                need=Need.OWN if by is None else Need.HAPPENED,
                key=f"report {view.id} {number}",
            )
            if by is not None and not (meaning is not None and meaning.kind == "ask" and handed is None):
                by.answer(as_json(backend.reply("stop", handed, meaning)) if handed else {})

    def _understood(self, view: Session, backend: Backend, hook: str, payload: Mapping[str, Any]) -> Report | None:
        """What the hook means. The words of an end that does not tell them are the last in the transcript."""
        meaning = backend.report(hook, payload)
        if meaning is None or meaning.kind != "stop" or meaning.fields.get("text") is not None:
            return meaning
        transcript = meaning.fields.get("transcript") or view.transcript
        try:
            return ended(backend, meaning, self._kept.lines(view.id, transcript) if transcript else ())
        except AnvilError as error:
            return Report(
                "fail", {**meaning.fields, "reason": f"the answer cannot be read: {error}"}, payload, meaning.rule
            )

    def _job(
        self, tx: Tx, session: str, told: Told, by: Waiting | None, backend: Backend, handover: bool
    ) -> str | None:
        """Do what a report means, unless it came before; the text of the prompt that is to be handed over in the reply."""
        row = self._registry.row(tx, session)
        fresh = tx.run(
            "INSERT OR IGNORE INTO reports(id, ts) VALUES(?, ?)", f"{session} {told.number}", tx.now.wall
        ).rowcount
        tx.run("DELETE FROM reports WHERE rowid <= (SELECT max(rowid) FROM reports) - ?", KEEP)
        meaning = told.meaning
        if meaning is None:
            return None
        if meaning.kind == "ask":
            if by is not None and (fresh or (row.ask is not None and row.ask["id"] == told.number)):
                self._learn(tx, row, meaning, told.usage)
                reply = lambda choice: as_json(backend.reply("ask", choice, meaning))  # noqa: E731
                self._questions.ask(tx, Asked(session, told.number, by, reply), meaning.fields)
                return None
            return ""
        if not fresh:
            return None
        self._learn(tx, row, meaning, told.usage)
        if row.ask and meaning.kind != "note":
            self._questions.drop(tx, session)
        handed = outcomes.settle(tx, session, self._post, self._happened(tx, session, meaning, handover))
        return handed.text if handed is not None else None

    def _happened(self, tx: Tx, session: str, meaning: Report, handover: bool) -> Outcomes:
        """What a report does to the turn."""
        match meaning.kind:
            case "ready":
                return self._turns.ready(tx, session)
            case "submit":
                text = meaning.fields.get("text")
                return self._turns.submitted(tx, session, None if text is None else plain(text))
            case "stop":
                said = meaning.fields.get("text") or ""
                return self._turns.apply(tx, session, Happened(Event.STOP, response=said, handover=handover))
            case "fail":
                return self._failed(tx, session, meaning)
            case "interrupt":
                return self._turns.apply(tx, session, Happened(Event.TOLD))
        return iter(())

    def _failed(self, tx: Tx, session: str, meaning: Report) -> Outcomes:
        reason = meaning.fields.get("reason") or "the agent failed"
        return self._turns.failed(tx, session, reason, meaning.fields.get("until"))

    def _learn(self, tx: Tx, row: Session, meaning: Report, usage: Mapping[str, float] | None) -> None:
        """Keep what every report may tell: which conversation it is, where its transcript lies, what it cost."""
        known = {"conversation": row.conversation, "transcript": row.transcript}
        news = {
            key: meaning.fields[key] for key, old in known.items() if meaning.fields.get(key) not in (None, "", old)
        }
        if usage is not None:
            news["usage"] = json.dumps(usage)
        if news:
            self._registry.set(tx, row.id, **news)

    def _usage(self, view: Session, meaning: Report | None) -> Mapping[str, float] | None:
        """What the conversation has used so far; another conversation begins at nothing. None if nothing is told."""
        if meaning is None or not meaning.fields.get("usage"):
            return None
        transcript = meaning.fields.get("transcript") or view.transcript or ""
        with self._lock:
            if self._tallies.get(view.id, (None, None))[0] != transcript:
                self._tallies[view.id] = (transcript, Tally())
            return self._tallies[view.id][1].add(meaning.fields["usage"], meaning.fields.get("usage_id"))

    # -- transcripts ---------------------------------------------------------------------------------------------------

    def transcript(self, session: str, lines: list[Line], old: bool) -> None:
        """New lines of the agent's transcript. Of ``old`` ones (there when watching began) only the last can still end a turn."""
        view = self._registry.find(session)
        if view is None:
            return
        with self._life.guard(session):
            backend = self._backends.get(view.backend)
            found = [
                (report, self._usage(view, report), not old or at == len(lines))
                for at, line in enumerate(lines, 1)
                for report in backend.transcript_reports(line)
            ]
            if found:
                self._life.about(session, lambda tx: self._read(tx, session, found))

    def _read(self, tx: Tx, session: str, found: list[tuple[Report, Mapping[str, float] | None, bool]]) -> None:
        row = self._registry.maybe(tx, session)
        if row is None:
            return
        for report, usage, counts in found:
            self._learn(tx, row, report, usage)
            if counts and report.kind == "interrupt":
                self._questions.drop(tx, session)
                outcomes.settle(tx, session, self._post, self._turns.apply(tx, session, Happened(Event.TOLD)))
            elif counts and report.kind == "fail" and self._turns.busy(tx, session):
                outcomes.settle(tx, session, self._post, self._failed(tx, session, report))

    def forget(self, session: str) -> None:
        """A session is gone."""
        with self._lock:
            self._tallies.pop(session, None)


def as_json(reply: Reply | None) -> dict[str, Any]:
    """A backend's reply as the hook program reads it."""
    return {} if reply is None else {"stdout": reply.stdout, "exit": reply.exit}
