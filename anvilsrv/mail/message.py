"""Mail between sessions and the user: what a message is, where it lies, and how it is put before an agent.

A message is checked whole before anything changes. It waits in its recipient's inbox; for a session it is also queued as a
prompt, and moves to the archive when that prompt is confirmed (or is withdrawn with ``complete``).
"""

import json
import sqlite3
import time
import uuid
from typing import Any, NamedTuple

from anvilsrv.errors import Invalid, NotFound
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import json_array
from anvilsrv.words import MAIL_TYPES

TYPES = MAIL_TYPES
OURS = frozenset(
    {"id", "from", "timestamp", "reply_type"}
)  # set by the server; what a writer puts there is not believed
MAX_SUBJECT = 1000  # characters


class Message(NamedTuple):
    """A message as it is kept. ``timestamp`` is seconds since the epoch."""

    id: str
    sender: str
    to: str
    type: str
    subject: str
    body: str
    timestamp: float
    metadata: dict[str, Any]

    def json(self) -> str:
        """One line of JSON, as in ``inbox``."""
        return json.dumps(
            {"id": self.id, "from": self.sender, "to": self.to, "type": self.type, "reply_type": reply_type(self.type),
             "subject": self.subject, "body": self.body, "timestamp": self.timestamp, "metadata": self.metadata},
            ensure_ascii=False, separators=(",", ":"))  # fmt: skip


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``. Raises Invalid."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise Invalid(f"bad message: {error}") from None
    except RecursionError:
        raise Invalid("bad message: nested too deeply") from None
    if not isinstance(found, dict):
        raise Invalid("bad message: not a JSON object")
    return found


def compose(sender: str, fields: dict[str, Any]) -> Message:
    """A message from what was written to ``mail``. What is in OURS is set here; unknown keys go to metadata."""
    kind = fields.get("type", "")
    if kind not in TYPES:
        # plan9port cuts an error at 127 bytes, and the list of all nine does not fit
        raise Invalid(
            f"bad type '{str(kind)[:30]}': PROMPT, QUERY, REVIEW or APPROVAL, _REQUEST or _RESPONSE; or LOG_ERROR"
        )
    for key in ("to", "subject", "body"):
        if not isinstance(fields.get(key, ""), str):
            raise Invalid(f"bad {key}: not a string")
    to, subject, body = (fields.get(key, "") for key in ("to", "subject", "body"))
    if not to:
        raise Invalid("mail to nobody: 'to' is missing")
    if len(subject) > MAX_SUBJECT:
        raise Invalid(f"subject of {len(subject)} characters: at most {MAX_SUBJECT}")
    given = fields.get("metadata", {})
    extra = dict(given) if isinstance(given, dict) else {"metadata": given}
    extra |= {k: v for k, v in fields.items() if k not in OURS | {"to", "type", "subject", "body", "metadata"}}
    try:
        json.dumps([extra, subject, body], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Invalid("bad message: half of a surrogate pair") from None
    return Message(str(uuid.uuid4()), sender, to, kind, subject, body, round(time.time(), 3), extra)


def put(tx: Tx, message: Message) -> None:
    """Lay ``message`` into its recipient's inbox."""
    tx.run(
        "INSERT INTO messages(id, sender, recipient, type, subject, body, ts, json, box) VALUES(?,?,?,?,?,?,?,?,'inbox')",
        message.id, message.sender, message.to, message.type, message.subject, message.body, message.timestamp, message.json(),
    )  # fmt: skip


def file(tx: Tx, owner: str, message: str) -> None:
    """Move a message of ``owner`` from the inbox to the archive. Raises NotFound."""
    moved = tx.run(
        "UPDATE messages SET box = 'archive' WHERE id = ? AND recipient = ? AND box = 'inbox'", message, owner
    )
    if not moved.rowcount:
        raise NotFound(f"no message '{message[:80]}' in the inbox of {owner}")


def box(tx: Tx, owner: str, name: str) -> bytes:
    """The content of ``inbox`` or ``archive``: a JSON array, oldest first."""
    return json_array(
        r["json"] for r in tx.all("SELECT json FROM messages WHERE recipient=? AND box=? ORDER BY seq", owner, name)
    )


def is_request(kind: str) -> bool:
    """Whether the end of the turn that this message starts is answered by itself."""
    return kind.endswith("_REQUEST")


def response_type(kind: str) -> str:
    """The matching answer: ``REVIEW_REQUEST`` -> ``REVIEW_RESPONSE``."""
    return kind.removesuffix("_REQUEST") + "_RESPONSE"


def reply_type(kind: str) -> str:
    """What a person answers a message of that type with: a response, else a question.

    Never a PROMPT_REQUEST, which a shell executes.
    """
    return response_type(kind) if is_request(kind) else "QUERY_REQUEST"


def as_prompt(row: sqlite3.Row, label: str) -> str:
    """How a message stands before an agent; ``label`` is how the sender is called."""
    head = f"[mail from {label} · {row['type']} · id {row['id']}]"
    subject = f"\nSubject: {row['subject']}" if row["subject"] else ""
    return f"{head}{subject}\n\n{row['body']}"


def as_log(row: sqlite3.Row, sender: str, to: str) -> bytes:
    """A message as a block of ``log``."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["ts"]))
    body = "".join(f"\t{line}\n" for line in row["body"].splitlines())
    return f"{when} {sender} -> {to} {row['type']} {row['subject']}\n{body}\n".encode()
