"""What each turn changed in the session's work trees, and where these stand: the tables ``changes`` and ``checkpoints``.

A checkpoint is a commit of each work tree, by the work tree's number. A turn has a segment, from the checkpoint at its beginning to
that at its end; one that went on after another turn has more of them.

Threads: everything runs on the store's thread, in a job; ``packed`` and ``text`` anywhere.
"""

import json
import zlib
from typing import NamedTuple

from anvilsrv.store.store import Tx

Commits = dict[str, str]
Segments = list[list[Commits]]
KEPT = 64 << 20  # bytes of diffs, compressed, of a session: of more the oldest texts go


class Change(NamedTuple):
    """One turn. ``ended`` is the time of its end (monotonic); ``files`` are (path, added, removed), ``note`` what it lacks."""

    turn: int
    ended: float
    segments: Segments
    plus: int
    minus: int
    files: list[tuple[str, int, int]]
    note: str
    diff: bytes

    @property
    def text(self) -> bytes:
        """The unified diff."""
        return self.note.encode() + (zlib.decompress(self.diff) if self.diff else b"")


class Stand(NamedTuple):
    """``began`` is the first checkpoint of a session, ``last`` the newest; ``base`` the commit that was checked out at first."""

    began: Commits
    last: Commits
    base: str


def packed(text: bytes) -> bytes:
    """Return a text as it is stored."""
    return zlib.compress(text, 6) if text else b""


def of(tx: Tx, session: str, turn: int) -> Change | None:
    """Return what that turn changed, if it is known."""
    row = tx.one("SELECT * FROM changes WHERE session = ? AND turn = ?", session, turn)
    if row is None:
        return None
    files = [(path, plus, minus) for path, plus, minus in json.loads(row["files"])]
    return Change(
        turn, row["ended"], json.loads(row["segments"]), row["plus"], row["minus"], files, row["note"], row["diff"]
    )


def add(tx: Tx, session: str, change: Change) -> None:
    """Keep it, in place of what was known of that turn."""
    tx.run(
        "INSERT OR REPLACE INTO changes VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        session, change.turn, change.ended, json.dumps(change.segments), change.plus, change.minus, json.dumps(change.files),
        change.note, change.diff,
    )  # fmt: skip
    tx.run(
        "UPDATE changes SET diff = x'', note = '# this diff is not kept any more' || char(10) WHERE session = ?1 AND turn IN"
        " (SELECT turn FROM (SELECT turn, sum(length(diff)) OVER (ORDER BY turn DESC) AS size FROM changes WHERE session = ?1)"
        " WHERE size > ?2 AND turn != ?3)",
        session, KEPT, change.turn,
    )  # fmt: skip
    tx.touch(session)


def counts(tx: Tx, session: str) -> dict[int, tuple[int, int]]:
    """Return lines added and removed, by turn."""
    rows = tx.all("SELECT turn, plus, minus FROM changes WHERE session = ?", session)
    return {row["turn"]: (row["plus"], row["minus"]) for row in rows}


def stand(tx: Tx, session: str) -> Stand | None:
    """Return where its work trees stand; None before the first checkpoint."""
    row = tx.one("SELECT * FROM checkpoints WHERE session = ?", session)
    return None if row is None else Stand(json.loads(row["began"]), json.loads(row["last"]), row["base"])


def set_stand(tx: Tx, session: str, now: Commits, base: str) -> None:
    """Record a checkpoint; ``base`` counts only for the first."""
    before = stand(tx, session)
    began = now if before is None else now | before.began
    tx.run(
        "INSERT OR REPLACE INTO checkpoints VALUES(?, ?, ?, ?)",
        session, json.dumps(began), json.dumps(now), base if before is None else before.base,
    )  # fmt: skip


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM changes WHERE session = ?", session)
    tx.run("DELETE FROM checkpoints WHERE session = ?", session)
