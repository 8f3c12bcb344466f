"""Turns: what happened to a prompt, applied to the rows. The only module that reads and writes the table ``turns``.

``apply`` looks up in ``machine.py`` what is to be done, does it to the rows of prompts, turns and session, and tells what came of
it, one after the other as it happens: an answer is mailed before the next prompt is chosen. So nothing happens unless somebody reads
what it yields, which ``desk/outcomes.py`` does, and decides what it means for mail. Nothing here types: the typist follows the rows.

Threads: everything runs on the store's thread, in a job.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from anvilsrv.backends import reset_time
from anvilsrv.errors import NotPermitted
from anvilsrv.sessions import prompts
from anvilsrv.sessions.machine import ON_ITS_WAY, Act, Event, Status, TurnStatus, step
from anvilsrv.sessions.prompts import Prompt
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import State, Wanted, check_change
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import answer_to, conversation_of

HANDOVERS = 4  # turns in a row that may be begun through the stop hook; then it is typed


@dataclass(frozen=True)
class Happened:
    """An event and what was told with it: the ``text`` submitted, the ``response``, the ``reason`` of a failure and when its
    limit ends (``until``, epoch s), and whether the next mail may be given in the reply (``handover``)."""

    event: Event
    text: str | None = None
    response: str = ""
    reason: str = ""
    until: float | None = None
    handover: bool = False


@dataclass(frozen=True)
class Began:
    """The agent took this prompt; ``handed`` if it is given in the reply to its hook."""

    prompt: Prompt
    handed: bool = False


@dataclass(frozen=True)
class Ended:
    """This prompt is answered, or (``error``) cannot be."""

    prompt: Prompt
    response: str | None
    error: str | None


@dataclass(frozen=True)
class Press:
    """The keys that interrupt are to be pressed; ``recalled``: the prompt was on its way."""

    recalled: bool


Outcome = Began | Ended | Press
Outcomes = Iterator[Outcome]


class Turns:
    """The queues and turns of all sessions."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    # -- the queue ---------------------------------------------------------------------------------------------------

    def queue(self, tx: Tx, session: str, text: str, origin: str, message: str | None, n: int | None = None) -> int:
        """Queue a prompt whatever the state; ``message`` is the mail it delivers, ``n`` the number it has already, if it has one.

        Returns its number. Raises Invalid if it is empty.
        """
        n = n or self._registry.number(tx, session)
        prompts.add(tx, session, n, text, origin, message)
        if self._registry.row(tx, session).held_until is None:  # a limit with a known end is not tried before
            self.release(tx, session)
        return n

    def release(self, tx: Tx, session: str) -> None:
        """Let a held queue go on; nothing if the session is gone."""
        if self._registry.there(tx, session):
            self._registry.set(tx, session, held="", held_until=None)
            self.pump(tx, session)

    def pump(self, tx: Tx, session: str) -> None:
        """Choose the next prompt if the session is idle and nothing holds its queue."""
        row = self._registry.row(tx, session)
        if row.state != State.IDLE or row.held or row.paused or row.wanted != Wanted.RUN or not row.pid:
            return
        following = prompts.head(tx, session)
        if following is not None:
            # one that was sent before may still stand in the input: it is looked for first
            prompts.mark(tx, following, Status.PASTED if following.pasted else Status.CHOSEN)
            self._registry.set(tx, session, handed=0)
            self._registry.change(tx, session, State.RUNNING)

    def hold(self, tx: Tx, session: str) -> None:
        """The user holds the queue: nothing more is chosen until ``go``."""
        self._registry.set(tx, session, paused=1)

    def go(self, tx: Tx, session: str) -> None:
        """The queue goes on, whatever held it."""
        self._registry.set(tx, session, paused=0)
        self.release(tx, session)

    def mark(self, tx: Tx, prompt: Prompt, mail: int) -> None:
        """``mail`` was the newest message when the turn of ``prompt`` began."""
        tx.run("UPDATE turns SET mail = ? WHERE session = ? AND number = ?", mail, prompt.session, prompt.turn)

    def marked(self, tx: Tx, prompt: Prompt) -> int:
        """The newest message when the turn of ``prompt`` began; 0 if it never did."""
        row = tx.one("SELECT mail FROM turns WHERE session = ? AND number = ?", prompt.session, prompt.turn)
        return int(row["mail"]) if row else 0

    def withdraw(self, tx: Tx, session: str, message: str) -> None:
        """Take a mail out of the queue, if it is still there."""
        for number in prompts.withdraw(tx, session, message):
            self._registry.topics.notify(tx, answer_to(number))

    # -- on its way (the typist asks) ---------------------------------------------------------------------------------

    def paste(self, tx: Tx, session: str, number: int) -> str | None:
        """The text of a prompt that is about to be pasted: from now on it may stand in the input. None if it is not to be."""
        return self._advance(tx, session, number, Status.PASTED)

    def send(self, tx: Tx, session: str, number: int) -> str | None:
        """The same for the key that submits it: from now on it may have been taken."""
        return self._advance(tx, session, number, Status.SENT)

    @staticmethod
    def _advance(tx: Tx, session: str, number: int, to: Status) -> str | None:
        prompt = prompts.get(tx, number)
        if prompt is None or prompt.session != session or prompt.status not in ON_ITS_WAY:
            return None
        if ON_ITS_WAY.index(prompt.status) < ON_ITS_WAY.index(to):  # what is known already stays known
            prompts.mark(tx, prompt, to)
        return prompt.text

    # -- what happened -------------------------------------------------------------------------------------------------

    def submitted(self, tx: Tx, session: str, text: str | None) -> Outcomes:
        """The agent says that a prompt was submitted: ours, or one that a person typed. ``text`` None: it does not tell which."""
        if self._registry.row(tx, session).live:
            current = prompts.active(tx, session)
            same = current is not None and (text is None or same_text(text, current.text))
            yield from self.apply(tx, session, Happened(Event.SAME if same else Event.OTHER, text=text))

    def ready(self, tx: Tx, session: str) -> Outcomes:
        """The agent says that it can take prompts."""
        row = self._registry.row(tx, session)
        current = prompts.active(tx, session)
        if row.state == State.STARTING:
            if (row.held_until or 0) <= tx.now.wall:  # a limit outlasts a crash and a reboot
                self._registry.set(tx, session, held="", held_until=None)
            yield from self.apply(tx, session, Happened(Event.STARTED))
        elif current is not None and current.text.startswith("/"):  # like /clear: ready again is all that comes of it
            yield from self.apply(tx, session, Happened(Event.READY))

    def failed(self, tx: Tx, session: str, reason: str, until: float | None) -> Outcomes:
        """The agent says that its turn ended with an error. The queue waits: until ``until`` (epoch s) if that is known."""
        yield from self.apply(tx, session, Happened(Event.FAIL, reason=reason, until=until))
        self._registry.error(tx, session, reason)

    def busy(self, tx: Tx, session: str) -> bool:
        """Whether a prompt is on its way or runs."""
        return prompts.active(tx, session) is not None

    def current(self, tx: Tx, session: str) -> int:
        """The number of the turn that runs; 0: none."""
        current = prompts.active(tx, session)
        return (current.turn or 0) if current is not None and current.status == Status.TAKEN else 0

    def over(self, tx: Tx, session: str, turn: int) -> Outcomes:
        """That turn is over without an answer, as the screen shows; nothing if it is not the one that runs."""
        if self.current(tx, session) == turn:
            yield from self.apply(tx, session, Happened(Event.TOLD))

    def undelivered(self, tx: Tx, session: str, number: int, why: str) -> Outcomes:
        """The prompt cannot be delivered: it stays queued, the queue is held, and an event says so."""
        current = prompts.active(tx, session)
        if current is not None and current.id == number and current.status in ON_ITS_WAY:
            yield from self.apply(tx, session, Happened(Event.GAVE_UP, reason=why))
            self._registry.error(tx, session, f"prompt not delivered: {why}")

    def apply(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """Do what the machine says about ``happened``; what came of it, as it happens."""
        current = prompts.active(tx, session)
        acts = step(current.status if current else None, happened.event)
        for act in acts:
            match act:
                case Act.BEGIN:
                    assert current is not None
                    current = self._begin(tx, current)
                    yield Began(current)
                case Act.PERSON:
                    yield self._person(tx, session, happened.text)
                case Act.REQUEUE:
                    assert current is not None
                    prompts.requeue(tx, current)
                case Act.DONE:
                    assert current is not None
                    yield self.end(tx, current, happened.response, None)
                    if self._registry.row(tx, session).held_until:  # a person got an answer: the limit is over
                        self._registry.set(tx, session, held="", held_until=None)
                case Act.FAILED:
                    assert current is not None
                    yield self.end(tx, current, None, happened.reason or REASONS[happened.event])
                case Act.HOLD:
                    self._hold(tx, session, happened)
                case Act.NEXT:
                    yield from self._next(tx, session, happened.handover)
                case Act.IDLE:
                    self._idle(tx, session, State.RUNNING)
                case Act.START:
                    self._idle(tx, session, State.STARTING)
                case Act.KEYS:
                    yield Press(recalled=Act.TIDY in acts)
                case Act.TIDY:
                    pass  # said with the keys
                case _:
                    assert_never(act)

    def end(self, tx: Tx, prompt: Prompt, response: str | None, error: str | None) -> Ended:
        """A prompt comes to its end: with its answer, or the reason that there is none."""
        prompts.end(tx, prompt, response, error)
        self._close(tx, prompt)
        topics = self._registry.topics
        topics.notify(tx, answer_to(prompt.id))
        topics.notify(tx, conversation_of(prompt.session))
        extra = {"error": error} if error else {}
        parent = self._registry.row(tx, prompt.session).parent or ""
        self._registry.stream.emit(tx, "response", prompt.session, concerns=(parent,), prompt_id=prompt.id, **extra)
        return Ended(prompt, response, error)

    def drop(self, tx: Tx, session: str, why: str) -> Outcomes:
        """The session goes for good: nothing in its queue can be answered. The senders of mail still queued are told elsewhere."""
        for one in prompts.waiting(tx, session):
            if one.status == Status.QUEUED and one.message:
                prompts.end(tx, one, None, why)
            else:
                yield self.end(tx, one, None, why)

    def forget(self, tx: Tx, session: str) -> None:
        """Remove prompts and turns of a session."""
        prompts.forget(tx, session)
        tx.run("DELETE FROM turns WHERE session = ?", session)

    # -- acts ----------------------------------------------------------------------------------------------------------

    def _begin(self, tx: Tx, prompt: Prompt) -> Prompt:
        row = tx.one("SELECT coalesce(max(number), 0) AS last FROM turns WHERE session = ?", prompt.session)
        turn = (row["last"] if row else 0) + 1
        tx.run(
            "INSERT INTO turns(session, number, status, opened) VALUES(?,?,?,?)",
            prompt.session, turn, TurnStatus.OPEN, tx.now.wall,
        )  # fmt: skip
        prompts.begin(tx, prompt, turn)
        self._registry.set(tx, prompt.session, error="")
        self._registry.topics.notify(tx, conversation_of(prompt.session))
        began = prompts.get(tx, prompt.id)
        assert began is not None
        return began

    def _close(self, tx: Tx, prompt: Prompt) -> None:
        tx.run(
            "UPDATE turns SET status = ?, ended = ? WHERE session = ? AND number = ?",
            TurnStatus.CLOSED, tx.now.wall, prompt.session, prompt.turn,
        )  # fmt: skip

    def _person(self, tx: Tx, session: str, text: str | None) -> Began:
        """What was submitted is no prompt on its way: the head of the queue, sent before and taken up now, or a person's own."""
        following = prompts.head(tx, session)
        if not (text and following is not None and following.pasted and same_text(text, following.text)):
            n = self._registry.number(tx, session)
            following = prompts.get(tx, prompts.add(tx, session, n, text or "", prompts.TYPED, None, Status.CHOSEN))
        assert following is not None
        self._registry.change(
            tx, session, State.IDLE
        )  # one turn is over and another began, even where no report told of the end
        self._registry.change(tx, session, State.RUNNING)
        return Began(self._begin(tx, following))

    def _hold(self, tx: Tx, session: str, happened: Happened) -> None:
        until = happened.until
        if happened.event == Event.GAVE_UP:  # a limit that is known to end ends all the same
            self._registry.set(tx, session, held=happened.reason)
        elif until or prompts.head(tx, session) is not None:
            why = f"{happened.reason}; goes on at {reset_time.words(until)}" if until else happened.reason
            self._registry.set(tx, session, held=why, held_until=until)

    def _next(self, tx: Tx, session: str, handover: bool) -> Outcomes:
        row = self._registry.row(tx, session)
        if row.state != State.RUNNING:
            return
        following = prompts.head(tx, session)
        can = handover and row.handed < HANDOVERS and not (row.held or row.paused) and row.wanted == Wanted.RUN
        if can and following is not None and following.message:
            self._registry.set(tx, session, handed=row.handed + 1)
            yield Began(self._begin(tx, following), handed=True)
        else:
            self._idle(tx, session, State.RUNNING)

    def _idle(self, tx: Tx, session: str, now: State) -> None:
        if self._registry.row(tx, session).state == now:
            self._registry.change(tx, session, State.IDLE)
            self.pump(tx, session)

    # -- by hand -------------------------------------------------------------------------------------------------------

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
        if state == State.RUNNING:
            yield from self.submitted(tx, session, None)
        else:
            yield from self.apply(tx, session, Happened(Event.STARTED if before == State.STARTING else Event.STOP))


REASONS = {
    Event.TOLD: "interrupted",
    Event.INTERRUPT: "interrupted",
    Event.OTHER: "interrupted: another prompt was submitted",
    Event.FAIL: "the agent failed",
}

_LOOSE = re.compile(r"\s+")  # agents change tabs, line ends and blanks, and compose characters (NFC)


def same_text(reported: str, ours: str) -> bool:
    """Whether the agent's report is of our prompt, ignoring whitespace (NFC): equal, containing it, or cut after 200 characters."""
    a, b = (unicodedata.normalize("NFC", _LOOSE.sub("", text)) for text in (reported, ours))
    return a == b or (len(b) > 0 and b in a) or (len(a) > 200 and a in b)
