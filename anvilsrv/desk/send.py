"""Prompts: what is written to ``in`` is accepted here, what ``out`` and ``turns/`` give is looked up here.

Threads: everything runs on the store's thread, in a job.
"""

from anvilsrv.desk import outcomes
from anvilsrv.desk.post import Post
from anvilsrv.errors import NotFound, NotPermitted
from anvilsrv.mail import box
from anvilsrv.sessions import changes, conversation, prompts, session_rows
from anvilsrv.sessions.happened import NOTHING, Seen
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import Prompt, clean
from anvilsrv.sessions.prompt import response as response_of
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.steps import Growing
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Tx


class Send:
    """Prompts of all sessions."""

    def __init__(self, registry: Registry, turns: Turns, post: Post) -> None:
        self._registry = registry
        self._turns = turns
        self._post = post

    def check(self, tx: Tx, session: str) -> None:
        """Refuse a prompt that cannot be taken, on its first write. Raises Conflict when no agent is there."""
        row = session_rows.get(tx, session)
        if not row.live:
            raise NotPermitted(row.refusal())

    def number(self, tx: Tx, session: str) -> int:
        """Return the number for a prompt that is about to be written. Raises NotFound."""
        return session_rows.number(tx, session)

    def accept(self, tx: Tx, session: str, text: str, origin: str, n: int | None = None, exact: bool = False) -> int:
        """Queue a complete prompt; ``n``: the number it was given; ``exact``: it is not typed, so no character of it
        can do harm. It was admitted with its first write, so it is queued whatever the session is by now. Raises
        NotFound, Conflict if too much of its origin waits, and Invalid for an empty one. Returns its number.
        """
        self._post.admit(tx, origin, len(text.encode("utf-8", "replace")))
        made = self._turns.queue.add(tx, session, text if exact else clean(text), origin, None, n)
        if (
            self.numbered(tx, session, made).status == Status.QUEUED
        ):  # one that is given to the agent is told by its state
            self._registry.tell(tx, session)
        return made

    def last(self, tx: Tx, session: str) -> int:
        """Return the prompt whose answer ``out`` gives; 0: there was none. Raises NotFound."""
        session_rows.get(tx, session)
        return prompts.last(tx, session)

    def response(self, tx: Tx, number: int) -> bytes | None:
        """Return the answer to a prompt; None while it may still come. Raises Conflict if it cannot."""
        prompt = prompts.get(tx, number)
        return response_of(prompt, session_rows.maybe(tx, prompt.session) if prompt else None)

    def numbered(self, tx: Tx, session: str, n: int) -> Prompt:
        """Return the prompt with that number. Raises NotFound."""
        found = prompts.numbered(tx, session, n)
        if found is None:
            raise NotFound(f"no such prompt {n} in session '{session}'")
        return found

    def turn_of(self, tx: Tx, session: str, n: int) -> int:
        """Return the number of the prompt that began the turn of that one; its own while it has none. Raises NotFound."""
        found = self.numbered(tx, session, n)
        return n if found.turn is None else prompts.first_number(tx, session, found.turn)

    def listing(self, tx: Tx, session: str) -> bytes:
        """Return the content of ``turns/list``. Raises NotFound."""
        session_rows.get(tx, session)
        counts = changes.counts(tx, session)
        return b"".join(
            conversation.line(one, counts.get(one.turn) if one.turn else None) for one in prompts.every(tx, session)
        )

    def check_edit(self, tx: Tx, session: str, n: int) -> Prompt:
        """Refuse to edit what may have left the queue, or is mail. Raises NotFound and Conflict."""
        found = self.waiting(tx, session, n)
        if found.message:
            raise NotPermitted(f"prompt {n} is mail: its text cannot be edited")
        return found

    def edit(self, tx: Tx, session: str, n: int, text: str, exact: bool = False) -> None:
        """Replace the text of a queued prompt. Raises as ``check_edit``, and Invalid for an empty one."""
        edited = self._turns.by_hand.edit(tx, self.check_edit(tx, session, n), text if exact else clean(text))
        outcomes.settle(tx, session, self._post, edited)
        self._registry.tell(tx, session)

    def queued(self, tx: Tx, session: str, n: int) -> Prompt:
        """Return the prompt with that number while it is queued. Raises NotFound and Conflict."""
        found = self.numbered(tx, session, n)
        if found.status != Status.QUEUED:
            raise NotPermitted(f"prompt {n} is {conversation.SHOWN[found.status]}, no longer queued")
        return found

    def waiting(self, tx: Tx, session: str, n: int) -> Prompt:
        """Return the prompt with that number while certainly nothing of it has left the daemon. Raises NotFound and
        Conflict.
        """
        found = self.numbered(tx, session, n)
        if found.status not in (Status.QUEUED, Status.CHOSEN):
            raise NotPermitted(f"prompt {n} is {conversation.SHOWN[found.status]}, no longer queued")
        return found

    def tried(self, tx: Tx, session: str, n: int) -> Prompt | None:
        """Return the prompt with that number if it was typed before: whether it can be withdrawn must be looked at."""
        found = self.waiting(tx, session, n)
        return found if found.pasted_at is not None else None

    def drop(self, tx: Tx, session: str, n: int, tried: Prompt | None = None, seen: Seen = NOTHING) -> None:
        """Remove a prompt from the queue (``drop``); a mail is archived, too. ``seen`` was found out about it as it was
        ``tried``.

        Raises NotFound and Conflict.
        """
        found = self.waiting(tx, session, n)
        dropped = self._turns.by_hand.withdraw(tx, found, seen if tried == found else NOTHING)
        outcomes.settle(tx, session, self._post, dropped)
        if found.message and box.waits(tx, session, found.message):
            self._post.complete(tx, session, found.message)
        self._registry.tell(tx, session)

    def first(self, tx: Tx, session: str, n: int) -> None:
        """Move a prompt to the head of the queue (``first``). Raises NotFound and Conflict."""
        prompts.first(tx, self.queued(tx, session, n))
        self._registry.tell(tx, session)

    def conversation(self, tx: Tx, session: str, cursor: object) -> tuple[bytes, object]:
        """Return the next blocks of ``<id>/log`` and the cursor after them. Raises NotFound."""
        session_rows.get(tx, session)
        activity = self._registry.activity
        return conversation.conversation_page(
            tx, session, cursor, lambda turn: [Growing(*one) for one in activity.growing(session, turn)]
        )

    def context(self, tx: Tx, session: str, text: str) -> None:
        """Handle a write to ``context``. Raises NotFound."""
        session_rows.get(tx, session)
        session_rows.put(tx, session, context=text.encode())
        self._registry.stream.emit(tx, "session_update", session)

    def write_state(self, tx: Tx, session: str, word: str, reported: bool) -> None:
        """Handle a write to ``state``; ``reported``: hooks of this agent say when a turn ends. Raises Invalid and
        Conflict.
        """
        outcomes.settle(tx, session, self._post, self._turns.by_hand.write_state(tx, session, word, reported))
