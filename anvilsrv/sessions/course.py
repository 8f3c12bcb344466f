"""The course of turns: what is heard about a turn, applied to its row and to the prompts in it. The tables are in ``turn_machine.py``.

Threads: everything runs on the store's thread, in a job.
"""

from dataclasses import dataclass

from anvilsrv.sessions import prompts, session_rows, tasks, turn_rows
from anvilsrv.sessions.happened import Began, Ended, Happened, Outcomes
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import AGENT, TYPED, Prompt, exact
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import State
from anvilsrv.sessions.turn_machine import Do, Heard, TurnStatus, When, step
from anvilsrv.sessions.turn_rows import Kept, Turn
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import answer_to, conversation_of

DOUBLE = 1.0  # s within which the same words submitted twice are one submit that was reported twice
REPLACED = "interrupted: another prompt was submitted"
TOO_LATE = "interrupted"  # it was submitted before an end that is known, and its own was not told
GONE = "the agent ended"


@dataclass(frozen=True)
class About:
    """One report: the turn that it is about, the prompt that was taken by it, and for a wake the turn that began the work."""

    heard: Heard
    happened: Happened
    turn: Turn | None
    prompt: Prompt | None
    woken: Turn | None = None  # the turn of the work that woke the agent


class Course:
    """The turns of all sessions."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def hear(
        self,
        tx: Tx,
        session: str,
        heard: Heard,
        happened: Happened,
        prompt: Prompt | None = None,
        follows: bool = False,
    ) -> Outcomes:
        """Do what the table says; ``prompt`` was taken by this. ``follows``: it is a turn of its own, called as the one before."""
        turn = None if follows else self._meant(tx, session, heard, happened)
        named = turn is not None and bool(happened.ident) and turn.ident == happened.ident
        if heard in (Heard.SUBMIT, Heard.WAKE) and named and prompt is not None:
            heard = Heard.JOINED  # the turn of that line is known
        woken = self._woken(tx, session, happened) if heard == Heard.WAKE else None
        about = About(heard, happened, turn, prompt, woken)
        facts = self._facts(tx, session, about)
        for do in step(turn.status if turn is not None else None, heard, facts):
            yield from self._do(tx, session, do, about)

    def left(self, tx: Tx, session: str, happened: Happened) -> None:
        """Record what still runs in the background: a turn that had said its answer before, and has nothing there any
        more, is closed.
        """
        if happened.pending is None:
            return
        for turn in turn_rows.pending(tx, session):
            if turn.ended_at < happened.at and (not happened.ident or turn.ident != happened.ident):
                now = tasks.left(turn.tasks, happened.pending)
                turn_rows.set_tasks(tx, turn, now)
                if not tasks.going(now):
                    turn_rows.finish(tx, turn, TurnStatus.CLOSED, turn.ended_at)

    def notice(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """Record that in one turn the agent was told that work which another began is done: what it says at the end
        answers both.
        """
        turn, during = self._woken(tx, session, happened), turn_rows.during(tx, session, happened.at)
        if self._is_old(tx, session, happened) or turn is None or during is None or turn.number == during.number:
            return
        turn_rows.set_tasks(tx, turn, tasks.over(turn.tasks, happened.task))
        now = turn_rows.numbered(tx, session, turn.number)
        if now is None or now.status == TurnStatus.OPEN:
            return
        if during.status == TurnStatus.OPEN:
            turn_rows.share(tx, now)
            return
        said = next((one.response for one in prompts.of_turn(tx, session, during.number) if one.response), None)
        if said is not None and during.ended_at > now.ended_at:
            words = Happened(during.ended_at, response=said.decode("utf-8", "surrogateescape"))
            yield from self._again(tx, now, words)

    def die(self, tx: Tx, session: str, happened: Happened) -> Outcomes:
        """End every turn: the process is gone."""
        for turn in turn_rows.unfinished(tx, session):
            for do in step(turn.status, Heard.DIED, frozenset()):
                yield from self._do(tx, session, do, About(Heard.DIED, happened, turn, None))
        turn_rows.unkeep(tx, session)

    def end(self, tx: Tx, prompt: Prompt, response: str | None, error: str | None) -> Ended:
        """End a prompt, with its answer or the reason that there is none."""
        prompts.end(tx, prompt, response, error)
        self._tell(tx, prompt, **({"error": error} if error else {}))
        return Ended(prompt, response, error)

    # -- which turn, and what is so -------------------------------------------------------------------------------------

    @staticmethod
    def _meant(tx: Tx, session: str, heard: Heard, happened: Happened) -> Turn | None:
        """Return the turn that a report is about: the one of that name, else the open one, else (but for a submit) the
        last.
        """
        if happened.ident and (found := turn_rows.named(tx, session, happened.ident)) is not None:
            return found
        found = turn_rows.opened(tx, session)
        if happened.ident and heard in (Heard.END, Heard.ACTIVE) and (found is None or found.ident):
            return None  # while one without a name is open, as an older version left it, that one is meant
        if found is not None or heard in (Heard.SUBMIT, Heard.WAKE):
            return found
        current = prompts.on_its_way(tx, session)
        if heard in (Heard.END, Heard.ACTIVE) and current is not None and current.status != Status.CHOSEN:
            return None  # perhaps its own, whose submit was not heard
        return turn_rows.last(tx, session)

    @staticmethod
    def _woken(tx: Tx, session: str, happened: Happened) -> Turn | None:
        """Return the turn that a wake is meant for: the one that began that work or, if the work has no name, the only
        one of which some still runs.
        """
        known = turn_rows.began(tx, session, happened.task) if happened.task else None
        waiting = turn_rows.pending(tx, session)
        alone = len(waiting) == 1 and tasks.may_mean(waiting[0].tasks, happened.task)
        return known or (waiting[0] if alone else None)

    def _facts(self, tx: Tx, session: str, about: About) -> frozenset[When]:
        heard, happened, turn, opened = about.heard, about.happened, about.turn, turn_rows.opened(tx, session)
        facts = {
            When.OLD: heard != Heard.END and self._is_old(tx, session, happened),
            When.BUSY: opened is not None and (turn is None or opened.number != turn.number),
            When.WORK: turn is not None and tasks.going(self._tasks(tx, turn, happened.pending)),
        }
        if heard == Heard.END and turn is not None:
            facts[When.OLDER] = happened.at < max(turn.opened_at, turn.active_at)
        if heard in (Heard.SUBMIT, Heard.WAKE):
            facts[When.AGAIN] = turn is not None and self._is_again(tx, turn, about)
            facts[When.OLDER] = opened is not None and happened.at < opened.opened_at
            facts[When.MEANT] = about.woken is not None
            facts[When.TOGETHER] = bool(happened.ident) and opened is not None and opened.active_at == opened.woken_at
        if turn is not None:
            facts[When.NEWER] = happened.at > turn.ended_at
        return frozenset(fact for fact, holds in facts.items() if holds)

    def _is_old(self, tx: Tx, session: str, happened: Happened) -> bool:
        """Return whether it comes from a process that is gone; or, where turns have no names, is older than the last
        reported interrupt.
        """
        row = session_rows.get(tx, session)
        if not row.pid or (row.began is not None and happened.at < row.began <= tx.now.monotonic):
            return True
        return not happened.ident and row.told is not None and happened.at < row.told <= tx.now.monotonic

    @staticmethod
    def _is_again(tx: Tx, turn: Turn, about: About) -> bool:
        """Return whether that turn was begun by this very submit, reported twice."""
        happened = about.happened
        if happened.ident or turn.ident or about.prompt is not None:
            return bool(happened.ident) and happened.ident == turn.ident
        first = prompts.of_turn(tx, turn.session, turn.number)[:1]
        same = bool(first) and happened.text in (None, first[0].words, first[0].text)
        return same and abs(happened.at - turn.opened_at) < DOUBLE

    # -- what is done ---------------------------------------------------------------------------------------------------

    def _do(self, tx: Tx, session: str, do: Do, about: About) -> Outcomes:
        happened, turn = about.happened, about.turn
        match do:
            case Do.OPEN | Do.OVER:
                yield from self._open(tx, session, about, over=do == Do.OVER)
            case Do.REPLACE:
                if (opened := turn_rows.opened(tx, session)) is not None:
                    yield from self._close(tx, opened, TurnStatus.CLOSED, happened.at, None, REPLACED)
                    if session_rows.get(tx, session).state == State.RUNNING:
                        self._registry.change(tx, session, State.IDLE)  # one is over and another begins
            case Do.SHARE:
                if (opened := turn_rows.opened(tx, session)) is not None:
                    turn_rows.share(tx, opened)
            case Do.REOPEN:
                yield from self._reopen(tx, about)
            case Do.NAME:
                assert about.woken is not None
                turn_rows.name(tx, about.woken, happened.ident)
                yield from self._late(tx, about.woken, happened)
            case Do.JOIN:
                assert turn is not None
                yield from self._join(tx, turn, about.prompt)
            case Do.CLOSE | Do.WAIT:
                assert turn is not None
                status = TurnStatus.CLOSED if do == Do.CLOSE else TurnStatus.PENDING
                turn_rows.set_tasks(tx, turn, self._tasks(tx, turn, happened.pending))
                died = about.heard == Heard.DIED
                yield from self._close(tx, turn, status, happened.at, happened.response, happened.reason, died)
            case Do.WORDS:
                assert turn is not None
                yield from self._again(tx, turn, happened)
            case Do.BEGUN:
                assert turn is not None
                turn_rows.set_tasks(tx, turn, self._tasks(tx, turn, happened.pending))
            case Do.NOTE:
                assert turn is not None
                turn_rows.note(tx, turn, happened.at)
            case Do.KEEP:
                kind = "active" if about.heard == Heard.ACTIVE else "fail" if happened.reason else "stop"
                text = happened.reason or happened.response
                turn_rows.keep(tx, session, happened.ident, Kept(kind, happened.at, text, happened.pending))

    def _open(self, tx: Tx, session: str, about: About, over: bool) -> Outcomes:
        """Open a turn. Its end may have been heard already; where it is ``over`` without one, its prompt has failed."""
        happened = about.happened
        turn = turn_rows.add(tx, session, happened.ident, happened.at, about.heard == Heard.WAKE)
        prompt = about.prompt or self._by_hand(tx, session, about)
        yield self._begin(tx, prompt, turn)
        end = self._kept_end(tx, turn, happened, over)
        if end is not None:
            yield from self._end_kept(tx, turn, end)
        elif over:
            why = TOO_LATE if session_rows.get(tx, session).pid else GONE
            yield from self._close(tx, turn, TurnStatus.CLOSED, happened.at, None, why)

    @staticmethod
    def _kept_end(tx: Tx, turn: Turn, happened: Happened, over: bool = False) -> Kept | None:
        """Return the last end of it that was heard before its submit, unless it went on after that (``over``: it
        cannot).
        """
        kept = turn_rows.kept(tx, turn.session, happened.ident, happened.at)
        end = max((one for one in kept if one.kind != "active"), key=lambda one: one.at, default=None)
        return end if end is not None and (over or not any(one.at > end.at for one in kept)) else None

    def _end_kept(self, tx: Tx, turn: Turn, end: Kept) -> Outcomes:
        fails, own = end.kind == "fail", self._tasks(tx, turn, end.pending)
        turn_rows.set_tasks(tx, turn, own)
        status = TurnStatus.PENDING if tasks.going(own) else TurnStatus.CLOSED
        yield from self._close(tx, turn, status, end.at, None if fails else end.text, end.text if fails else "")

    @staticmethod
    def _tasks(tx: Tx, turn: Turn, now: tasks.Tasks | None) -> tasks.Tasks:
        """Return the work that a turn has begun, as its end reports; where that does not, as it was."""
        return turn.tasks if now is None else tasks.of_turn(turn.tasks, now, turn_rows.others(tx, turn.session, turn))

    def _reopen(self, tx: Tx, about: About) -> Outcomes:
        """Reopen the turn; a wake is for the one that began the work, and its end may have been heard already."""
        happened, turn = about.happened, about.woken or about.turn
        assert turn is not None
        if about.woken is not None:
            turn_rows.set_tasks(tx, turn, tasks.over(turn.tasks, happened.task))
        turn_rows.reopen(tx, turn, happened.ident, happened.at, about.woken is not None)
        now = turn_rows.opened(tx, turn.session)
        if about.woken is not None and now is not None and (end := self._kept_end(tx, now, happened)) is not None:
            yield from self._end_kept(tx, now, end)

    def _late(self, tx: Tx, turn: Turn, happened: Happened) -> Outcomes:
        """Handle the end of a turn that was woken while another runs since: what it said is known, or will be heard."""
        end = self._kept_end(tx, turn, happened, over=True)
        if end is not None and end.kind == "stop" and end.at > turn.ended_at:
            yield from self._again(tx, turn, Happened(end.at, happened.ident, response=end.text, pending=end.pending))

    def _by_hand(self, tx: Tx, session: str, about: About) -> Prompt:
        """Add the prompt that a person typed, or the agent gave itself."""
        origin = AGENT if about.heard == Heard.WAKE else TYPED
        n = session_rows.number(tx, session)
        return prompts.there(tx, prompts.add(tx, session, n, about.happened.text or "", origin, None, Status.TAKEN))

    def _begin(self, tx: Tx, prompt: Prompt, turn: Turn) -> Began:
        prompts.begin(tx, prompt, turn.number)
        session_rows.put(tx, prompt.session, error="")
        self._registry.topics.notify(tx, conversation_of(prompt.session))
        begun = prompts.there(tx, prompt.id)
        first = prompts.first_number(tx, turn.session, turn.number)
        self._registry.activity.record(
            tx, turn.session, first, "prompt", id=str(begun.n), text=begun.text, origin=begun.whence
        )
        return Began(begun)

    def _join(self, tx: Tx, turn: Turn, prompt: Prompt | None) -> Outcomes:
        """Make the prompt part of that turn; if its answer was said, that is the prompt's answer."""
        if prompt is None:
            return
        beside = [one for one in prompts.of_turn(tx, turn.session, turn.number) if one.status != Status.TAKEN]
        yield self._begin(tx, prompt, turn)
        now = turn_rows.opened(tx, turn.session)
        if now is None or now.number != turn.number:
            first = beside[0] if beside else None
            said = (first.response or b"").decode("utf-8", "surrogateescape") if first is not None else ""
            failed = first.error if first is not None else TOO_LATE
            yield self.end(tx, prompts.there(tx, prompt.id), None if failed else said, failed)

    def _close(
        self, tx: Tx, turn: Turn, status: TurnStatus, at: float, response: str | None, reason: str, died: bool = False
    ) -> Outcomes:
        """Close the turn: with its answer, or the ``reason`` why there is none."""
        turn_rows.finish(tx, turn, status, at)
        self._registry.activity.end(
            tx, turn.session, prompts.first_number(tx, turn.session, turn.number), None if reason else response,
            how="interrupted" if died else how_ended(reason), reason=reason, seconds=round(max(0.0, at - turn.opened_at), 1),
            background=int(status == TurnStatus.PENDING),
        )  # fmt: skip
        for prompt in prompts.of_turn(tx, turn.session, turn.number):
            if prompt.status == Status.TAKEN:
                yield self.end(tx, prompt, None if reason else response, reason or None)
            elif not reason and response:
                yield from self._correct(tx, prompt, response)
        if turn.status == TurnStatus.OPEN and turn_rows.opened(tx, turn.session) is None:
            for other in turn_rows.sharing(tx, turn.session):
                left = TurnStatus.PENDING if tasks.going(other.tasks) else TurnStatus.CLOSED
                yield from self._close(tx, other, left, max(other.active_at, other.ended_at), response, reason, died)

    def _again(self, tx: Tx, turn: Turn, happened: Happened) -> Outcomes:
        """Replace the answer of a turn that spoke after its end."""
        if not happened.reason and happened.response:
            now = self._tasks(tx, turn, happened.pending)
            turn_rows.set_tasks(tx, turn, now)
            status = TurnStatus.PENDING if tasks.going(now) else TurnStatus.CLOSED
            turn_rows.finish(tx, turn, status, happened.at)
            for prompt in prompts.of_turn(tx, turn.session, turn.number):
                yield from self._correct(tx, prompt, happened.response)

    def _correct(self, tx: Tx, prompt: Prompt, response: str) -> Outcomes:
        if prompt.status == Status.DONE and exact(response) != (prompt.response or b""):
            prompts.correct(tx, prompt, response)
            self._tell(tx, prompt, again=True)
            yield Ended(prompt, response, None, again=True)

    def _tell(self, tx: Tx, prompt: Prompt, **extra: object) -> None:
        topics = self._registry.topics
        topics.notify(tx, answer_to(prompt.id))
        topics.notify(tx, conversation_of(prompt.session))
        parent = session_rows.get(tx, prompt.session).parent or ""
        self._registry.stream.emit(tx, "response", prompt.session, concerns=(parent,), prompt_id=prompt.id, **extra)


def how_ended(reason: str) -> str:
    """Return ``answer``, or what its ``reason`` amounts to."""
    if not reason:
        return "answer"
    return "interrupted" if reason.startswith("interrupted") or reason == GONE else "error"
