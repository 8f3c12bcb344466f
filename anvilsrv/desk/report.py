"""What agents report through their hooks, and what they are answered.

A report is one JSON object of ``anvillm-hook``: ``{"report": uuid, "ts": s, "hook": name, "payload": {...}}``. The backend's table says
what a hook's name means (``ready submit stop fail ask end note``); here that becomes a change of the session. A report is
answered when its effect is on disk; one that came before (from the spool, or sent again) has no effect twice.

A question (``ask``) is different: its answer is what somebody writes to ``answer``, so the read of the reply waits.

Threads: everything runs on the store's thread, in a job.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from anvilsrv.backends import reset_time
from anvilsrv.errors import AnvilError, Conflict, Invalid
from anvilsrv.sessions.registry import Sessions
from anvilsrv.sessions.turns import Turns
from anvilsrv.sessions.usage import Tally
from anvilsrv.store.store import Tx

KEEP = 7 * 86400.0  # s that the number of a report is remembered
LOOK = 60.0  # s between looks at the clock while a limit lasts: a machine sleeps, clocks are set
Reply = dict[str, Any]


class Waiting(Protocol):
    """Whoever brought a report and waits for its reply (``hookfile.py``)."""

    meaning: Any
    waits_for: str | None

    def answer(self, reply: Reply) -> None: ...


class Reports:
    """Reports of all sessions. ``backend(name)`` gives the backend with its table."""

    def __init__(self, sessions: Sessions, turns: Turns, backend: Callable[[str], Any]) -> None:
        self.sessions = sessions
        self._turns = turns
        self._backend = backend
        self._asking: dict[str, Waiting] = {}  # session -> who waits for the answer
        self._tallies: dict[str, tuple[str | None, Tally]] = {}
        self.lines: Callable[[str], Iterator[dict[str, Any]]] = lambda session: iter(())
        self.spooled: Callable[[str], list[tuple[Path, dict[str, Any]]]] = lambda session: []
        self.at: Callable[[float, Callable[[], None]], None]
        self.watch: Callable[[str], None] = lambda session: None
        turns.hold = self.hold

    def take(self, tx: Tx, session: str, found: dict[str, Any], exchange: Waiting | None) -> None:
        """A report came, through ``hook`` or from the spool (then without ``exchange``). Raises Invalid."""
        number, hook, payload = found.get("report"), found.get("hook"), found.get("payload", {})
        if not isinstance(number, str) or not 0 < len(number) <= 64 or not isinstance(hook, str):
            raise Invalid("hook: a report has 'report' and 'hook', both strings")
        if not isinstance(payload, dict):
            raise Invalid("hook: 'payload' is no object")
        if exchange is not None:  # what was spooled came before: a submit must not be learned after its stop
            for path, before in self.spooled(session):
                if before.get("report") != number:
                    self._take_spooled(tx, session, path, before)
        row = self.sessions.row(tx, session)
        reply: Reply | None = {}
        fresh = tx.run(
            "INSERT OR IGNORE INTO reports(id, ts) VALUES(?, ?)", f"{session} {number}", time.time()
        ).rowcount
        meaning = self._backend(row["backend"]).report(hook, payload)
        if meaning is not None and (fresh or (meaning.kind == "ask" and _asked(row) == number)):
            reply = self._act(tx, session, row, meaning, number, exchange)
        tx.run("DELETE FROM reports WHERE ts < ?", time.time() - KEEP)
        if exchange is None:
            return
        if reply is None:
            exchange.waits_for = number
            self._asking[session] = exchange
        else:
            tx.after(lambda: exchange.answer(reply))

    def _take_spooled(self, tx: Tx, session: str, path: Path, report: dict[str, Any]) -> None:
        try:
            self.take(tx, session, report, None)
        except AnvilError as error:
            self.sessions.error(tx, session, str(error))
        tx.after(lambda: path.unlink(missing_ok=True))

    def _act(self, tx: Tx, session: str, row: Any, meaning: Any, number: str, exchange: Waiting | None) -> Reply | None:
        """Do what a report means; the reply, or None when it must wait."""
        self._learn(tx, session, row, meaning)
        if meaning.kind != "ask" and row["ask"] and meaning.kind != "note":
            self.drop(tx, session)
        match meaning.kind:
            case "ready":
                self._turns.ready(tx, session)
            case "submit":
                text = meaning.fields.get("text")
                self._turns.submitted(tx, session, None if text is None else plain(text))
            case "stop":
                backend = self._backend(row["backend"])
                can = exchange is not None and backend.can("stop")
                text = meaning.fields.get("text")
                said = self._said(session, backend) if text is None else text
                following = self._turns.stopped(tx, session, said, can)
                if following is not None:
                    return as_json(backend.reply("stop", following, meaning))
            case "fail":
                self._failed(tx, session, meaning)
            case "interrupt":
                self._turns.interrupted(tx, session)
            case "ask":
                if exchange is None:
                    return {}
                self._ask(tx, session, meaning, number)
                exchange.meaning = meaning
                return None
        return {}

    def _said(self, session: str, backend: Any) -> str:
        """What an agent said last whose report of the end does not tell: from its transcript."""
        said = ""
        try:
            for line in self.lines(session):
                for report in backend.transcript_reports(line):
                    said = report.fields.get("text", said) if report.kind == "note" else said
        except AnvilError as error:
            said = f"[{error}]"
        return said

    def _learn(self, tx: Tx, session: str, row: Any, meaning: Any) -> None:
        """Keep what every report may tell: which conversation it is, where its transcript lies, what it cost."""
        known = {key: meaning.fields.get(key) for key in ("conversation", "transcript")}
        news = {key: value for key, value in known.items() if value and value != row[key]}
        if meaning.fields.get("usage"):
            tally = self._tally(session, news.get("transcript") or row["transcript"])
            news["usage"] = json.dumps(tally.add(meaning.fields["usage"], meaning.fields.get("usage_id")))
        if news:
            self.sessions.set(tx, session, **news)
            tx.after(lambda: self.watch(session))

    def _tally(self, session: str, transcript: str | None) -> Tally:
        """What the session's conversation has used so far; another conversation begins anew."""
        if self._tallies.get(session, (None, None))[0] != transcript or session not in self._tallies:
            self._tallies[session] = (transcript, Tally())
        return self._tallies[session][1]

    def _failed(self, tx: Tx, session: str, meaning: Any) -> None:
        self._turns.failed(tx, session, meaning.fields.get("reason") or "the agent failed", meaning.fields.get("until"))

    def hold(self, tx: Tx, session: str, until: float) -> None:
        """Let the queue go on at ``until`` (epoch s)."""
        wait = min(max(0.0, until - time.time()), LOOK)
        tx.after(lambda: self.at(wait, lambda: self.sessions.store.post(lambda tx: self._unhold(tx, session, until))))

    def _unhold(self, tx: Tx, session: str, until: float) -> None:
        row = tx.one("SELECT held_until FROM sessions WHERE id = ?", session)
        if row is None or row["held_until"] != until:
            return
        if 0 < until - time.time() <= reset_time.FURTHEST:
            self.hold(tx, session, until)
        else:  # further away than when it was told: the clock was wrong then
            self._turns.release(tx, session)

    def transcript(self, tx: Tx, session: str, lines: list[dict[str, Any]], old: bool) -> None:
        """New lines of the agent's transcript. Of ``old`` ones (there when watching began) only the last can still end a turn."""
        row = tx.one("SELECT * FROM sessions WHERE id = ?", session)
        if row is None:
            return
        backend = self._backend(row["backend"])
        found = [(at, report) for at, line in enumerate(lines, 1) for report in backend.transcript_reports(line)]
        for at, report in found:
            self._learn(tx, session, row, report)
            if old and at < len(lines):
                continue
            if report.kind == "interrupt":
                self.drop(tx, session)
                self._turns.interrupted(tx, session)
            elif report.kind == "fail" and self._turns.active(tx, session) is not None:
                self._failed(tx, session, report)

    # -- questions ---------------------------------------------------------------------------------------------------

    def _ask(self, tx: Tx, session: str, meaning: Any, number: str) -> None:
        fields = meaning.fields
        ask = {
            "id": number, "text": plain(fields.get("question") or ""), "choices": [plain(c) for c in fields.get("choices") or []],
            "detail": plain(fields.get("detail") or ""), "free": bool(fields.get("free")),
        }  # fmt: skip
        self.sessions.set(tx, session, ask=json.dumps(ask, ensure_ascii=False))
        self.sessions.stream.emit(tx, "ask", session, ask=ask)

    def answer(self, tx: Tx, session: str, choice: str) -> None:
        """``answer`` was written: a choice, by its name or its number from 1. Raises Conflict when nothing is asked."""
        row = self.sessions.row(tx, session)
        exchange = self._asking.get(session)
        if not row["ask"] or exchange is None:
            raise Conflict(f"session '{session}' asks nothing")
        ask = json.loads(row["ask"])
        chosen = choice if ask["free"] and choice not in ask["choices"] else pick(choice, ask["choices"])
        reply = as_json(self._backend(row["backend"]).reply("ask", chosen, exchange.meaning))
        del self._asking[session]
        self._clear(tx, session)
        tx.after(lambda: exchange.answer(reply))

    def drop(self, tx: Tx, session: str) -> None:
        """The question is gone: the agent went on, or ended."""
        exchange = self._asking.pop(session, None)
        if exchange is not None:
            tx.after(lambda: exchange.answer({}))
        row = tx.one("SELECT ask FROM sessions WHERE id = ?", session)
        if row is not None and row["ask"]:
            self._clear(tx, session)

    def abandoned(self, tx: Tx, session: str, exchange: Waiting) -> None:
        """The hook program that waited for an answer is gone."""
        if self._asking.get(session) is exchange:
            self.drop(tx, session)

    def _clear(self, tx: Tx, session: str) -> None:
        self.sessions.set(tx, session, ask=None)
        self.sessions.stream.emit(tx, "ask", session, ask=None)


def pick(choice: str, choices: list[str]) -> str:
    """The choice that was meant. With no choices given, any text is one. Raises Invalid."""
    if not choices or choice in choices:
        return choice
    if choice.isdecimal() and 1 <= int(choice) <= len(choices):
        return choices[int(choice) - 1]
    near = [one for one in choices if one.casefold().startswith(choice.casefold())] if choice else []
    if len(near) == 1:
        return near[0]
    raise Invalid(f"no such choice '{choice[:80]}': {', '.join(choices)}")


def plain(text: str) -> str:
    """Text from an agent as it can be kept: without the half surrogates that JSON lets through."""
    return text.encode("utf-8", "replace").decode()


def as_json(reply: Any) -> Reply:
    """A backend's reply as the hook program reads it."""
    return {} if reply is None else {"stdout": reply.stdout, "exit": reply.exit}


def _asked(row: Any) -> str | None:
    return json.loads(row["ask"])["id"] if row["ask"] else None
