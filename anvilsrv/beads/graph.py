"""What waits for what: edges between beads, cycles, and who is ready.

The rules are bd's. A bead is *stuck* when it is not done and either one of its blockers exists and is not done, or it
waits for children of another bead that are not done, or one of its parents is stuck, blocked or deferred. Parents put
off to a time are looked at when asking, since time passes without a change. An open parent blocks nothing.

Every function takes the connection of a running transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from anvilsrv.beads.record import BLOCKING, DONE, NOT_WORK, Record, unix_ns
from anvilsrv.errors import Invalid, NotPermitted
from anvilsrv.strict_json import dumps, loads

_READY = """
WITH RECURSIVE put_off(id) AS (
  SELECT edge.bead FROM bead JOIN edge ON edge.target = bead.id AND edge.type = 'parent-child'
   WHERE bead.defer > :now AND NOT bead.done
  UNION
  SELECT edge.bead FROM put_off JOIN bead ON bead.id = put_off.id AND NOT bead.done
    JOIN edge ON edge.target = put_off.id AND edge.type = 'parent-child')
SELECT doc FROM bead WHERE status = 'open' AND work = 1 AND stuck = 0
   AND (defer IS NULL OR defer <= :now) AND id NOT IN put_off
 ORDER BY priority, created, id
"""
_STUCK = """
SELECT EXISTS (SELECT 1 FROM edge JOIN bead AS other ON other.id = edge.target
   WHERE edge.bead = :id AND edge.type IN ('blocks', 'conditional-blocks') AND NOT other.done)
OR EXISTS (SELECT 1 FROM edge JOIN bead AS parent ON parent.id = edge.target
   WHERE edge.bead = :id AND edge.type = 'parent-child'
     AND NOT parent.done AND (parent.stuck OR parent.status IN ('blocked', 'deferred')))
OR EXISTS (SELECT 1 FROM edge WHERE edge.bead = :id AND edge.type = 'waits-for'
   AND EXISTS (SELECT 1 FROM edge AS child JOIN bead AS b ON b.id = child.bead
     WHERE child.target = edge.target AND child.type = 'parent-child' AND NOT b.done)
   AND NOT (edge.gate IS 'any-children'
     AND EXISTS (SELECT 1 FROM edge AS child JOIN bead AS b ON b.id = child.bead
       WHERE child.target = edge.target AND child.type = 'parent-child' AND b.status = 'closed')))
"""
_REACHES = """
WITH RECURSIVE ahead(id) AS (SELECT :start UNION
  SELECT edge.target FROM ahead JOIN edge ON edge.bead = ahead.id
   WHERE edge.type IN ('blocks', 'conditional-blocks', 'waits-for', 'parent-child'))
SELECT 1 FROM ahead WHERE id = :goal
"""
_ORDERING = (*BLOCKING, "waits-for", "parent-child")


def get(db: sqlite3.Connection, bead_id: str) -> Record | None:
    row = db.execute("SELECT doc FROM bead WHERE id = ?", (bead_id,)).fetchone()
    return None if row is None else json.loads(row[0])


def put(db: sqlite3.Connection, record: Record, rev: int, counted: bool | None = None) -> list[str]:
    """Store a normal record under its id, with its edges. Returns the ids to `settle` then (or call `settle_all`)."""
    status, defer = record["status"], record.get("defer_until")
    work = not (
        record.get("pinned") or record.get("ephemeral") or record.get("wisp") or record["issue_type"] in NOT_WORK
    )
    db.execute(
        "INSERT INTO bead(id, doc, status, done, work, priority, created, defer, counted, rev)"
        " VALUES (:id, :doc, :status, :done, :work, :priority, :created, :defer, coalesce(:counted, 0), :rev)"
        " ON CONFLICT(id) DO UPDATE SET doc = :doc, status = :status, done = :done, work = :work, priority = :priority,"
        " created = :created, defer = :defer, counted = coalesce(:counted, counted), rev = :rev",
        {
            "id": record["id"],
            "doc": dumps(record),
            "status": status,
            "done": status in DONE,
            "work": work,
            "priority": record["priority"],
            "created": _storable(unix_ns(record["created_at"])),
            "defer": _storable(unix_ns(defer)) if defer else None,
            "counted": counted,
            "rev": rev,
        },
    )
    wanted = {(row["type"], row["depends_on_id"]): _gate(row) for row in record.get("dependencies", [])}
    stored = {(kind, target): gate for kind, target, gate in _edges(db, record["id"])}
    affected = [record["id"]]
    if wanted != stored:
        for kind, target in stored.keys() - wanted.keys():
            affected += _gated(db, target) if kind == "parent-child" else []
        db.execute("DELETE FROM edge WHERE bead = ?", (record["id"],))
        db.executemany(
            "INSERT INTO edge VALUES (?, ?, ?, ?)",
            [(record["id"], target, kind, gate) for (kind, target), gate in wanted.items()],
        )
    return affected


def _storable(ns: int) -> int:
    # 64 bits of nanoseconds end in 2262, the years of a record in 9999.
    return max(-(2**63), min(ns, 2**63 - 1))


def _edges(db: sqlite3.Connection, bead_id: str) -> list[tuple[str, str, str | None]]:
    return db.execute("SELECT type, target, gate FROM edge WHERE bead = ?", (bead_id,)).fetchall()


def _gate(row: Record) -> str | None:
    if row["type"] != "waits-for":
        return None
    metadata = row.get("metadata")
    try:
        found = loads(metadata) if isinstance(metadata, str) else metadata
    except Invalid:
        return None
    gate = found.get("gate") if isinstance(found, dict) else None
    return gate if isinstance(gate, str) else None


def settle(db: sqlite3.Connection, changed: Iterable[str]) -> None:
    """Bring `stuck` up to date after these beads changed: of themselves, of what waits for them, of all below."""
    changed = list(changed)
    _spread(db, changed + [waiter for bead_id in changed for waiter in _waiting(db, bead_id)])


def settle_all(db: sqlite3.Connection) -> None:
    """Do the same for every bead, after many changed."""
    db.execute("UPDATE bead SET stuck = 0 WHERE stuck")
    _spread(db, [row[0] for row in db.execute("SELECT id FROM bead WHERE NOT done AND id IN (SELECT bead FROM edge)")])


def _spread(db: sqlite3.Connection, queue: list[str]) -> None:
    queued = set(queue)
    while queue:
        bead_id = queue.pop()
        queued.discard(bead_id)
        row = db.execute("SELECT done, stuck FROM bead WHERE id = ?", (bead_id,)).fetchone()
        if row is None:
            continue
        stuck = int(not row[0] and db.execute(_STUCK, {"id": bead_id}).fetchone()[0])
        if stuck != row[1]:
            db.execute("UPDATE bead SET stuck = ? WHERE id = ?", (stuck, bead_id))
            fresh = [child for child in _children(db, bead_id) if child not in queued]
            queue += fresh
            queued.update(fresh)


def _waiting(db: sqlite3.Connection, bead_id: str) -> list[str]:
    found = db.execute("SELECT bead, type FROM edge WHERE target = ?", (bead_id,)).fetchall()
    parents = db.execute("SELECT target FROM edge WHERE bead = ? AND type = 'parent-child'", (bead_id,)).fetchall()
    gated = [waiter for (parent,) in parents for waiter in _gated(db, parent)]
    return [bead for bead, kind in found if kind in _ORDERING] + gated


def _gated(db: sqlite3.Connection, parent: str) -> list[str]:
    found = db.execute("SELECT bead FROM edge WHERE target = ? AND type = 'waits-for'", (parent,))
    return [row[0] for row in found]


def _children(db: sqlite3.Connection, bead_id: str) -> list[str]:
    found = db.execute("SELECT bead FROM edge WHERE target = ? AND type = 'parent-child'", (bead_id,))
    return [row[0] for row in found]


def ready(db: sqlite3.Connection, now: int) -> list[str]:
    """Return the records, as JSON texts, of what may be claimed now: most urgent first, then oldest."""
    return [row[0] for row in db.execute(_READY, {"now": now})]


def ready_size(db: sqlite3.Connection, now: int) -> tuple[int, int]:
    """Return how many those are, and how many bytes."""
    return _size(db, _READY, {"now": now})


def size(db: sqlite3.Connection) -> tuple[int, int]:
    """Return how many beads there are, and the bytes of their records as JSON texts."""
    return _size(db, "SELECT doc FROM bead", {})


def _size(db: sqlite3.Connection, query: str, values: dict[str, int]) -> tuple[int, int]:
    found = db.execute(f"SELECT count(*), coalesce(sum(length(CAST(doc AS BLOB))), 0) FROM ({query})", values)
    count, total = found.fetchone()
    return count, total


def next_due(db: sqlite3.Connection, now: int) -> int | None:
    """Return when the next bead is no longer put off, unix ns."""
    due: int | None = db.execute("SELECT min(defer) FROM bead WHERE defer > ?", (now,)).fetchone()[0]
    return due


def obstacle(db: sqlite3.Connection, bead_id: str) -> str | None:
    """Return the id of a bead that this one waits for, or of the parent that holds it back; None if it is not stuck."""
    if not db.execute("SELECT stuck FROM bead WHERE id = ?", (bead_id,)).fetchone()[0]:
        return None
    row = db.execute(
        "SELECT other.id FROM edge JOIN bead AS other ON other.id = edge.target WHERE edge.bead = ? AND NOT other.done"
        " AND edge.type IN ('blocks', 'conditional-blocks', 'waits-for', 'parent-child')"
        " ORDER BY edge.type = 'parent-child', other.created, other.id",
        (bead_id,),
    ).fetchone()
    return row[0] if row else None


def refuse_cycle(db: sqlite3.Connection, bead_id: str, target: str, kind: str) -> None:
    """Raise Conflict if `bead_id` depending on `target` would make something wait for itself."""
    if bead_id == target:
        raise NotPermitted(f"'{bead_id}' cannot depend on itself")
    if kind in _ORDERING and db.execute(_REACHES, {"start": target, "goal": bead_id}).fetchone():
        raise NotPermitted(f"cycle: '{target}' already waits for '{bead_id}'")


def find_cycle(edges: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Return one edge of a cycle in these (bead, target) edges, or None."""
    ahead: dict[str, list[str]] = {}
    for bead, target in edges:
        ahead.setdefault(bead, []).append(target)
    done: set[str] = set()
    for start in ahead:
        path: dict[str, int] = {}
        stack = [start]
        while stack:
            bead = stack[-1]
            targets = ahead.get(bead, ())
            at = path.get(bead, 0)
            path[bead] = at + 1
            if bead in done or at >= len(targets):
                done.add(bead)
                path.pop(bead)
                stack.pop()
            elif targets[at] in path:
                return bead, targets[at]
            elif targets[at] not in done:
                stack.append(targets[at])
    return None
