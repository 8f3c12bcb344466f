"""The queue of a session and its gate: what is queued, what holds it, and which prompt is chosen next.

Threads: everything runs on the store's thread, in a job.
"""

from anvilsrv.sessions import prompts, session_rows, turn_rows
from anvilsrv.sessions.gate import OPENED_BY_GO, By
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import Session, State, Wanted
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import answer_to

HANDOVERS = 4  # turns in a row that may be begun through the stop hook; then it is typed


class Queue:
    """The queues of all sessions."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(self, tx: Tx, session: str, text: str, origin: str, message: str | None, n: int | None = None) -> int:
        """Queue a prompt whatever the state; ``message`` is the mail it delivers, ``n`` the number it has already, if it has one.

        Returns its number. Raises Invalid if it is empty.
        """
        n = n or session_rows.number(tx, session)
        prompts.add(tx, session, n, text, origin, message)
        self.open(tx, session, By.FAILED)
        return n

    def hold(self, tx: Tx, session: str, by: By, why: str, until: float | None = None) -> None:
        """Choose nothing more while ``by`` holds the queue. Announced if that is new."""
        before = session_rows.get(tx, session).gate
        after = before.held(by, why, until)
        if after != before:
            session_rows.put(tx, session, gate=after.kept())
            self._registry.tell(tx, session)

    def open(self, tx: Tx, session: str, *those: By) -> None:
        """Remove these holders; the queue goes on if none is left. No-op if the session is gone."""
        row = session_rows.maybe(tx, session)
        if row is None:
            return
        after = row.gate.without(*those)
        if after != row.gate:
            session_rows.put(tx, session, gate=after.kept())
            self._registry.tell(tx, session)
        self.pump(tx, session)

    def go(self, tx: Tx, session: str) -> None:
        """Let the queue go on, for the user."""
        self.open(tx, session, *OPENED_BY_GO)

    def busy(self, tx: Tx, session: str) -> bool:
        """Return whether a turn is open or a prompt on its way."""
        return turn_rows.opened(tx, session) is not None or prompts.on_its_way(tx, session) is not None

    def pump(self, tx: Tx, session: str) -> None:
        """Choose the next prompt if the session is idle and its queue is not held."""
        row = session_rows.get(tx, session)
        if row.state == State.IDLE and self._may(row) and not self.busy(tx, session):
            following = prompts.head(tx, session)
            if following is not None:
                prompts.choose(tx, following)
                session_rows.put(tx, session, handed=0)
                self._registry.change(tx, session, State.RUNNING)

    @staticmethod
    def _may(row: Session) -> bool:
        return row.gate.open and row.wanted == Wanted.RUN and bool(row.pid)

    def next_mail(self, tx: Tx, session: str) -> Prompt | None:
        """Return the mail that may be given in the reply to the hook that reported the end of a turn."""
        row, following = session_rows.get(tx, session), prompts.head(tx, session)
        if following is None or not following.message or following.pasted_at is not None:
            return None
        can = row.state == State.RUNNING and row.handed < HANDOVERS and self._may(row) and not self.busy(tx, session)
        return following if can else None

    def hand(self, tx: Tx, prompt: Prompt, link: str) -> Prompt:
        """Give that mail in the reply ``link``. Returns the prompt."""
        row = session_rows.get(tx, prompt.session)
        session_rows.put(tx, prompt.session, handed=row.handed + 1)
        prompts.hand(tx, prompt, link)
        return prompts.there(tx, prompt.id)

    def settle(self, tx: Tx, session: str) -> None:
        """Make the state what the rows say, and go on with the queue: idle is who has neither an open turn nor anything on its way."""
        row, busy = session_rows.get(tx, session), self.busy(tx, session)
        if row.state == State.STARTING and turn_rows.opened(tx, session) is not None and row.pid:
            self.ready(tx, session)  # a turn runs before anybody said so
            self._registry.change(tx, session, State.RUNNING)
        elif row.state == State.IDLE and busy:
            self._registry.change(tx, session, State.RUNNING)
        elif row.state == State.RUNNING and not busy:
            self._registry.change(tx, session, State.IDLE)
        self.pump(tx, session)

    def ready(self, tx: Tx, session: str) -> None:
        """Make the session idle, since the agent has started; what it showed before that holds nothing any more."""
        row = session_rows.get(tx, session)
        session_rows.put(tx, session, gate=row.gate.without(By.START, By.SETUP).kept())
        self._registry.change(tx, session, State.IDLE)

    def withdrawn(self, tx: Tx, prompt: Prompt) -> None:
        """Withdraw a prompt that is out of the queue."""
        prompts.withdraw(tx, prompt)
        self._registry.topics.notify(tx, answer_to(prompt.id))

    @staticmethod
    def is_queued(prompt: Prompt) -> bool:
        """Return whether it waits for its turn to be typed."""
        return prompt.status == Status.QUEUED
