"""Prompts: what is written to ``in`` is accepted here, what ``out`` gives is looked up here.

Threads: everything runs on the store's thread, in a job.
"""

from anvilsrv.desk import outcomes
from anvilsrv.desk.post import Post
from anvilsrv.errors import Conflict
from anvilsrv.sessions import prompts
from anvilsrv.sessions.registry import Registry
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
        row = self._registry.row(tx, session)
        if not row.live:
            raise Conflict(row.refusal())

    def accept(self, tx: Tx, session: str, text: str, origin: str) -> int:
        """A prompt is complete. Raises Conflict when no agent is there, Invalid for an empty one. Returns its number."""
        self.check(tx, session)
        return self._turns.queue(tx, session, prompts.clean(text), origin, None)

    def last(self, tx: Tx, session: str) -> int:
        """The prompt whose answer ``out`` gives; 0: there was none. Raises NotFound."""
        self._registry.row(tx, session)
        return prompts.last(tx, session)

    def response(self, tx: Tx, number: int) -> bytes | None:
        """The answer to a prompt; None while it may still come. Raises Conflict when it cannot."""
        prompt = prompts.get(tx, number)
        return prompts.response(prompt, self._registry.maybe(tx, prompt.session) if prompt else None)

    def conversation(self, tx: Tx, session: str, cursor: int) -> tuple[bytes, int]:
        """The next blocks of ``<id>/log``, and the cursor behind them. Raises NotFound."""
        self._registry.row(tx, session)
        return prompts.conversation_page(tx, session, cursor)

    def context(self, tx: Tx, session: str, text: str) -> None:
        """``context`` was written. Raises NotFound."""
        self._registry.row(tx, session)
        self._registry.set(tx, session, context=text.encode())

    def write_state(self, tx: Tx, session: str, word: str, reported: bool) -> None:
        """``state`` was written; ``reported``: hooks of this agent say when a turn ends. Raises Invalid and Conflict."""
        outcomes.settle(tx, session, self._post, self._turns.write_state(tx, session, word, reported))
