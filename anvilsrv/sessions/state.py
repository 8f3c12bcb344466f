"""One session: its six states, which changes between them are legal, and the picture of it that readers see.

The picture (:class:`View`) is immutable and made anew from the rows after each commit that touched the session, so
the 9P thread reads it without a lock.
"""

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

from anvilsrv.errors import Conflict, Invalid
from anvilsrv.sessions.notes import notes
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import json_array
from anvilsrv.words import ROOT

STARTING, IDLE, RUNNING = "starting", "idle", "running"
STOPPED, ERROR, EXITED = "stopped", "error", "exited"
STATES = (STARTING, IDLE, RUNNING, STOPPED, ERROR, EXITED)

# from -> the states that may follow (DESIGN section 3; `exited` is reached from anywhere and left never)
LEGAL: dict[str, frozenset[str]] = {
    STARTING: frozenset({IDLE, STOPPED, ERROR, EXITED}),
    IDLE: frozenset({RUNNING, STARTING, STOPPED, ERROR, EXITED}),
    RUNNING: frozenset({IDLE, STARTING, STOPPED, ERROR, EXITED}),
    STOPPED: frozenset({STARTING, EXITED}),
    ERROR: frozenset({STARTING, STOPPED, EXITED}),
    EXITED: frozenset(),
}
LIVE = (STARTING, IDLE, RUNNING)

ALIAS = re.compile(r"[A-Za-z0-9_-]{1,64}")
ID = re.compile(r"[0-9a-f]{8}")


def check_change(before: str, after: str) -> None:
    """Raise Invalid for a word that is no state, Conflict for a change that is not legal."""
    if after not in STATES:
        raise Invalid(f"no such state: '{after}'")
    if after != before and after not in LEGAL[before]:
        raise Conflict(f"cannot go from {before} to {after}")


def check_alias(alias: str) -> str:
    """``alias`` if it may name a session (``[A-Za-z0-9_-]+``, no file of the root, nothing like an id)."""
    if not ALIAS.fullmatch(alias):
        raise Invalid(f"bad alias '{alias[:80]}': only letters, digits, '_' and '-', at most 64")
    if alias in ROOT:
        raise Invalid(f"bad alias '{alias}': a file has that name")
    if ID.fullmatch(alias):
        raise Invalid(f"bad alias '{alias}': it looks like an id")
    return alias


@dataclass(frozen=True)
class View:
    """What is shown of a session. ``mail`` holds the lengths in bytes of the files that are read from the database."""

    id: str
    seq: int
    alias: str
    backend: str
    cwd: str
    role: str
    tasks: tuple[str, ...]
    parent: str | None
    state: str
    wanted: str
    error: str
    context: bytes
    conversation: str | None
    transcript: str | None
    pane: str | None
    pid: int
    tier: str
    policy: str
    held: str
    ask: dict[str, Any] | None
    usage: dict[str, Any]
    created: float
    changed: float
    inbox: bytes
    archived: int
    queued: int
    turns: int
    times: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How a person calls it: the alias, or the id."""
        return self.alias or self.id

    def gaps(self) -> list[str]:
        """What its sandbox does not enforce here, in words; empty where it holds."""
        return [line[4:] for line in self.policy.splitlines() if line.startswith("gap\t")]

    def line(self) -> str:
        """Its line in ``list``."""
        return f"{self.id}\t{self.alias or '-'}\t{self.state}\t{self.pid}\t{self.cwd}\n"

    def summary(self, attach: str) -> dict[str, Any]:
        """Its object in ``sessions``; ``attach`` is the content of ``tmux``."""
        shown = {
            "id": self.id, "alias": self.alias, "backend": self.backend, "cwd": self.cwd, "state": self.state, "pid": self.pid,
            "role": self.role, "tasks": list(self.tasks), "parent": self.parent, "tmux": attach, "ask": self.ask,
            "unread": len(json.loads(self.inbox)), "queued": self.queued, "held": self.held, "usage": self.usage,
            "error": self.error, "sandbox_tier": self.tier,
            "sandbox_gaps": self.gaps(), "context": self.context.decode("utf-8", "replace"),
            "created": self.created, "changed": self.changed,
        }  # fmt: skip
        return shown | {"notes": notes(shown)}


_STAMPED = ("alias", "state", "context", "pid", "inbox", "archived", "ask", "usage", "tier", "pane")


def view(tx: Tx, session: str, before: View | None) -> View | None:
    """The picture of ``session`` as the rows are now; None when it is gone."""
    row = tx.one("SELECT * FROM sessions WHERE id = ?", session)
    if row is None:
        return None
    waiting = tx.all("SELECT json FROM messages WHERE recipient = ? AND box = 'inbox' ORDER BY seq", session)
    counts = tx.one(
        "SELECT (SELECT count(*) FROM prompts WHERE session = ?1 AND status = 'queued') AS queued,"
        " (SELECT coalesce(max(turn), 0) FROM prompts WHERE session = ?1) AS last,"
        " coalesce((SELECT bytes FROM boxes WHERE owner = ?1 AND box = 'archive'), 0) AS archived",
        session,
    )
    assert counts is not None
    made = View(
        id=row["id"], seq=row["seq"], alias=row["alias"] or "", backend=row["backend"], cwd=row["cwd"], role=row["role"],
        tasks=tuple(json.loads(row["tasks"])), parent=row["parent"], state=row["state"], wanted=row["wanted"], error=row["error"],
        context=row["context"], conversation=row["conversation"], transcript=row["transcript"], pane=row["pane"],
        pid=row["pid"], tier=row["tier"], policy=row["policy"], held=row["held"],
        ask=json.loads(row["ask"]) if row["ask"] else None, usage=json.loads(row["usage"]), created=row["created"],
        changed=row["changed"], inbox=json_array(m["json"] for m in waiting), archived=counts["archived"] + 3,
        queued=counts["queued"], turns=counts["last"],
    )  # fmt: skip
    now = time.time()
    for name in ("alias", "state", "context", "pid", "inbox", "ask", "usage"):
        same = before is not None and getattr(before, name) == getattr(made, name)
        made.times[name] = before.times[name] if before is not None and same else now
    return made
