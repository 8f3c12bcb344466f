"""The post: brings messages to inboxes and queues, and answers requests when their turn ends.

Threads: everything runs on the store's thread, in a job.
"""

from collections.abc import Callable
from typing import Any

from anvilsrv.errors import NotFound
from anvilsrv.mail import message as mailbox
from anvilsrv.mail.message import Message
from anvilsrv.sessions.prompts import clean
from anvilsrv.sessions.registry import Sessions
from anvilsrv.store.store import Tx
from anvilsrv.words import USER

Queue = Callable[[Tx, str, str, str, str], Any]


class Post:
    """Mail of all sessions and of the user.

    ``enqueue(tx, session, text, sender, message id)`` queues a delivery; ``wants(session, kind, sender)`` tells what is to be put
    before that agent: "mail" (with its header), "body" (the bare text), or "comment" (with its header, as comment lines).
    """

    def __init__(self, sessions: Sessions, wants: Callable[[Any, str, str], str]) -> None:
        self._sessions = sessions
        self._wants = wants
        self.enqueue: Queue
        self.withdraw: Callable[[Tx, str, str], None]

    def send(self, tx: Tx, sender: str, fields: dict[str, Any]) -> str:
        """A message was written to ``mail`` of ``sender``. Raises Invalid and NotFound; returns its id."""
        message = mailbox.compose(sender, fields)
        if message.to != USER:
            found = tx.one("SELECT id FROM sessions WHERE id = ?1 OR alias = ?1", message.to)
            if found is None:
                raise NotFound(f"mail to nobody: no session '{message.to[:80]}'")
            message = message._replace(to=found["id"])
        return self._deliver(tx, message)

    def _deliver(self, tx: Tx, message: Message) -> str:
        mailbox.put(tx, message)
        tx.touch(message.to)
        concerned = tuple(one for one in (message.sender, message.to) if one != USER)
        self._sessions.stream.emit(
            tx, "message", None if message.to == USER else message.to, concerns=concerned,
            **{"id": message.id, "from": message.sender, "to": message.to, "kind": message.type, "subject": message.subject},
        )  # fmt: skip
        self._sessions.notify(tx, "log")
        if message.to != USER:
            self._queue(tx, message)
        return message.id

    def _queue(self, tx: Tx, message: Message) -> None:
        how = self._wants(self._sessions.row(tx, message.to), message.type, message.sender)
        row = tx.one("SELECT * FROM messages WHERE id = ?", message.id)
        if row is None:
            return
        text = clean(message.body if how == "body" else mailbox.as_prompt(row, self.label(tx, message.sender)))
        if how == "comment":
            text = "\n".join(f"# {line}".rstrip() for line in text.split("\n"))
        if text.strip():
            self.enqueue(tx, message.to, text, message.sender, message.id)

    def label(self, tx: Tx, who: str) -> str:
        """How a correspondent is called: the alias with the id behind it, or the id; ``user`` is the user."""
        row = tx.one("SELECT alias FROM sessions WHERE id = ?", who)
        return f"{row['alias']} ({who})" if row is not None and row["alias"] else who

    def complete(self, tx: Tx, owner: str, message: str) -> None:
        """File a waiting message; a delivery that has not happened does not happen. Raises NotFound."""
        mailbox.file(tx, owner, message)
        tx.touch(owner)
        self._sessions.archived(tx, owner, message)
        if owner != USER:
            self.withdraw(tx, owner, message)

    def finished(self, tx: Tx, prompt: Any, response: str | None, error: str | None) -> None:
        """A prompt came to its end: if it was somebody's request, the answer goes back (or the error does)."""
        asked = prompt["message"] and tx.one("SELECT * FROM messages WHERE id = ?", prompt["message"])
        if not asked or not mailbox.is_request(asked["type"]) or not self._reachable(tx, asked["sender"]):
            return
        kind = mailbox.response_type(asked["type"])
        row = self._sessions.row(tx, prompt["session"])
        if error is None and self._wants(row, asked["type"], asked["sender"]) == "comment":
            error = (
                f"a {row['backend']} session reads mail and does not answer it; it runs a PROMPT_REQUEST of the user"
            )
        if error is None and self._answered(tx, prompt, asked["sender"], kind):
            return
        body = (response or "").encode("utf-8", "replace").decode() if error is None else error
        fields = {"to": asked["sender"], "type": kind if error is None else "LOG_ERROR", "body": body}
        fields |= {"subject": again(asked), "metadata": {"in_reply_to": asked["id"], "automatic": True}}
        self._deliver(tx, mailbox.compose(prompt["session"], fields))

    def _answered(self, tx: Tx, prompt: Any, to: str, kind: str) -> bool:
        """Whether the agent itself sent the answer in this turn; what was sent for it in an earlier one does not count."""
        return tx.one(
            "SELECT 1 FROM messages WHERE sender = ? AND recipient = ? AND type = ? AND ts >= ?"
            " AND json_extract(json, '$.metadata.automatic') IS NULL",
            prompt["session"], to, kind, round(prompt["started"] or 0, 3),
        ) is not None  # fmt: skip

    def _reachable(self, tx: Tx, who: str) -> bool:
        return who == USER or tx.one("SELECT 1 FROM sessions WHERE id = ?", who) is not None

    def bury(self, tx: Tx, session: str) -> None:
        """``session`` is killed: whoever has mail waiting there is told."""
        for row in tx.all("SELECT * FROM messages WHERE recipient = ? AND box = 'inbox' ORDER BY seq", session):
            if row["sender"] != session and self._reachable(tx, row["sender"]):
                fields = {"to": row["sender"], "type": "LOG_ERROR", "subject": again(row)}
                fields |= {
                    "body": f"session '{session}' was killed before it read this",
                    "metadata": {"in_reply_to": row["id"]},
                }
                self._deliver(tx, mailbox.compose(session, fields))


def again(row: Any) -> str:
    """The subject of an answer."""
    return f"Re: {row['subject']}"[: mailbox.MAX_SUBJECT]
