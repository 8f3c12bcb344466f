"""What happened to a prompt, applied to the rows. The only module that asks the machine of prompts (``machine.py``).

``apply`` finds out which facts hold, looks up what is to be done, does it, and tells what came of it, one after the other as it
happens: an answer is mailed before the next prompt is chosen. So nothing happens unless someone reads what it yields, which
``desk/outcomes.py`` does, and decides what it means for mail. Nothing here types: the typist follows the rows.

Threads: everything runs on the store's thread, in a job. What must be seen outside of one comes in as ``Seen``.
"""

from typing import assert_never

from anvilsrv.display import standing
from anvilsrv.errors import NotPermitted
from anvilsrv.sessions import facts, prompts, session_rows, turn_rows
from anvilsrv.sessions.course import Course
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import NOTHING, Happened, Look, Outcomes, Press, Seen, Tidy
from anvilsrv.sessions.machine import Act, Event, Fact, Status, asks, step
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.queue import Queue
from anvilsrv.sessions.turn_machine import Heard
from anvilsrv.store.store import Tx

HEARD = {
    Event.SAME: Heard.SUBMIT, Event.OTHER: Heard.SUBMIT, Event.WAKE: Heard.WAKE, Event.JOINED: Heard.JOINED,
    Event.ACTIVE: Heard.ACTIVE, Event.FAIL: Heard.END, Event.NOT_TAKEN: Heard.SUBMIT, Event.READY: Heard.SUBMIT,
}  # fmt: skip
REASONS = {
    Event.OTHER: "its text was changed in the agent's input, or the agent took a different text",
    Event.REFUSED: "the agent refused it",
    Event.INTERRUPT: "interrupted",
    Event.NOT_TAKEN: "the agent did not take it",
    Event.FAIL: "the agent failed",
    Event.WITHDRAW: "it was withdrawn",
}
DOUBT = "in doubt: it may have been taken, so it is not typed again"


class Stepper:
    """The machine of prompts, for all sessions."""

    def __init__(self, queue: Queue, course: Course) -> None:
        self._queue = queue
        self._course = course

    def apply(self, tx: Tx, session: str, event: Event, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """Do what the machine says, and go on with the queue; what came of it, as it happens."""
        yield from self.act(tx, session, event, happened, seen)
        if event != Event.DIED and session_rows.there(tx, session):
            self._queue.settle(tx, session)

    def act(self, tx: Tx, session: str, event: Event, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """Do what the machine says, and leave the queue as it is."""
        current, acts = self._look_up(tx, session, event, happened, seen)
        for act in acts:
            yield from self._do(tx, session, act, event, happened, current, seen)

    def asks(self, tx: Tx, session: str, event: Event, happened: Happened) -> bool:
        """Return whether what is done depends on what can only be seen outside of a job."""
        current = prompts.on_its_way(tx, session)
        if current is None:
            return False
        known = facts.of_prompt(current, event, happened) | self._owed(tx, session, event, happened, NOTHING)
        return asks(current.status, event, known, facts.LOOKED_AT)

    def ask(self, tx: Tx, prompt: Prompt, event: Event, seen: Seen = NOTHING) -> Outcomes:
        """Do what the user asks for a prompt that may be in the queue. Raises NotPermitted if it cannot be done."""
        happened = Happened(tx.now.monotonic)
        known = facts.of_prompt(prompt, event, happened) | facts.of_look(prompt, event, seen)
        for act in step(prompt.status if prompt.status != Status.QUEUED else None, event, known):
            yield from self._do(tx, prompt.session, act, event, happened, prompt, seen)

    def _look_up(
        self, tx: Tx, session: str, event: Event, happened: Happened, seen: Seen
    ) -> tuple[Prompt | None, tuple[Act, ...]]:
        """Return the prompt that it is about, and what is done."""
        current, opened = prompts.on_its_way(tx, session), turn_rows.opened(tx, session)
        tried = self.tried(tx, session, happened)
        beside = {Fact.TRIED} if tried is not None else set()
        beside |= {Fact.TURN} if opened is not None else set()
        beside |= self._owed(tx, session, event, happened, seen)
        if current is not None:
            known = facts.of_prompt(current, event, happened) | facts.of_look(current, event, seen) | beside
            acts = step(current.status, event, known)
            if acts or opened is None or event not in (Event.REFUSED, Event.JOINED):
                return current, acts
        known = frozenset(beside)
        return tried, step(Status.TAKEN if opened is not None else None, event, known)

    @staticmethod
    def tried(tx: Tx, session: str, happened: Happened) -> Prompt | None:
        """Return the first in the queue that was pasted before this report and has its text."""
        if happened.text is None:
            return None
        return next(
            (
                one for one in prompts.tried(tx, session)
                if (one.pasted_at or 0.0) <= happened.at and facts.same_text(happened.text, one.words)
            ),
            None,
        )  # fmt: skip

    def _owed(self, tx: Tx, session: str, event: Event, happened: Happened, seen: Seen) -> frozenset[Fact]:
        """Return OWED if a submit without its text is not of the prompt on its way: that still stands in the input,
        among other text, or the submit of one that failed in doubt was not heard since its Enter.
        """
        if event != Event.SAME or happened.text is not None:
            return frozenset()
        sent, last = (
            prompts.doubted(tx, session, session_rows.get(tx, session).began or 0.0),
            turn_rows.last(tx, session),
        )
        owed = seen.look == Look.AMONG or (sent is not None and (last is None or last.opened_at < sent))
        return frozenset({Fact.OWED}) if owed else frozenset()

    def _do(
        self, tx: Tx, session: str, act: Act, event: Event, happened: Happened, current: Prompt | None, seen: Seen
    ) -> Outcomes:
        match act:
            case Act.TURN:
                taken = self.tried(tx, session, happened) if HEARD[event] == Heard.SUBMIT else None
                yield from self._course.hear(tx, session, HEARD[event], happened, taken)
            case Act.TAKE:
                assert current is not None
                yield from self._take(tx, current, event, happened, seen)
                self._queue.open(tx, session, By.OBSTACLE)  # what was in the way has let it through
            case Act.REQUEUE | Act.UNPASTE:
                assert current is not None
                (prompts.requeue if act == Act.REQUEUE else prompts.unpaste)(tx, current)
            case Act.FAIL | Act.DOUBT:
                assert current is not None
                why = happened.reason or REASONS.get(event, "")
                yield self._course.end(
                    tx, current, None, why if act == Act.FAIL else f"{DOUBT} ({why})" if why else DOUBT
                )
            case Act.END | Act.ANSWER:
                yield from self.end(tx, session, event, happened, answered=act == Act.ANSWER)
            case Act.SEND:
                assert current is not None
                prompts.press(tx, current)
            case Act.UNSEND:
                assert current is not None
                prompts.unpress(tx, current)
            case Act.OBSTRUCT:
                self._queue.hold(tx, session, By.OBSTACLE, happened.reason)
            case Act.KEYS:
                yield Press()
            case Act.CLEAR:
                yield Tidy()
            case Act.REFUSE if event == Event.INTERRUPT:
                raise NotPermitted(f"session '{session}' {standing(session_rows.get(tx, session).state)}")
            case Act.REFUSE:
                assert current is not None
                raise NotPermitted(f"prompt {current.n} may have been taken: it can be dropped, not edited")
            case Act.WITHDRAW:
                assert current is not None
                self._queue.withdrawn(tx, current)
            case Act.ALLOW:
                pass
            case _:
                assert_never(act)

    def _take(self, tx: Tx, prompt: Prompt, event: Event, happened: Happened, seen: Seen) -> Outcomes:
        """Record that the prompt is taken: in the turn of the report, or of the line that proves it."""
        heard, proof = HEARD[event], seen.proof
        if proof is not None and event in (Event.NOT_TAKEN, Event.OTHER):
            heard = Heard.JOINED if proof.joined else Heard.SUBMIT
            happened = Happened(proof.at, proof.ident, prompt.words)
        yield from self._course.hear(tx, prompt.session, heard, happened, prompt)

    def end(self, tx: Tx, session: str, event: Event, happened: Happened, answered: bool) -> Outcomes:
        """End the turn that is open, whatever it is called."""
        opened = turn_rows.opened(tx, session)
        if opened is not None:
            why = "" if answered else happened.reason or REASONS[event]
            end = Happened(max(happened.at, opened.active_at), opened.ident, reason=why)
            yield from self._course.hear(tx, session, Heard.END, end)
