"""A message between sessions and the user: what it is, how it is checked, and how it is put before an agent.

Pure: where messages lie is ``box.py``; who gets one, and what it starts, ``desk/post.py``.
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from anvilsrv.display import one_line, quoted, shown
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import dumps
from anvilsrv.words import MAIL_TYPES

TYPES = MAIL_TYPES
OURS = frozenset({"id", "from", "timestamp", "reply_type"})  # set by the server; what a writer puts there is ignored
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
        """Return one line of JSON, as in ``inbox``."""
        return dumps(
            {"id": self.id, "from": self.sender, "to": self.to, "type": self.type, "reply_type": reply_type(self.type),
             "subject": self.subject, "body": self.body, "timestamp": self.timestamp, "metadata": self.metadata}
        )  # fmt: skip


def compose(sender: str, fields: Mapping[str, Any], now: float) -> Message:
    """Return a message made from what was written to ``mail``. What is in OURS is set here; unknown keys go to
    metadata.
    """
    kind = fields.get("type", "")
    if kind not in TYPES:
        # plan9port cuts an error at 127 bytes, and the list of all nine does not fit
        raise Invalid(
            f"invalid type '{str(kind)[:30]}': PROMPT, QUERY, REVIEW or APPROVAL, _REQUEST or _RESPONSE; or LOG_ERROR"
        )
    for key in ("to", "subject", "body"):
        if not isinstance(fields.get(key, ""), str):
            raise Invalid(f"invalid {key}: not a string")
    to, subject, body = (fields.get(key, "") for key in ("to", "subject", "body"))
    if not to:
        raise Invalid("mail: 'to' is missing")
    subject = one_line(subject).strip()
    if len(subject) > MAX_SUBJECT:
        raise Invalid(f"subject of {len(subject)} characters: at most {MAX_SUBJECT}")
    given = fields.get("metadata", {})
    extra = dict(given) if isinstance(given, dict) else {"metadata": given}
    extra |= {k: v for k, v in fields.items() if k not in OURS | {"to", "type", "subject", "body", "metadata"}}
    return Message(str(uuid.uuid4()), sender, to, kind, subject, body, round(now, 3), extra)


def is_request(kind: str) -> bool:
    """Return True for a ``*_REQUEST``: the response of the turn that it starts is mailed back automatically."""
    return kind.endswith("_REQUEST")


def response_type(kind: str) -> str:
    """Return the matching answer: ``REVIEW_REQUEST`` -> ``REVIEW_RESPONSE``."""
    return kind.removesuffix("_REQUEST") + "_RESPONSE"


def reply_type(kind: str) -> str:
    """Return the type with which a person answers a message of that type: a response, else a question.

    Never a PROMPT_REQUEST, which a shell executes.
    """
    return response_type(kind) if is_request(kind) else "QUERY_REQUEST"


def as_prompt(message: Message, label: str) -> str:
    """Return a message as it is shown to an agent; ``label`` is the name of the sender. Its text has no second head in
    it.
    """
    head = f"[mail from {label} · {message.type} · id {message.id}]"
    subject = f"\nSubject: {one_line(message.subject)}" if message.subject else ""
    return f"{head}{subject}\n\n{quoted(message.body)}"


def as_comment(text: str) -> str:
    """Return the same as lines that a shell does not run."""
    return "\n".join(f"# {line}".rstrip() for line in text.split("\n"))


def as_log(message: Message, sender: str, to: str) -> bytes:
    """Return a message as a block of ``log``."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(message.timestamp))
    body = "".join(f"\t{line}\n" for line in shown(message.body).splitlines())
    return f"{when} {sender} -> {to} {message.type} {one_line(message.subject)}\n{body}\n".encode()


def reply_subject(subject: str) -> str:
    """Return the subject of an answer."""
    return f"Re: {subject}"[:MAX_SUBJECT]
