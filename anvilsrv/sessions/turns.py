"""What happened to a prompt, applied to the rows. The only module that asks the machine of prompts (``machine.py``).

``apply`` finds out which facts hold, looks up what is to be done, does it, and tells what came of it, one after the other as it
happens: an answer is mailed before the next prompt is chosen. So nothing happens unless somebody reads what it yields, which
``desk/outcomes.py`` does, and decides what it means for mail. Nothing here types: the typist follows the rows.

Threads: everything runs on the store's thread, in a job. What must be seen outside of one comes in as ``Seen``.
"""

from typing import assert_never

from anvilsrv.errors import NotPermitted
from anvilsrv.sessions import facts, prompts, turn_rows
from anvilsrv.sessions.course import Course
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import NOTHING, Handed, Happened, Outcomes, Press, Seen, Tidy
from anvilsrv.sessions.machine import Act, Event, Fact, Status, asks, step
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.queue import Queue
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import State, Wanted, check_change
from anvilsrv.sessions.turn_machine import Heard
from anvilsrv.store.store import Tx

HEARD = {
    Event.SAME: Heard.SUBMIT, Event.OTHER: Heard.SUBMIT, Event.WAKE: Heard.WAKE, Event.JOINED: Heard.JOINED,
    Event.ACTIVE: Heard.ACTIVE, Event.FAIL: Heard.END, Event.NOT_TAKEN: Heard.SUBMIT, Event.READY: Heard.SUBMIT,
}  # fmt: skip
REASONS = {
    Event.OTHER: "its text was changed in the agent's input, or the agent took other words",
    Event.REFUSED: "the agent refused it",
    Event.INTERRUPT: "interrupted",
    Event.NOT_TAKEN: "the agent did not take it",
    Event.FAIL: "the agent failed",
}
DOUBT = "in doubt: it may have been taken, so it is not typed again"


class Turns:
    """Prompts and turns of all sessions. ``queue`` and ``course`` are its parts, which others use too."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.queue = Queue(registry)
        self.course = Course(registry)

    # -- the machine ----------------------------------------------------------------------------------------------------

    def apply(self, tx: Tx, session: str, event: Event, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """Do what the machine says; what came of it, as it happens."""
        current, acts = self._look_up(tx, session, event, happened, seen)
        for act in acts:
            yield from self._do(tx, session, act, event, happened, current, seen)
        if event != Event.DIED and self._registry.there(tx, session):
            self.queue.settle(tx, session)

    def asks(self, tx: Tx, session: str, event: Event, happened: Happened) -> bool:
        """Whether what is done depends on what can only be seen outside of a job."""
        current = prompts.on_its_way(tx, session)
        if current is None:
            return False
        known = facts.of_prompt(current, event, happened) | self._owed(tx, session, event, happened)
        return asks(current.status, event, known, facts.LOOKED_AT)

    def _look_up(
        self, tx: Tx, session: str, event: Event, happened: Happened, seen: Seen
    ) -> tuple[Prompt | None, tuple[Act, ...]]:
        """The prompt that it is about, and what is done."""
        current, opened = prompts.on_its_way(tx, session), turn_rows.opened(tx, session)
        tried = self._tried(tx, session, happened)
        beside = {Fact.TRIED} if tried is not None else set()
        beside |= {Fact.TURN} if opened is not None else set()
        beside |= self._owed(tx, session, event, happened)
        if current is not None:
            known = facts.of_prompt(current, event, happened) | facts.of_look(current, event, seen) | beside
            acts = step(current.status, event, known)
            if acts or opened is None or event not in (Event.REFUSED, Event.JOINED):
                return current, acts
        known = frozenset(beside)
        return tried, step(Status.TAKEN if opened is not None else None, event, known)

    @staticmethod
    def _tried(tx: Tx, session: str, happened: Happened) -> Prompt | None:
        """The first in the queue that was pasted before this report and has its words."""
        if happened.text is None:
            return None
        return next(
            (
                one for one in prompts.tried(tx, session)
                if (one.pasted_at or 0.0) <= happened.at and facts.same_text(happened.text, one.words)
            ),
            None,
        )  # fmt: skip

    def _owed(self, tx: Tx, session: str, event: Event, happened: Happened) -> frozenset[Fact]:
        """Whether a submit without its text may be of a prompt that failed in doubt: no submit was heard since its Enter."""
        if event != Event.SAME or happened.text is not None:
            return frozenset()
        sent, last = (
            prompts.doubted(tx, session, self._registry.row(tx, session).began or 0.0),
            turn_rows.last(tx, session),
        )
        owed = sent is not None and (last is None or last.opened_at < sent)
        return frozenset({Fact.OWED}) if owed else frozenset()

    def _do(
        self, tx: Tx, session: str, act: Act, event: Event, happened: Happened, current: Prompt | None, seen: Seen
    ) -> Outcomes:
        match act:
            case Act.TURN:
                taken = self._tried(tx, session, happened) if HEARD[event] == Heard.SUBMIT else None
                yield from self.course.hear(tx, session, HEARD[event], happened, taken)
            case Act.TAKE:
                assert current is not None
                yield from self._take(tx, current, event, happened, seen)
            case Act.REQUEUE | Act.UNPASTE:
                assert current is not None
                (prompts.requeue if act == Act.REQUEUE else prompts.unpaste)(tx, current)
            case Act.FAIL | Act.DOUBT:
                assert current is not None
                why = happened.reason or REASONS.get(event, "")
                yield self.course.end(
                    tx, current, None, why if act == Act.FAIL else f"{DOUBT} ({why})" if why else DOUBT
                )
            case Act.END | Act.ANSWER:
                yield from self._end(tx, session, event, happened, answered=act == Act.ANSWER)
            case Act.SEND:
                assert current is not None
                prompts.press(tx, current)
            case Act.OBSTRUCT:
                self.queue.hold(tx, session, By.OBSTACLE, happened.reason)
            case Act.KEYS:
                yield Press()
            case Act.CLEAR:
                yield Tidy()
            case Act.REFUSE:
                raise NotPermitted(f"session '{session}' is {self._registry.row(tx, session).state}")
            case Act.ALLOW:
                pass
            case _:
                assert_never(act)

    def _take(self, tx: Tx, prompt: Prompt, event: Event, happened: Happened, seen: Seen) -> Outcomes:
        """The prompt is taken: in the turn of the report, or of the line that proves it."""
        heard, proof = HEARD[event], seen.proof
        if proof is not None and event in (Event.NOT_TAKEN, Event.OTHER):
            heard = Heard.JOINED if proof.joined else Heard.SUBMIT
            happened = Happened(proof.at, proof.ident, prompt.words)
        yield from self.course.hear(tx, prompt.session, heard, happened, prompt)

    def _end(self, tx: Tx, session: str, event: Event, happened: Happened, answered: bool) -> Outcomes:
        """The turn that is open ends, whatever it is called."""
        opened = turn_rows.opened(tx, session)
        if opened is not None:
            why = "" if answered else happened.reason or REASONS[event]
            end = Happened(max(happened.at, opened.active_at), opened.ident, reason=why)
            yield from self.course.hear(tx, session, Heard.END, end)

    # -- what the agent reports -----------------------------------------------------------------------------------------

    def submitted(self, tx: Tx, session: str, happened: Happened, wake: bool = False, seen: Seen = NOTHING) -> Outcomes:
        """A prompt was submitted: ours, or one that a person typed, or (``wake``) the agent itself gave itself."""
        yield from self.apply(tx, session, self.submit_event(tx, session, happened, wake), happened, seen)

    def submit_event(self, tx: Tx, session: str, happened: Happened, wake: bool) -> Event:
        """Which event a submit is for the prompt on its way."""
        current = prompts.on_its_way(tx, session)
        if wake:
            return Event.WAKE
        other = current is not None and happened.text is not None and not facts.same_text(happened.text, current.words)
        return Event.OTHER if other else Event.SAME

    def joined(self, tx: Tx, session: str, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """A text was taken into the turn that runs. Nothing, unless it is one of ours."""
        current = prompts.on_its_way(tx, session)
        ours = current is not None and facts.same_text(happened.text or "", current.words)
        if ours or self._tried(tx, session, happened) is not None:
            yield from self.apply(tx, session, Event.JOINED, happened, seen)

    def refused(self, tx: Tx, session: str, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """The agent refused a prompt, for a reason. Of another text than ours nothing is known here but the turn that it began."""
        current, text = prompts.on_its_way(tx, session), happened.text
        other = text is not None and current is not None and not facts.same_text(text, current.words)
        if not other:
            yield from self.apply(tx, session, Event.REFUSED, happened, seen)
        elif (opened := turn_rows.opened(tx, session)) is not None:
            began = prompts.of_turn(tx, session, opened.number)
            if any(facts.same_text(text or "", one.words) for one in began):
                yield from self._end(tx, session, Event.REFUSED, happened, answered=False)
                self.queue.settle(tx, session)

    def stopped(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """A turn ended with its words. Any answer means that the limit is over."""
        yield from self.course.hear(tx, session, Heard.END, happened)
        gate = self._registry.row(tx, session).gate
        if not gate.open:
            self._registry.set(tx, session, gate=gate.without(By.LIMIT).kept())
        following = self.queue.next_mail(tx, session) if happened.handover else None
        if following is not None:
            yield Handed(self.queue.hand(tx, following, happened.handover))
        self.queue.settle(tx, session)

    def failed(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """A turn ended with an error. What waits behind it goes on with the next prompt, or when the limit ends."""
        current, acts = self._look_up(tx, session, Event.FAIL, happened, NOTHING)
        for act in acts:
            yield from self._do(tx, session, act, Event.FAIL, happened, current, NOTHING)
        gate = self._registry.row(tx, session).gate
        if happened.until is not None:
            gate = gate.held(By.LIMIT, happened.reason, happened.until)
        elif any(one.status != Status.TAKEN for one in prompts.waiting(tx, session)):
            gate = gate.held(
                By.FAILED, happened.reason
            )  # also from what the failure itself has queued, such as mail about it
        self._registry.set(tx, session, gate=gate.kept())
        self.queue.settle(tx, session)
        self._registry.error(tx, session, happened.reason)

    def told(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """The transcript, a hook or the title says that the turn was broken off."""
        if not happened.ident:
            self._registry.set(tx, session, told=happened.at)
        yield from self.course.hear(tx, session, Heard.END, Happened(happened.at, happened.ident, reason="interrupted"))
        self.queue.settle(tx, session)

    def ready(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """The agent says that it can take prompts; nothing, if that was one that has ended since."""
        row = self._registry.row(tx, session)
        if any(since is not None and happened.at < since <= tx.now.monotonic for since in (row.began, row.told)):
            return
        if row.state == State.STARTING:
            self._registry.change(tx, session, State.IDLE)
            self.queue.settle(tx, session)
        else:
            yield from self.apply(tx, session, Event.READY, happened)

    def over(self, tx: Tx, session: str, turn: int) -> Outcomes:
        """That turn is over without an answer, as the screen shows; nothing if it is not the one that runs."""
        opened = turn_rows.opened(tx, session)
        if opened is not None and opened.number == turn:
            yield from self.told(tx, session, Happened(tx.now.monotonic))

    # -- what the process did ---------------------------------------------------------------------------------------------

    def died(self, tx: Tx, session: str, happened: Happened, seen: Seen = NOTHING) -> Outcomes:
        """The process is gone."""
        yield from self.apply(tx, session, Event.DIED, happened, seen)
        yield from self.course.die(tx, session, happened)
        gate = self._registry.row(tx, session).gate
        if not gate.open:
            self._registry.set(tx, session, gate=gate.without(By.OBSTACLE).kept())

    def adopted(self, tx: Tx, session: str, seen: Seen = NOTHING) -> Outcomes:
        """Another daemon has taken over."""
        yield from self.apply(tx, session, Event.DAEMON, Happened(tx.now.monotonic), seen)

    # -- on its way (the typist) ------------------------------------------------------------------------------------------

    def paste(self, tx: Tx, session: str, number: int, tries: int, typed: str, mark: str | None) -> Outcomes:
        """A prompt that was chosen is about to be pasted: it is PASTED, unless the gate has closed or a turn began meanwhile."""
        current, row = prompts.on_its_way(tx, session), self._registry.row(tx, session)
        if current is None or (current.id, current.tries, current.status) != (number, tries, Status.CHOSEN):
            return
        if row.gate.open and row.wanted == Wanted.RUN and turn_rows.opened(tx, session) is None:
            prompts.paste(tx, current, typed, mark)
        else:
            yield from self.apply(tx, session, Event.HOLD, Happened(tx.now.monotonic))

    def obstacle(self, tx: Tx, session: str, number: int, why: str) -> Outcomes:
        """The input is not free, and nothing was pasted."""
        if self._is_on_its_way(tx, session, number, Status.CHOSEN):
            yield from self.apply(tx, session, Event.OBSTACLE, Happened(tx.now.monotonic, reason=why))

    def kept_back(self, tx: Tx, session: str, seen: Seen, why: str) -> Outcomes:
        """It is PASTED and could not be pasted: tmux still has it."""
        self.queue.hold(tx, session, By.OBSTACLE, why)
        yield from self.adopted(tx, session, seen)

    def not_taken(self, tx: Tx, session: str, number: int, seen: Seen, why: str = "") -> Outcomes:
        """The time for the next step is over, and the input was looked at: Enter is pressed for what stands there, or it is over.

        While a turn is open or the queue held it stays as it is.
        """
        if not self._is_on_its_way(tx, session, number):
            return
        gate = self._registry.row(tx, session).gate
        if By.OBSTACLE in gate.holders and Fact.MIXED not in facts.of_look(
            prompts.there(tx, number), Event.NOT_TAKEN, seen
        ):
            gate = gate.without(By.OBSTACLE)
            self._registry.set(tx, session, gate=gate.kept())
            self._registry.tell(tx, session)
        if gate.without(By.OBSTACLE).open and turn_rows.opened(tx, session) is None:
            yield from self.apply(tx, session, Event.NOT_TAKEN, Happened(tx.now.monotonic, reason=why), seen)

    @staticmethod
    def _is_on_its_way(tx: Tx, session: str, number: int, status: Status | None = None) -> bool:
        current = prompts.on_its_way(tx, session)
        return current is not None and current.id == number and status in (None, current.status)

    # -- by message -------------------------------------------------------------------------------------------------------

    def given(self, tx: Tx, session: str, number: int, link: str, at: float) -> Outcomes:
        """The program that got a prompt in the reply ``link`` asks whether it may give it on: it may if it is TAKEN after this."""
        current = prompts.on_its_way(tx, session)
        if current is None or (current.id, current.link) != (number, link):
            return
        if turn_rows.opened(tx, session) is not None:
            prompts.unpaste(tx, current)
        else:
            last = turn_rows.last(tx, session)
            taken = Happened(at, last.ident if last is not None else "", current.text)
            yield from self.course.hear(tx, session, Heard.SUBMIT, taken, current, follows=True)
        self.queue.settle(tx, session)

    def gone(self, tx: Tx, session: str, link: str) -> Outcomes:
        """Nobody reads the reply ``link`` any more."""
        current = prompts.on_its_way(tx, session)
        if current is not None and current.link == link:
            yield from self.apply(tx, session, Event.GONE, Happened(tx.now.monotonic))

    # -- by hand ----------------------------------------------------------------------------------------------------------

    def hold(self, tx: Tx, session: str) -> Outcomes:
        """The user holds the queue: nothing more is typed until ``go``."""
        self.queue.hold(tx, session, By.USER, "")
        yield from self.apply(tx, session, Event.HOLD, Happened(tx.now.monotonic))

    def take_out(self, tx: Tx, prompt: Prompt, seen: Seen = NOTHING) -> Prompt:
        """A prompt that the user withdraws or edits: back in the queue. Raises Conflict once it may have been taken."""
        now = prompt.status if prompt.status != Status.QUEUED else None
        known = facts.of_prompt(prompt, Event.WITHDRAW, Happened(tx.now.monotonic))
        known |= facts.of_look(prompt, Event.WITHDRAW, seen)
        if Act.ALLOW not in step(now, Event.WITHDRAW, known):
            raise NotPermitted(f"prompt {prompt.n} may have been taken")
        if prompt.status == Status.CHOSEN:
            prompts.requeue(tx, prompt)
        return prompts.there(tx, prompt.id)

    def write_state(self, tx: Tx, session: str, word: str, reported: bool) -> Outcomes:
        """``state`` was written. Where hooks report (``reported``), they alone know; else idle and running may be said."""
        before = self._registry.row(tx, session).state
        state = check_change(before, word)
        if state == before:
            return
        if reported:
            raise NotPermitted(f"the agent's hooks say {before}")
        if state not in (State.IDLE, State.RUNNING):
            raise NotPermitted(f"cannot make it {state} here: write stop, restart or kill to ctl")
        now = Happened(tx.now.monotonic)
        if state == State.RUNNING:
            yield from self.submitted(tx, session, now)
        elif before == State.STARTING:
            yield from self.ready(tx, session, now)
        else:
            current = prompts.on_its_way(tx, session)
            if current is not None and current.status == Status.SENT:
                taken = Happened(now.at, text=current.words)
                yield from self.submitted(tx, session, taken)  # nobody tells of that either
            yield from self.stopped(tx, session, now)

    def drop(self, tx: Tx, session: str, why: str) -> Outcomes:
        """The session goes for good: nothing in its queue can be answered. The senders of mail still queued are told elsewhere."""
        for one in prompts.waiting(tx, session):
            if one.status == Status.QUEUED and one.message:
                prompts.end(tx, one, None, why)
            else:
                yield self.course.end(tx, one, None, why)

    def forget(self, tx: Tx, session: str) -> None:
        """Remove prompts and turns of a session."""
        prompts.forget(tx, session)
        turn_rows.forget(tx, session)

    def busy(self, tx: Tx, session: str) -> bool:
        """Whether a turn is open or a prompt on its way."""
        return self.queue.busy(tx, session)
