"""The life of a session: made, started, stopped, restarted, interrupted, killed, and what its process did.

These are rows only: that a process is to run, to end or to go is read from them by its follower (agents/processes.py).

Threads: methods with a Tx run in a job; ``about``, ``broken``, ``error`` and ``guard`` may be used from any thread.
"""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from anvilsrv.backends.registry import Backends
from anvilsrv.desk import outcomes
from anvilsrv.desk.answer import Questions
from anvilsrv.desk.post import Post
from anvilsrv.display import standing
from anvilsrv.errors import AnvilError, Invalid, NotFound, NotPermitted
from anvilsrv.mail import box
from anvilsrv.sessions import changes, comments, drafts, offers, remarks, session_rows, turn_rows, worktrees
from anvilsrv.sessions.gate import RESTART_KEEPS, By
from anvilsrv.sessions.happened import NOTHING, Happened, Seen
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import Session, State, Wanted
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Full, Need, Store, Tx
from anvilsrv.store.topics import conversation_of

log = logging.getLogger("anvilsrv")

CRASHES = 5  # in a row after which an agent is started again; then `error`
STABLE = 60.0  # s of life after which a crash of an agent that was ready counts as the first again
REFUSED = 126  # exit status of the sandbox launcher when it does not start the agent (anvil-sandbox(1))
NOT_FOUND = 127  # of a program that is not there, the launcher's as well as a shell's
LACKS = "; 'anvilsrv doctor' runs it as a session does, and names what is not granted"


class Life:
    """The lives of all sessions."""

    def __init__(
        self, store: Store, registry: Registry, turns: Turns, post: Post, questions: Questions, backends: Backends
    ) -> None:
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._questions = questions
        self._backends = backends

    # -- what went wrong ----------------------------------------------------------------------------------------------

    def about(self, session: str, job: Callable[[Tx], object], by: str = "") -> None:
        """Post a job about what happened to a session, in the turn of ``by``, whose doing it is, or as the daemon's own. Whatever it
        raises leaves the session in ``error`` with a sentence."""

        def done(_: object, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, NotFound | Full):
                self.broken(session, error)

        self._store.post(job, done, Need.HAPPENED, by=by)

    @contextmanager
    def guard(self, session: str) -> Iterator[None]:
        """Put the session in ``error`` if anything but an AnvilError is raised inside, and raise it as an AnvilError."""
        try:
            yield
        except AnvilError:
            raise
        except Exception as error:
            self.broken(session, error)
            raise AnvilError(f"session '{session}': {sentence(error)}") from error

    def broken(self, session: str, error: BaseException) -> None:
        """Put the session into ``error``: it can do nothing until it is restarted."""
        log.error("session %s", session, exc_info=error)
        why = sentence(error)

        def done(_: object, again: BaseException | None) -> None:
            if again is not None and not isinstance(again, AnvilError):
                self._store.post(lambda tx: self._stuck(tx, session, why), need=Need.HAPPENED)

        self._store.post(
            lambda tx: self.failed(tx, session, why) if session_rows.there(tx, session) else None, done, Need.HAPPENED
        )

    def _stuck(self, tx: Tx, session: str, why: str) -> None:
        """Put the session in ``error`` without touching mail and questions, since these may be what goes wrong."""
        if session_rows.there(tx, session):
            for _ in self._turns.reported.died(tx, session, Happened(tx.now.monotonic, reason=why)):
                pass
            self._error(tx, session, why)

    def error(self, session: str | None, why: str, told: Callable[[], None] = lambda: None, by: str = "") -> None:
        """Report, as an ``error`` event, a failure after the write was acknowledged; ``told`` is called when it was."""
        self._store.post(
            lambda tx: self._registry.error(tx, session, why), lambda *outcome: told(), Need.HAPPENED, by=by
        )

    # -- what is asked of it ---------------------------------------------------------------------------------------------

    def create(self, tx: Tx, *, gaps: list[str], **fields: Any) -> str:
        """Create a session (see ``Registry.create``); ``gaps`` of its sandbox are reported as an error. Returns its id."""
        made = self._registry.create(tx, **fields)
        if gaps:
            self._registry.error(tx, made, f"sandbox: {'; '.join(gaps)}")
        return made

    def to_set_up(self, tx: Tx, session: str) -> None:
        """Hold the queue until the first start has set up the session's work tree."""
        self._turns.queue.hold(tx, session, By.SETUP, "its work tree is being set up")

    def stop(self, tx: Tx, session: str) -> None:
        """Stop the agent (``stop``); the session stays. Raises NotFound."""
        row = session_rows.get(tx, session)
        if not row.live:
            if row.state == State.ERROR:
                self._registry.change(tx, session, State.STOPPED)
        else:
            session_rows.put(tx, session, wanted=Wanted.STOP)
            if not row.pid:
                self._lost(tx, session, "the agent does not run")
                self._registry.change(tx, session, State.STOPPED)

    def over(self, tx: Tx, session: str, ran: float) -> None:
        """Stop the agent when the time limit of its run is reached, with that as its error, if that run is still the
        one that began then.
        """
        row = session_rows.maybe(tx, session)
        if row is None or not row.live or row.ran != ran:
            return
        session_rows.put(tx, session, wanted=Wanted.OVER)
        if not row.pid:
            self._lost(tx, session, "the agent does not run")
            self._ended_over(tx, row)

    def _ended_over(self, tx: Tx, row: Session) -> None:
        why = f"time limit of {row.limit('time')} reached"
        session_rows.put(tx, row.id, wanted=Wanted.STOP)
        self._registry.change(tx, row.id, State.STOPPED, why)
        self._registry.error(tx, row.id, why)

    def restart(self, tx: Tx, session: str, how: Wanted = Wanted.RESTART) -> None:
        """End the agent if it runs (``restart``), and start it with its conversation, or with a new one (FRESH, LOG).

        Raises NotFound, and NotPermitted for the log of what has no conversation.
        """
        row = session_rows.get(tx, session)
        backend = self._backends.last(row.backend)
        if how == Wanted.LOG and backend is not None and backend.conversation == "none":
            raise NotPermitted(f"backend '{row.backend}' cannot begin with a log: write restart or restart fresh")
        session_rows.put(tx, session, crashes=0, ran=None, gate=row.gate.only(*RESTART_KEEPS).kept())
        if row.pid and row.live:
            session_rows.put(tx, session, wanted=how)
        else:
            self._lost(tx, session, "the agent does not run")
            self._again(tx, session, how)

    def kill(self, tx: Tx, session: str) -> None:
        """End the agent and the session for good (``kill``), and with it those that work in its sandbox. Raises
        NotFound.
        """
        session_rows.get(tx, session)
        for one in session_rows.beside(tx, session):
            self.kill(tx, one)
        self._questions.drop(tx, session)
        self._post.notify_senders(tx, session)
        outcomes.settle(
            tx, session, self._post, self._turns.by_hand.drop(tx, session, f"session '{session}' was killed")
        )
        self._turns.by_hand.forget(tx, session)
        drafts.forget(tx, session)
        self._registry.activity.forget(tx, session)
        changes.forget(tx, session)
        comments.forget(tx, session)
        offers.forget(tx, session)
        worktrees.forget(tx, session)
        box.forget(tx, session)
        self._registry.remove(tx, session)

    def interrupt(self, tx: Tx, session: str) -> None:
        """Break off the turn (``interrupt``). Raises Conflict if there is none, Invalid for an agent that has no keys
        for it.
        """
        row = session_rows.get(tx, session)
        if not self._turns.queue.busy(tx, session):
            raise NotPermitted(f"session '{session}' {standing(row.state)}")
        backend = self._backends.last(row.backend)
        if backend is None or not backend.interrupt:
            raise Invalid(f"backend '{row.backend}' has no keys to interrupt a turn")
        self._questions.interrupt(tx, session)
        outcomes.settle(tx, session, self._post, self._turns.by_hand.interrupt(tx, session))

    def hold(self, tx: Tx, session: str) -> None:
        """Hold the queue (``hold``): the agent gets no more of it. Raises NotFound."""
        session_rows.get(tx, session)
        outcomes.settle(tx, session, self._post, self._turns.by_hand.hold(tx, session))

    def go(self, tx: Tx, session: str) -> None:
        """Let the queue go on (``go``), whatever held it. Raises NotFound."""
        session_rows.get(tx, session)
        self._turns.queue.go(tx, session)

    def complete(self, tx: Tx, session: str, number: str) -> None:
        """Archive a waiting message (``complete``). Raises NotFound."""
        self._post.complete(tx, session, number)

    def release(self, tx: Tx, session: str, until: float) -> None:
        """Release the queue after a limit, if it still waits for that time."""
        row = session_rows.maybe(tx, session)
        if row is not None and row.gate.until == until:
            self._turns.queue.open(tx, session, By.LIMIT)

    def free(self, tx: Tx, session: str) -> None:
        """Open the queue again: what was in the way of the next prompt has gone."""
        self._turns.queue.open(tx, session, By.OBSTACLE)

    def in_the_way(self, tx: Tx, session: str, words: str) -> None:
        """Record what is in the way of the next prompt, if something still is."""
        row = session_rows.maybe(tx, session)
        if row is not None and By.OBSTACLE in row.gate.holders:
            self._turns.queue.hold(tx, session, By.OBSTACLE, words)

    def shows(self, tx: Tx, session: str, pid: int, words: str) -> None:
        """Note what keeps that process from being ready, as its screen shows it."""
        row = session_rows.maybe(tx, session)
        if row is not None and row.state == State.STARTING and row.pid == pid:
            self._turns.queue.hold(tx, session, By.START, words)

    # -- what its process did --------------------------------------------------------------------------------------------

    def _again(self, tx: Tx, session: str, how: Wanted) -> None:
        session_rows.put(tx, session, wanted=Wanted.RUN, pid=0)
        if how != Wanted.RESTART:  # the files of the old one stay where they are
            last = self._turn(tx, session)
            carried = last if how == Wanted.LOG else 0
            session_rows.put(tx, session, conversation=None, transcript=None, since=last, carried=carried, forked=None)
        self._registry.change(tx, session, State.STARTING)

    @staticmethod
    def _turn(tx: Tx, session: str) -> int:
        """Return the number of its last turn; 0: there was none."""
        last = turn_rows.last(tx, session)
        return last.number if last is not None else 0

    def _lost(self, tx: Tx, session: str, why: str, status: int | None = None, seen: Seen = NOTHING) -> None:
        """Handle the absence of a process: what was on its way is queued again if that can certainly do no harm, what
        ran is lost.
        """
        died = Happened(tx.now.monotonic, reason=why, status=status)
        outcomes.settle(tx, session, self._post, self._turns.reported.died(tx, session, died, seen))

    def _error(self, tx: Tx, session: str, why: str) -> None:
        if session_rows.get(tx, session).state != State.STOPPED:
            self._registry.change(tx, session, State.ERROR, why)
        self._registry.error(tx, session, why)

    def conversation(self, tx: Tx, session: str, conversation: str) -> None:
        """Set the number under which the agent will keep its conversation."""
        session_rows.put(tx, session, conversation=conversation, since=self._turn(tx, session))

    def lost(self, tx: Tx, session: str, conversation: str) -> None:
        """Note that the file of its conversation is gone: the new one, under that number, gets the log before its first
        prompt.
        """
        gone = session_rows.get(tx, session).transcript
        self.conversation(tx, session, conversation)
        session_rows.put(tx, session, carried=self._turn(tx, session))
        self._registry.error(
            tx, session, f"the conversation is gone, with its file '{gone}': a new one begins, with the log"
        )

    def shortened(self, tx: Tx, session: str) -> None:
        """Note that something is missing in the file of its conversation, with which the agent continues as if it were
        complete.
        """
        file = session_rows.get(tx, session).transcript
        short = f"the file of its conversation is shorter than it was: '{file}', which is kept"
        told = f"{short}; the agent continues with what is left of it"
        self._registry.error(tx, session, f"{told}; 'restart log' begins a new one with the log")
        remarks.add(tx, session, f"{told}\n")
        self._registry.topics.notify(tx, conversation_of(session))

    def launched(
        self,
        tx: Tx,
        session: str,
        pane: str,
        pid: int,
        tier: str | None,
        policy: str | None,
        began: float | None = None,
    ) -> None:
        """Note that it runs, in that pane, and was started not before ``began`` (monotonic, s). ``tier`` None: it was
        found running.

        Raises NotFound if it was killed meanwhile.
        """
        row = session_rows.get(tx, session)
        session_rows.put(tx, session, pane=pane, pid=pid, started=tx.now.wall, began=began, told=None)
        if row.ran is None or row.ran > tx.now.monotonic:  # of before a reboot
            session_rows.put(tx, session, ran=tx.now.monotonic)
        if tier is not None and policy is not None:
            session_rows.put(tx, session, tier=tier, policy=policy)
        self._turns.queue.settle(tx, session)

    def adopted(self, tx: Tx, session: str) -> None:
        """Adopt an agent that outlived a daemon: go on with its queue."""
        outcomes.settle(tx, session, self._post, self._turns.delivered.adopted(tx, session))

    def unsaid(self, tx: Tx, session: str, before: float) -> None:
        """Put in doubt a prompt that a hook program was to give to the agent and has not reported: no hook program of
        ``before`` that time (monotonic, s) still lives.
        """
        if session_rows.there(tx, session):
            outcomes.settle(tx, session, self._post, self._turns.delivered.kept(tx, session, before=before))

    def failed(self, tx: Tx, session: str, why: str) -> None:
        """Put the session in ``error``, since it cannot run; what was on its way is queued again, what ran is lost."""
        self._questions.drop(tx, session)
        self._lost(tx, session, why)
        self._error(tx, session, why)

    def died(
        self, tx: Tx, session: str, pid: int, status: int | None, words: str, seen: Seen = NOTHING, written: bool = True
    ) -> None:
        """Handle the end of the process: ``status`` as a shell gives it (128 + signal), None if unknown; ``words``: its
        last output; ``seen``: what was found out about the prompt on its way; ``written``: the agent has its
        conversation in a file.
        """
        row = session_rows.maybe(tx, session)
        if row is None or row.pid != pid:
            return
        why = f"agent ended: {describe(status)}"
        session_rows.put(tx, session, pid=0, told=tx.now.monotonic)
        self._questions.drop(tx, session)
        self._lost(tx, session, why, status, seen)
        if not row.live:
            session_rows.put(tx, session, wanted=Wanted.STOP)
        elif row.wanted in (Wanted.RESTART, Wanted.FRESH, Wanted.LOG):
            self._again(tx, session, row.wanted)
        elif row.wanted == Wanted.OVER:
            self._ended_over(tx, row)
        elif row.wanted == Wanted.STOP or status == 0:
            session_rows.put(tx, session, wanted=Wanted.STOP)
            self._registry.change(tx, session, State.STOPPED)
        elif status == REFUSED:
            self.failed(tx, session, words or "the sandbox refused to start the agent")
        elif self._cannot_resume(tx, row, status):
            self._resumed(tx, row, words or describe(status), written)
        else:
            lacks = LACKS if status == NOT_FOUND else ""
            self._crashed(tx, row, why + (f": {words}" if words else "") + lacks)

    def _cannot_resume(self, tx: Tx, row: Session, status: int | None) -> bool:
        """Return whether it is its old conversation with which it does not start: that was tried before, and it ends on
        its own.
        """
        used = row.conversation is not None and self._turn(tx, row.id) > row.since
        return used and row.state == State.STARTING and row.crashes > 0 and status is not None and status < REFUSED

    def _resumed(self, tx: Tx, row: Session, words: str, written: bool) -> None:
        """Handle an agent that does not start with its conversation, which is lost only if it was never ``written``."""
        if written:
            kept = f"; its file '{row.transcript}' is kept" if row.transcript else ""
            ways = "'restart log' begins a new one with the log of this one, 'restart fresh' an empty one"
            self.failed(tx, row.id, f"the agent cannot resume its conversation: {words}{kept}; {ways}")
            return
        self._again(tx, row.id, Wanted.LOG)
        file = f" in its file '{row.transcript}', which is kept" if row.transcript else ""
        told = (
            f"the agent cannot resume its conversation: nothing is written down{file}: a new one begins, with the log"
        )
        self._registry.error(tx, row.id, f"{told} ({words})")

    def _crashed(self, tx: Tx, row: Session, why: str) -> None:
        lived = tx.now.monotonic - row.began if row.began is not None else -1.0  # it began before a reboot
        short = (
            lived <= STABLE or row.state == State.STARTING
        )  # one that never was ready did not run well, for however long
        crashes = row.crashes + 1 if lived >= 0 and short else 1
        session_rows.put(tx, row.id, crashes=crashes)
        if crashes > CRASHES:
            self.failed(tx, row.id, f"crashed {crashes} times in a row; {why}")
            return
        self._registry.change(tx, row.id, State.STARTING)
        self._registry.error(tx, row.id, why)


def sentence(error: BaseException) -> str:
    """Return an error as a sentence for the user; one that is not ours names its kind."""
    return str(error) if isinstance(error, AnvilError) else f"internal error: {type(error).__name__}: {error}"


def describe(status: int | None) -> str:
    """Return the status in words: ``status 1``, ``killed by SIGKILL``."""
    if status is None:
        return "exit status unknown"
    if status > 128:
        try:
            return f"killed by {signal.Signals(status - 128).name}"
        except ValueError:
            return f"status {status}"
    return f"status {status}"
