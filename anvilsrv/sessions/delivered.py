"""What becomes of a prompt on its way: typed into a pane, or given in the reply to a hook.

Threads: everything runs on the store's thread, in a job. Nothing happens unless what is yielded is read (``stepper.py``).
"""

from math import inf

from anvilsrv.sessions import facts, prompts, session_rows, turn_rows
from anvilsrv.sessions.course import Course
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import NOTHING, Handed, Happened, Outcomes, Seen
from anvilsrv.sessions.machine import ON_ITS_WAY, Event, Fact, Status
from anvilsrv.sessions.queue import Queue
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import Wanted
from anvilsrv.sessions.stepper import DOUBT, Stepper
from anvilsrv.sessions.turn_machine import Heard
from anvilsrv.store.store import Tx


class Delivered:
    """Deliveries of all sessions."""

    def __init__(self, registry: Registry, queue: Queue, course: Course, stepper: Stepper) -> None:
        self._registry = registry
        self._queue = queue
        self._course = course
        self._stepper = stepper

    # -- typed ------------------------------------------------------------------------------------------------------------

    def paste(self, tx: Tx, session: str, number: int, tries: int, typed: str, mark: str | None) -> Outcomes:
        """Make a chosen prompt PASTED, since it is about to be pasted, unless the gate has closed or a turn began
        meanwhile.
        """
        current, row = prompts.on_its_way(tx, session), session_rows.get(tx, session)
        if current is None or (current.id, current.tries, current.status) != (number, tries, Status.CHOSEN):
            return
        if row.gate.open and row.wanted == Wanted.RUN and turn_rows.opened(tx, session) is None:
            prompts.paste(tx, current, typed, mark)
        else:
            yield from self._stepper.apply(tx, session, Event.HOLD, Happened(tx.now.monotonic))

    def obstacle(self, tx: Tx, session: str, number: int, why: str) -> Outcomes:
        """Note that the input is not free, and nothing was pasted."""
        if self._is_on_its_way(tx, session, number, Status.CHOSEN):
            yield from self._stepper.apply(tx, session, Event.OBSTACLE, Happened(tx.now.monotonic, reason=why))

    def kept_back(self, tx: Tx, session: str, seen: Seen, why: str) -> Outcomes:
        """Hold the queue for a PASTED prompt that could not be pasted: tmux still has it."""
        self._queue.hold(tx, session, By.OBSTACLE, why)
        yield from self.adopted(tx, session, seen)

    def not_taken(self, tx: Tx, session: str, number: int, seen: Seen, why: str = "") -> Outcomes:
        """Choose the next step, since the time for it is over and the input was looked at: Enter is pressed for what is
        there, or it is over.

        While a turn is open or the queue held it stays as it is.
        """
        if not self._is_on_its_way(tx, session, number):
            return
        gate = session_rows.get(tx, session).gate
        seen_now = facts.of_look(prompts.there(tx, number), Event.NOT_TAKEN, seen)
        if By.OBSTACLE in gate.holders and not seen_now & {Fact.MIXED, Fact.UNREAD}:
            gate = gate.without(By.OBSTACLE)
            session_rows.put(tx, session, gate=gate.kept())
            self._registry.tell(tx, session)
        if gate.without(By.OBSTACLE).open and turn_rows.opened(tx, session) is None:
            yield from self._stepper.apply(tx, session, Event.NOT_TAKEN, Happened(tx.now.monotonic, reason=why), seen)

    def moved(self, tx: Tx, session: str, number: int) -> Outcomes:
        """Note that its Enter was not pressed, since the input had changed after the look."""
        current = prompts.on_its_way(tx, session)
        if current is not None and current.id == number and current.presses and current.link is None:
            yield from self._stepper.apply(tx, session, Event.MOVED, Happened(tx.now.monotonic))

    @staticmethod
    def _is_on_its_way(tx: Tx, session: str, number: int, status: Status | None = None) -> bool:
        current = prompts.on_its_way(tx, session)
        return current is not None and current.id == number and status in (None, current.status)

    def adopted(self, tx: Tx, session: str, seen: Seen = NOTHING) -> Outcomes:
        """Note that another daemon has taken over."""
        yield from self._stepper.apply(tx, session, Event.DAEMON, Happened(tx.now.monotonic), seen)

    # -- by message -------------------------------------------------------------------------------------------------------

    def offered(self, tx: Tx, session: str, link: str) -> Outcomes:
        """Offer the chosen prompt to a program that waits for it under the number ``link``: it is SENT in that reply."""
        current, row = prompts.on_its_way(tx, session), session_rows.get(tx, session)
        if current is None or current.status != Status.CHOSEN:
            return
        if row.gate.open and row.wanted == Wanted.RUN and row.pid and turn_rows.opened(tx, session) is None:
            prompts.hand(tx, current, link)
            yield Handed(prompts.there(tx, current.id))
        else:
            yield from self._stepper.apply(tx, session, Event.HOLD, Happened(tx.now.monotonic))

    def given(
        self, tx: Tx, session: str, number: int, link: str, at: float, ident: str | None = None, tells: bool = False
    ) -> Outcomes:
        """Answer the program that got a prompt in the reply ``link`` and asks whether it may hand it on: it may if it
        is TAKEN after this.

        ``ident`` is what it will call the turn; None: it goes on with the last one. It ``tells`` when the agent has it (``gave``).
        """
        current = prompts.get(tx, number)
        if current is None or (current.session, current.link) != (session, link):
            return
        if current.status == Status.TAKEN:  # it was told so, and asks again
            prompts.giving(tx, current, tells)
        if current.status not in ON_ITS_WAY:
            return
        if turn_rows.opened(tx, session) is not None:
            prompts.unpaste(tx, current)
        else:
            last = turn_rows.ended_last(tx, session)
            name = ident if ident is not None else last.ident if last is not None else ""
            taken = Happened(at, name, current.text)
            yield from self._course.hear(tx, session, Heard.SUBMIT, taken, current, follows=True)
            prompts.giving(tx, current, tells)
        self._queue.settle(tx, session)

    def gone(self, tx: Tx, session: str, link: str) -> Outcomes:
        """Handle a reply ``link`` that has no reader any more."""
        current = prompts.on_its_way(tx, session)
        if current is not None and current.link == link:
            yield from self._stepper.apply(tx, session, Event.GONE, Happened(tx.now.monotonic))

    def gave(self, tx: Tx, session: str, number: int) -> None:
        """Record the program's word that the agent has the prompt."""
        current = prompts.get(tx, number)
        if current is not None and current.session == session:
            prompts.giving(tx, current, False)

    def kept(self, tx: Tx, session: str, link: str = "", before: float = inf) -> Outcomes:
        """Handle the end of a program that was to hand on the prompt of the reply ``link`` and had not said that it
        did. No-op if the agent has done something in that turn. Without a ``link``: the prompt of the turn that is
        open, if that began ``before`` (monotonic, s).
        """
        turn = turn_rows.opened(tx, session)
        if turn is None or turn.active_at > turn.opened_at or turn.opened_at > before:
            return
        if prompts.is_giving(tx, session, turn.number, link):
            ended = Happened(tx.now.monotonic, reason=f"{DOUBT} (its hook program was ended)")
            yield from self._stepper.end(tx, session, Event.GONE, ended, answered=False)
            self._queue.settle(tx, session)
