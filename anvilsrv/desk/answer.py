"""Questions: what agents ask and wait for, and the answers that are written to ``answer``.

A session may ask several at once: its subagents ask too. Each is over by itself: answered, its hook program gone, its agent gone on.

Threads: ``answer`` runs on a worker, methods with a Tx in a job; ``asked`` and ``unasked``, the effects, on the store's thread, which
alone changes ``_asking``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from anvilsrv.activity.fields import middle
from anvilsrv.allowance import BOUNDS
from anvilsrv.display import one_line, printable
from anvilsrv.errors import NotPermitted
from anvilsrv.sessions import questions, session_rows, whose
from anvilsrv.sessions.questions import Question
from anvilsrv.sessions.registry import Registry
from anvilsrv.store.effects import Asked, Unasked, Waiting
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.strict_json import dumps, whole

DIFF = 256 << 10  # bytes of what a question would change
TEXT = 64 << 10  # of its words
PLAN = 260 << 10  # of words with a plan in them
DETAIL = 64 << 10
LINE = 1000  # characters of a choice
PARTS = 20  # questions in one dialog
WHATS = ("permission", "question", "plan")
MOST = 100  # open questions of one session; the oldest gives way


class Questions:
    """The open questions of all sessions."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._asking: dict[tuple[str, str], Asked] = {}

    def ask(self, tx: Tx, asked: Asked, fields: Mapping[str, Any]) -> None:
        """Record a question of the agent; ``fields`` as its hook reported them. A question that is asked again keeps
        its place.
        """
        open_now = session_rows.get(tx, asked.session).ask
        old = next((one for one in open_now if one["report"] == asked.number), None)
        number = old["id"] if old is not None else questions.identify(asked.session, asked.number)
        made = {
            "id": number, "what": kind(fields), "text": long(fields.get("question"), PLAN if kind(fields) == "plan" else TEXT),
            "choices": lines(fields.get("choices")), "also": lines(fields.get("also")),
            "detail": long(fields.get("detail"), DETAIL), "free": bool(fields.get("free")),
            "report": asked.number, "agent": str(fields.get("agent") or ""), "tool": questions.use(fields.get("tool")),
        }  # fmt: skip
        if diff := long(fields.get("diff"), DIFF):
            made["diff"] = diff
        if parts := fields.get("questions"):
            made["questions"] = [parted(part) for part in parts[:PARTS]]
        tx.after(asked)  # before the event: who answers at once must find the asker waiting
        if old is not None:
            self._keep(tx, asked.session, tuple(made if one is old else one for one in open_now))
            return
        for one in too_many(open_now, made):
            self._end(tx, asked.session, one, None, "timeout")
        self._keep(tx, asked.session, (*session_rows.get(tx, asked.session).ask, made))
        self._emit(tx, asked.session, questions.shown(made))
        self._registry.activity.record(
            tx, asked.session, whose.turn_of(tx, asked.session), "ask", id=number, text=made["text"], choices=made["choices"],
            what=made["what"], questions=made.get("questions"), tool=made["tool"],
            diff=made.get("diff"),
            **({"parent": made["agent"]} if made["agent"] else {}),
        )  # fmt: skip

    def ask_user(self, session: str, number: str, by: Waiting, payload: Mapping[str, Any]) -> None:
        """Record a question that a tool asks in report ``number``; its reply has the ``answer``, or says that the
        question is ``gone``. Raises Invalid.
        """
        fields = questions.of_tool(number, payload)
        asked = Asked(session, number, by, lambda choice: {"answer": choice}, {"gone": True})
        self._store.call(lambda tx: self.ask(tx, asked, fields), need=Need.HAPPENED, by=self._registry.family(session))

    def answer(self, name: str, text: str) -> None:
        """Handle a write to ``answer``. Raises Conflict if that question is not open, or if it is not clear which is
        meant, and Invalid.
        """
        view = self._registry.get(name)
        question, words = questions.meant(view.id, view.ask, text)
        # A question is shown a moment before its asker is known: the job comes after both.
        asker = self._store.call(lambda tx: self._asking.get((view.id, question["report"])), durable=False)
        if asker is None:
            raise NotPermitted(f"the agent is not waiting for question '{question['id']}' at the moment")
        reply = asker.reply(questions.chosen(question, words))
        self._store.call(lambda tx: self._answered(tx, view.id, question, reply, words))

    def _answered(self, tx: Tx, session: str, question: Question, reply: Mapping[str, Any], words: str) -> None:
        if not any(one["id"] == question["id"] for one in session_rows.get(tx, session).ask):
            raise NotPermitted(f"question '{question['id']}' is gone")
        self._end(tx, session, question, reply, "person", words)

    def over(self, tx: Tx, session: str, agent: str, tool: str = "", turn: bool = True) -> None:
        """Close what that agent asked: it went on (with that tool), or its ``turn`` is over, so the question was
        answered elsewhere.
        """
        row = session_rows.maybe(tx, session)
        gone = questions.ended(row.ask, agent, questions.use(tool), turn) if row is not None and row.ask else ()
        for one in row.ask if row is not None else ():
            if one["id"] in gone:
                self._end(tx, session, one, None, "pane")

    def drop(self, tx: Tx, session: str) -> None:
        """Drop every question: the agent ended, or is interrupted. No-op if there is none."""
        row = session_rows.maybe(tx, session)
        for one in row.ask if row is not None else ():
            self._end(tx, session, one, None, "agent")

    def interrupt(self, tx: Tx, session: str) -> None:
        """Release what waits where keys do not reach the agent: the turn is to be broken off."""
        for one in session_rows.get(tx, session).ask:
            asker = self._asking.get((session, one["report"]))
            if asker is not None and asker.otherwise:
                self._end(tx, session, one, None, "agent")

    def abandon(self, session: str, by: Waiting) -> None:
        """Abandon the question of a hook program that is gone (any thread)."""
        family = self._registry.family(session)
        self._store.post(lambda tx: self._abandoned(tx, session, by), need=Need.HAPPENED, by=family)

    def _abandoned(self, tx: Tx, session: str, by: Waiting) -> None:
        row = session_rows.maybe(tx, session)
        for one in row.ask if row is not None else ():
            asker = self._asking.get((session, one["report"]))
            if asker is not None and asker.by is by:
                self._end(tx, session, one, None, "agent")

    def _end(
        self, tx: Tx, session: str, question: Question, reply: Mapping[str, Any] | None, by: str, choice: str = ""
    ) -> None:
        """Close a question, ``by`` whom; without a ``reply`` its asker gets the one for an unanswered question."""
        turn = whose.turn_of(tx, session)
        said = choice.replace("\n", " / ")  # a line for each question in one
        self._registry.activity.record(tx, session, turn, "decision", id=question["id"], choice=said, by=by)
        left = tuple(one for one in session_rows.get(tx, session).ask if one["id"] != question["id"])
        self._keep(tx, session, left)
        self._emit(tx, session, questions.shown(left[0]) if left else None, over=question["id"])
        tx.after(Unasked(session, question["report"], reply))

    def _keep(self, tx: Tx, session: str, left: tuple[Question, ...]) -> None:
        session_rows.put(tx, session, ask=dumps(list(left)) if left else None)

    def _emit(self, tx: Tx, session: str, question: Mapping[str, Any] | None, **extra: Any) -> None:
        now = [questions.shown(one) for one in session_rows.get(tx, session).ask]
        self._registry.stream.emit(tx, "ask", session, ask=question, asks=now, **extra)

    # -- effects -------------------------------------------------------------------------------------------------------

    def asked(self, effect: Asked) -> None:
        """Note that the question is on disk: its asker waits."""
        self._asking[effect.session, effect.number] = effect

    def unasked(self, effect: Unasked) -> None:
        """Send the reply to the asker of a question that is over."""
        asker = self._asking.pop((effect.session, effect.number), None)
        if asker is not None:
            asker.by.answer(asker.otherwise if effect.reply is None else effect.reply)


def too_many(open_now: Sequence[Question], made: Question) -> Sequence[Question]:
    """Return the oldest of these, which make room for one more: every list of sessions has them all, and every event
    about one.
    """
    size, gone = sum(len(dumps(one)) for one in (*open_now, made)), max(0, len(open_now) + 1 - MOST)
    for at, one in enumerate(open_now):
        if at >= gone and size <= BOUNDS["questions"].most:
            return open_now[:at]
        size -= len(dumps(one))
    return open_now


def parted(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return one of several questions in a dialog."""
    return {
        "text": long(part.get("text"), DETAIL // PARTS), "multiple": bool(part.get("multiple")),
        "choices": lines(part.get("choices")),
    }  # fmt: skip


def long(text: Any, most: int) -> str:
    """Return a text from an agent, cut to that many bytes."""
    return middle(printable(plain(str(text or "")[: 4 * most])), most).text


def lines(choices: Any) -> list[str]:
    """Return choices, one per line."""
    return [one_line(plain(str(one)[:LINE])) for one in (choices or [])[: questions.OPTIONS]]


def plain(text: str) -> str:
    """Return text from an agent as it can be stored: without the lone surrogates that JSON lets through."""
    return whole(text)


def kind(fields: Mapping[str, Any]) -> str:
    """Return whether a permission is asked, a plan is shown, or something else is to be answered."""
    told = fields.get("what")
    return told if told in WHATS else "question" if fields.get("free") else "permission"
