"""What an agent reports of its prompts and turns, by a hook, its transcript, its screen or its death.

Threads: everything runs on the store's thread, in a job. Nothing happens unless what is yielded is read (``stepper.py``).
"""

from dataclasses import replace

from anvilsrv.sessions import facts, prompts, session_rows, turn_rows
from anvilsrv.sessions.course import Course
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import NOTHING, Handed, Happened, Outcomes, Seen
from anvilsrv.sessions.machine import Event, Status
from anvilsrv.sessions.queue import Queue
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import State
from anvilsrv.sessions.stepper import Stepper
from anvilsrv.sessions.turn_machine import Heard
from anvilsrv.store.store import Tx


class Reported:
    """Reports of all sessions' agents."""

    def __init__(self, registry: Registry, queue: Queue, course: Course, stepper: Stepper) -> None:
        self._registry = registry
        self._queue = queue
        self._course = course
        self._stepper = stepper

    def submitted(self, tx: Tx, session: str, happened: Happened, wake: bool = False, seen: Seen = NOTHING) -> Outcomes:
        """Handle a submitted prompt: ours, or one that a person typed, or (``wake``) one that the agent gave itself."""
        event = self.submit_event(tx, session, happened, wake)
        if event == Event.WAKE and not happened.task:
            happened = replace(happened, task=turn_rows.says(tx, session, happened.text or ""))
        yield from self._stepper.apply(tx, session, event, happened, seen)

    def submit_event(self, tx: Tx, session: str, happened: Happened, wake: bool) -> Event:
        """Return which event a submit is for the prompt on its way."""
        current = prompts.on_its_way(tx, session)
        if wake:
            return Event.WAKE
        other = current is not None and happened.text is not None and not facts.same_text(happened.text, current.words)
        if (other or current is None) and self._prompts_itself(tx, session, happened):
            return Event.WAKE
        return Event.OTHER if other else Event.SAME

    def _prompts_itself(self, tx: Tx, session: str, happened: Happened) -> bool:
        """Return whether this is the text with which the agent said it would prompt itself; not if it is ours, pasted
        before.
        """
        said = bool(happened.text and turn_rows.says(tx, session, happened.text))
        return said and self._stepper.tried(tx, session, happened) is None

    def joined(self, tx: Tx, session: str, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """Handle a text that was taken into the turn that runs. No-op unless it is one of ours."""
        current = prompts.on_its_way(tx, session)
        ours = current is not None and facts.same_text(happened.text or "", current.words)
        if ours or self._stepper.tried(tx, session, happened) is not None:
            yield from self._stepper.apply(tx, session, Event.JOINED, happened, seen)

    def noticed(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """Record that in a turn that ran then the agent was told that work in the background is done."""
        yield from self._course.notice(tx, session, happened)
        self._queue.settle(tx, session)

    def refused(self, tx: Tx, session: str, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """Handle a prompt that the agent refused, for a reason. If the text is not ours, only the turn that it began is
        known here.
        """
        current, text = prompts.on_its_way(tx, session), happened.text
        other = text is not None and current is not None and not facts.same_text(text, current.words)
        if not other:
            yield from self._stepper.apply(tx, session, Event.REFUSED, happened, seen)
        elif (opened := turn_rows.opened(tx, session)) is not None:
            began = prompts.of_turn(tx, session, opened.number)
            if any(facts.same_text(text or "", one.words) for one in began):
                yield from self._stepper.end(tx, session, Event.REFUSED, happened, answered=False)
                self._queue.settle(tx, session)

    def stopped(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """Handle a turn that ended with its answer. Any answer means that the limit is over."""
        yield from self._course.hear(tx, session, Heard.END, happened)
        self._course.left(tx, session, happened)
        gate = session_rows.get(tx, session).gate
        if not gate.open:
            session_rows.put(tx, session, gate=gate.without(By.LIMIT).kept())
        following = self._queue.next_mail(tx, session) if happened.handover else None
        if following is not None:
            yield Handed(self._queue.hand(tx, following, happened.handover))
        self._queue.settle(tx, session)

    def failed(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """Handle a turn that ended with an error. The queue goes on with the next prompt, or when the limit ends."""
        yield from self._stepper.act(tx, session, Event.FAIL, happened)
        gate = session_rows.get(tx, session).gate
        if happened.until is not None:
            gate = gate.held(By.LIMIT, happened.reason, happened.until)
        elif any(one.status != Status.TAKEN for one in prompts.waiting(tx, session)):
            gate = gate.held(
                By.FAILED, happened.reason
            )  # also from what the failure itself has queued, such as mail about it
        session_rows.put(tx, session, gate=gate.kept())
        self._queue.settle(tx, session)
        self._registry.error(tx, session, happened.reason)

    def told(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """Handle a turn that was broken off, as the transcript, a hook or the title says."""
        if not happened.ident:
            session_rows.put(tx, session, told=happened.at)
        yield from self._course.hear(
            tx, session, Heard.END, Happened(happened.at, happened.ident, reason="interrupted")
        )
        self._queue.settle(tx, session)

    def ready(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """Handle the agent's report that it can take prompts; no-op if it comes from one that has ended since."""
        row = session_rows.get(tx, session)
        if any(since is not None and happened.at < since <= tx.now.monotonic for since in (row.began, row.told)):
            return
        if row.state == State.STARTING:
            self._queue.ready(tx, session)
            self._queue.settle(tx, session)
        else:
            yield from self._stepper.apply(tx, session, Event.READY, happened)

    def over(self, tx: Tx, session: str, turn: int) -> Outcomes:
        """Handle a turn that is over without an answer, as the screen shows; no-op if it is not the one that runs."""
        opened = turn_rows.opened(tx, session)
        if opened is not None and opened.number == turn:
            yield from self.told(tx, session, Happened(tx.now.monotonic))

    def died(self, tx: Tx, session: str, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """Handle the end of the process."""
        yield from self._stepper.apply(tx, session, Event.DIED, happened, seen)
        yield from self._course.die(tx, session, happened)
        gate = session_rows.get(tx, session).gate
        if not gate.open:
            session_rows.put(tx, session, gate=gate.without(By.OBSTACLE, By.START).kept())
