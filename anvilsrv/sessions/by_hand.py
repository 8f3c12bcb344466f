"""What the user does to prompts and turns: interrupt, hold, withdraw, edit, and write ``state`` where no hook tells it.

Threads: everything runs on the store's thread, in a job. Nothing happens unless what is yielded is read (``stepper.py``).
"""

from anvilsrv.errors import NotPermitted
from anvilsrv.sessions import prompts, remarks, session_rows, turn_rows, usage
from anvilsrv.sessions.course import Course
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import NOTHING, Happened, Outcomes, Seen
from anvilsrv.sessions.machine import Event, Status
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.queue import Queue
from anvilsrv.sessions.reported import Reported
from anvilsrv.sessions.state import State, check_change
from anvilsrv.sessions.stepper import Stepper
from anvilsrv.store.store import Tx


class ByHand:
    """What is asked of all sessions' prompts and turns."""

    def __init__(self, queue: Queue, course: Course, stepper: Stepper, reported: Reported) -> None:
        self._queue = queue
        self._course = course
        self._stepper = stepper
        self._reported = reported

    def interrupt(self, tx: Tx, session: str) -> Outcomes:
        """Break off what runs or is on its way, for the user."""
        yield from self._stepper.apply(tx, session, Event.INTERRUPT, Happened(tx.now.monotonic))

    def hold(self, tx: Tx, session: str) -> Outcomes:
        """Hold the queue for the user: nothing more is typed until ``go``."""
        self._queue.hold(tx, session, By.USER, "")
        yield from self._stepper.apply(tx, session, Event.HOLD, Happened(tx.now.monotonic))

    def withdraw(self, tx: Tx, prompt: Prompt, seen: Seen = NOTHING) -> Outcomes:
        """Withdraw a prompt from the queue; one that may have reached the agent has failed. Raises NotPermitted for one
        that is being typed.
        """
        yield from self._stepper.ask(tx, prompt, Event.WITHDRAW, seen)
        self._queue.settle(tx, prompt.session)

    def edit(self, tx: Tx, prompt: Prompt, text: str) -> Outcomes:
        """Replace the text of a prompt, which keeps its place in the queue. Raises NotPermitted once it may have been
        taken, and Invalid.
        """
        yield from self._stepper.ask(tx, prompt, Event.EDIT)
        if prompt.status == Status.CHOSEN:
            prompts.requeue(tx, prompt)
        prompts.edit(tx, prompt, text)
        self._queue.settle(tx, prompt.session)

    def write_state(self, tx: Tx, session: str, word: str, reported: bool) -> Outcomes:
        """Handle a write to ``state``. If hooks report (``reported``), only they know the state; otherwise idle and
        running may be written.
        """
        before = session_rows.get(tx, session).state
        state = check_change(before, word)
        if state == before:
            return
        if reported:
            raise NotPermitted(f"the agent's hooks report {before}")
        if state not in (State.IDLE, State.RUNNING):
            raise NotPermitted(f"cannot set it to {state} here: write stop, restart or kill to ctl")
        now = Happened(tx.now.monotonic)
        if state == State.RUNNING:
            yield from self._reported.submitted(tx, session, now)
        elif before == State.STARTING:
            yield from self._reported.ready(tx, session, now)
        else:
            current = prompts.on_its_way(tx, session)
            if current is not None and current.status == Status.SENT:
                taken = Happened(now.at, text=current.words)
                yield from self._reported.submitted(tx, session, taken)  # no one tells of that either
            yield from self._reported.stopped(tx, session, now)

    def drop(self, tx: Tx, session: str, why: str) -> Outcomes:
        """Drop the queue of a session that goes for good: nothing in it can be answered. The senders of mail still
        queued are notified elsewhere.
        """
        for one in prompts.waiting(tx, session):
            if one.status == Status.QUEUED and one.message:
                prompts.end(tx, one, None, why)
            else:
                yield self._course.end(tx, one, None, why)

    def forget(self, tx: Tx, session: str) -> None:
        """Remove prompts, turns and remarks of a session."""
        prompts.forget(tx, session)
        turn_rows.forget(tx, session)
        usage.forget(tx, session)
        remarks.forget(tx, session)
