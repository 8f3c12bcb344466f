"""The boxes: the only module that reads and writes the table ``messages`` (and ``boxes`` and ``sent``, which triggers keep).

Each owner, a session or the user, has an inbox and an archive. How much an inbox holds is kept in memory, looked up after each
commit that changed it; what it holds is a query, for it may be much, and its owner seldom reads it.

Threads: functions run on the store's thread, in a job; a :class:`Snapshots` is read from any thread.
"""

import json
import sqlite3
from typing import Any, NamedTuple

from anvilsrv.errors import NotFound
from anvilsrv.mail.message import Message
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import json_array
from anvilsrv.words import USER

TOPIC = "mail "  # with the owner behind it: what a job touches that changes a box
EMPTY = len(json_array([]))
PAGE = 1 << 16  # bytes of ``log`` fetched at a time, and as many more as the last message has


class Inbox(NamedTuple):
    """The length of the file ``inbox``, the number of messages in it, the newest of them, the length of ``archive``, when the inbox
    changed, and, of the user's, whose mail is in it."""

    length: int = EMPTY
    unread: int = 0
    newest: int = 0
    archive: int = EMPTY
    changed: float = 0.0
    senders: frozenset[str] = frozenset()


class Snapshots:
    """The inboxes as they are on disk. The dictionary is replaced, never changed."""

    def __init__(self) -> None:
        self._inboxes: dict[str, Inbox] = {}

    def load(self, tx: Tx) -> None:
        """Make all of them, at start."""
        owners = {row["owner"] for row in tx.all("SELECT DISTINCT owner FROM boxes")}
        self.refresh(tx, {f"{TOPIC}{owner}" for owner in owners | {USER}})

    def refresh(self, tx: Tx, touched: set[str]) -> None:
        """Rebuild those that ``touched`` names; ignore the rest of it."""
        made = {
            owner: self._make(tx, owner)
            for owner in (one.removeprefix(TOPIC) for one in touched if one.startswith(TOPIC))
        }
        if made:  # an owner without any mail has none yet, or is gone
            known = {**self._inboxes, **made}
            self._inboxes = {owner: one for owner, one in known.items() if one.unread or one.archive != EMPTY}

    def _make(self, tx: Tx, owner: str) -> Inbox:
        rows = {row["box"]: row for row in tx.all("SELECT box, bytes, messages FROM boxes WHERE owner = ?", owner)}
        sizes = {name: row["bytes"] + 3 if row["messages"] else EMPTY for name, row in rows.items()}
        newest = tx.one("SELECT max(seq) AS newest FROM messages WHERE recipient = ? AND box = 'inbox'", owner)
        made = Inbox(
            sizes.get("inbox", EMPTY), rows["inbox"]["messages"] if "inbox" in rows else 0,
            newest["newest"] or 0 if newest else 0, sizes.get("archive", EMPTY), tx.now.wall,
            _senders(tx) if owner == USER else frozenset(),
        )  # fmt: skip
        before = self.of(owner)
        return made._replace(changed=before.changed) if made[:3] == before[:3] else made

    @property
    def state(self) -> object:
        """Another object after each change."""
        return self._inboxes

    def of(self, owner: str) -> Inbox:
        """Return the inbox of a session's id or the user."""
        return self._inboxes.get(owner, Inbox())


def _senders(tx: Tx) -> frozenset[str]:
    """Return whose mail is in the user's inbox."""
    rows = tx.all("SELECT DISTINCT sender FROM messages WHERE recipient = ? AND box = 'inbox'", USER)
    return frozenset(row["sender"] for row in rows)


def put(tx: Tx, message: Message) -> None:
    """Lay ``message`` into its recipient's inbox."""
    tx.run(
        "INSERT INTO messages(id, sender, recipient, type, subject, body, ts, json, box) VALUES(?,?,?,?,?,?,?,?,'inbox')",
        message.id, message.sender, message.to, message.type, message.subject, message.body, message.timestamp, message.json(),
    )  # fmt: skip
    tx.touch(f"{TOPIC}{message.to}")


def file(tx: Tx, owner: str, message: str) -> None:
    """Move a message of ``owner`` from the inbox to the archive. Raises NotFound."""
    if not filed(tx, owner, message):
        raise NotFound(f"no such message '{message[:80]}' in the inbox of {owner}")


def filed(tx: Tx, owner: str, message: str) -> bool:
    """File a message as above. Returns whether it was in the inbox."""
    moved = tx.run(
        "UPDATE messages SET box = 'archive' WHERE id = ? AND recipient = ? AND box = 'inbox'", message, owner
    )
    tx.touch(f"{TOPIC}{owner}")
    return moved.rowcount > 0


def waits(tx: Tx, owner: str, number: str) -> bool:
    """Return whether that message is in the inbox of ``owner``."""
    return tx.one("SELECT 1 FROM messages WHERE id = ? AND recipient = ? AND box = 'inbox'", number, owner) is not None


def waiting_of(tx: Tx, sender: str) -> tuple[int, int]:
    """Return how many messages of ``sender`` wait in all inboxes, and their bytes."""
    row = tx.one("SELECT messages, bytes FROM sent WHERE sender = ? AND box = 'inbox'", sender)
    return (row["messages"], row["bytes"]) if row else (0, 0)


def sent(tx: Tx, sender: str) -> int:
    """Return the bytes of everything that ``sender`` ever sent and that is kept."""
    row = tx.one("SELECT sum(bytes) AS bytes FROM sent WHERE sender = ?", sender)
    return int(row["bytes"] or 0) if row else 0


def size(tx: Tx, owner: str) -> int:
    """Return the bytes in an inbox."""
    row = tx.one("SELECT bytes FROM boxes WHERE owner = ? AND box = 'inbox'", owner)
    return int(row["bytes"]) if row else 0


def newest(tx: Tx) -> int:
    """Return the place of the newest message of all, in sending order; 0: there is none."""
    row = tx.one("SELECT coalesce(max(seq), 0) AS newest FROM messages")
    return int(row["newest"]) if row else 0


def get(tx: Tx, number: str) -> Message | None:
    """Return the message with that id, or None."""
    row = tx.one("SELECT * FROM messages WHERE id = ?", number)
    return None if row is None else _message(row)


def waiting(tx: Tx, owner: str) -> list[Message]:
    """Return what is in an inbox, oldest first."""
    rows = tx.all("SELECT * FROM messages WHERE recipient = ? AND box = 'inbox' ORDER BY seq", owner)
    return [_message(row) for row in rows]


def content(tx: Tx, owner: str, name: str) -> bytes:
    """Return the content of the file ``inbox`` or ``archive``: a JSON array, oldest first."""
    rows = tx.all("SELECT json FROM messages WHERE recipient = ? AND box = ? ORDER BY seq", owner, name)
    return json_array(row["json"] for row in rows)


def answered(tx: Tx, sender: str, to: str, kind: str, since: int) -> bool:
    """Return whether ``sender`` itself, not we for it, has sent ``to`` a message of that type after the place ``since``
    (see ``newest``).
    """
    sent = tx.all(
        "SELECT * FROM messages WHERE sender = ? AND recipient = ? AND type = ? AND seq > ?", sender, to, kind, since
    )
    return any(_message(row).metadata.get("automatic") is None for row in sent)


def page(tx: Tx, after: int) -> tuple[list[Message], int]:
    """Return the next messages of all boxes, in sending order, and where to continue; none at the end."""
    rows, found, size = tx.run("SELECT * FROM messages WHERE seq > ? ORDER BY seq", after), list[Message](), 0
    for row in rows:
        found.append(_message(row))
        after = row["seq"]
        size += len(row["json"])
        if size >= PAGE:
            break
    rows.close()
    return found, after


def forget(tx: Tx, owner: str) -> None:
    """Forget the boxes of a session that is gone; ``log`` keeps what was sent."""
    tx.run("UPDATE messages SET box = 'gone' WHERE recipient = ?", owner)
    tx.touch(f"{TOPIC}{owner}")


def _message(row: sqlite3.Row) -> Message:
    found: dict[str, Any] = json.loads(row["json"]).get("metadata", {})
    return Message(
        row["id"], row["sender"], row["recipient"], row["type"], row["subject"], row["body"], row["ts"], found
    )
