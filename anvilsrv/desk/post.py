"""The post: brings messages to inboxes and queues, and answers requests when their turn ends.

A message waits in its recipient's inbox; for a session it is also queued as a prompt, and moves to the archive when the agent takes
that prompt, or when it is withdrawn with ``complete``.

Threads: everything runs on the store's thread, in a job.
"""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from anvilsrv.allowance import BOUNDS
from anvilsrv.errors import Conflict, Invalid, NotFound
from anvilsrv.mail import box, message
from anvilsrv.mail.message import Message
from anvilsrv.sessions import prompts, session_rows, turn_rows
from anvilsrv.sessions.happened import Ended
from anvilsrv.sessions.prompt import Prompt, clean
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import Session
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import MAIL
from anvilsrv.words import USER


class Form(Enum):
    """How a message stands before an agent."""

    MAIL = auto()  # with its header
    BODY = auto()  # the bare text
    COMMENT = auto()  # with its header, as lines that a shell does not run


class Post:
    """Mail of all sessions and of the user. ``prompted(backend)``: whether agents of that backend take mail as a prompt;
    ``refusal(session, text)``: why a text cannot be typed to that session's agent, empty if it can."""

    def __init__(
        self, registry: Registry, turns: Turns, prompted: Callable[[str], bool], refusal: Callable[[Session, str], str]
    ) -> None:
        self._registry = registry
        self._turns = turns
        self._prompted = prompted
        self._refusal = refusal

    def send(self, tx: Tx, sender: str, fields: Mapping[str, Any]) -> str:
        """Send a message that ``sender`` wrote to ``mail``. Raises Invalid and NotFound; returns its id."""
        made = message.compose(sender, fields, tx.now.wall)
        if made.to != USER:
            found = session_rows.named(tx, made.to)
            if found is None:
                raise NotFound(f"mail: no such session '{made.to[:80]}'")
            made = made._replace(to=found)
        if sender != USER:
            self._admit(tx, made)
        text, why = ("", "") if made.to == USER else self._as_prompt(tx, made)
        if why:
            raise Invalid(f"this mail cannot be typed: {why}")
        return self._deliver(tx, made, text)

    def _admit(self, tx: Tx, made: Message) -> None:
        """Raise Conflict if too much of its sender already waits, or is kept, or waits at its destination."""
        size = len(made.json().encode())
        if size > BOUNDS["message"].most:
            raise Invalid(f"message too large: {size:,} bytes (at most {BOUNDS['message'].figure})")
        self.admit(tx, made.sender, size)
        for name, has in (("sent", box.sent(tx, made.sender)), ("inbox", box.size(tx, made.to))):
            if has + size > BOUNDS[name].most:
                raise BOUNDS[name].refusal()

    def admit(self, tx: Tx, origin: str, size: int) -> None:
        """Raise Conflict if a prompt or message of ``origin`` of that many bytes exceeds what may wait of it. The user
        has no limit.
        """
        if origin == USER:
            return
        (messages, mailed), (asked, bytes_) = box.waiting_of(tx, origin), prompts.waiting_of(tx, origin)
        for name, has in (("messages", max(messages, asked) + 1), ("waiting", max(mailed, bytes_) + size)):
            if has > BOUNDS[name].most:
                raise BOUNDS[name].refusal()

    def _deliver(self, tx: Tx, made: Message, text: str | None = None) -> str:
        """Deliver a message; ``text``: as it will be typed, if known."""
        box.put(tx, made)
        concerned = tuple(one for one in (made.sender, made.to) if one != USER)
        self._registry.stream.emit(
            tx, "message", None if made.to == USER else made.to, concerns=concerned,
            **{"id": made.id, "from": made.sender, "to": made.to, "kind": made.type, "subject": made.subject},
        )  # fmt: skip
        self._registry.topics.notify(tx, MAIL)
        if made.to != USER:
            self._queue(tx, made, text)
        return made.id

    def _queue(self, tx: Tx, made: Message, text: str | None) -> None:
        """Queue a message. One that cannot be typed and has no caller to refuse, such as an automatic answer, stays in
        the inbox.
        """
        text, why = self._as_prompt(tx, made) if text is None else (text, "")
        if why:
            self._registry.error(tx, made.to, f"mail {made.id} cannot be typed and waits in the inbox: {why}")
        elif text.strip():
            self._turns.queue.add(tx, made.to, text, made.sender, made.id)

    def _as_prompt(self, tx: Tx, made: Message) -> tuple[str, str]:
        """Return a message as it is typed, and why it cannot be; empty if it can."""
        row = session_rows.get(tx, made.to)
        form = self._form(row, made.type, made.sender)
        text = clean(made.body if form == Form.BODY else message.as_prompt(made, self.label(tx, made.sender)))
        if form == Form.COMMENT:
            text = message.as_comment(text)
        return text, self._refusal(row, text) if text.strip() else ""

    def _form(self, to: Session, kind: str, sender: str) -> Form:
        if self._prompted(to.backend):
            return Form.MAIL
        trusted = sender == USER or (self._registry.descends(to.id, sender) and self._controls(sender))
        return Form.BODY if kind == "PROMPT_REQUEST" and trusted else Form.COMMENT

    def _controls(self, session: str) -> bool:
        """Return whether its role lets it prompt what it spawned."""
        view = self._registry.find(session)
        return view is not None and view.controls

    def label(self, tx: Tx, who: str) -> str:
        """Return how a correspondent is called: the alias followed by the id, or the id; ``user`` is the user."""
        row = session_rows.maybe(tx, who)
        return f"{row.alias} ({who})" if row is not None and row.alias else who

    def complete(self, tx: Tx, owner: str, number: str) -> None:
        """Archive a waiting message; cancel its delivery unless that has begun. Raises NotFound."""
        box.file(tx, owner, number)
        self._archived(tx, owner, number)
        delivers = prompts.delivers(tx, owner, number) if owner != USER else None
        if delivers is not None:
            try:
                for outcome in self._turns.by_hand.withdraw(tx, delivers):
                    if isinstance(outcome, Ended):
                        self.ended(tx, outcome)
            except Conflict:
                return  # it is being delivered, or was

    def began(self, tx: Tx, prompt: Prompt) -> None:
        """Note that the agent took a prompt: what it sends from now on counts as its own answer, and the mail that the
        prompt delivers is archived.
        """
        turn_rows.mark(tx, prompt.session, prompt.turn, box.newest(tx))
        if prompt.message and box.filed(tx, prompt.session, prompt.message):
            self._archived(tx, prompt.session, prompt.message)

    def _archived(self, tx: Tx, owner: str, number: str) -> None:
        self._registry.stream.emit(tx, "archived", None if owner == USER else owner, id=number, to=owner)

    def ended(self, tx: Tx, ended: Ended) -> None:
        """Mail back the answer or the error of a prompt that ended, if it was a request."""
        prompt, error = ended.prompt, ended.error
        asked = box.get(tx, prompt.message) if prompt.message else None
        if asked is None or not message.is_request(asked.type) or not self._reachable(tx, asked.sender):
            return
        kind = message.response_type(asked.type)
        row = session_rows.get(tx, prompt.session)
        if error is None and self._form(row, asked.type, asked.sender) == Form.COMMENT:
            error = f"a {row.backend} session reads mail and does not answer it; it runs a PROMPT_REQUEST of the user"
        if error is None and box.answered(
            tx, prompt.session, asked.sender, kind, turn_rows.marked(tx, prompt.session, prompt.turn)
        ):
            return  # by the agent itself, in this turn
        body = (ended.response or "").encode("utf-8", "replace").decode() if error is None else error
        fields = {
            "to": asked.sender, "type": kind if error is None else "LOG_ERROR", "body": body,
            "subject": message.reply_subject(asked.subject), "metadata": {"in_reply_to": asked.id, "automatic": True},
        }  # fmt: skip
        self._deliver(tx, message.compose(prompt.session, fields, tx.now.wall))

    def notify_senders(self, tx: Tx, session: str) -> None:
        """Notify the senders of mail that waits in ``session``, which is being killed."""
        for waiting in box.waiting(tx, session):
            if waiting.sender != session and self._reachable(tx, waiting.sender):
                fields = {
                    "to": waiting.sender, "type": "LOG_ERROR", "subject": message.reply_subject(waiting.subject),
                    "body": f"session '{session}' was killed before it read this",
                    "metadata": {"in_reply_to": waiting.id},
                }  # fmt: skip
                self._deliver(tx, message.compose(session, fields, tx.now.wall))

    def _reachable(self, tx: Tx, who: str) -> bool:
        return who == USER or session_rows.there(tx, who)
