"""The rules of readiness as bd states them, written the slow and plain way, over the records themselves."""

from __future__ import annotations

from typing import Any

from anvilsrv.beads.record import unix_ns

Records = dict[str, dict[str, Any]]


def ready(records: Records, now: int) -> list[str]:
    """Return ids that may be claimed, most urgent first, then oldest."""
    found = [r for r in records.values() if r["status"] == "open" and _is_work(r) and not _put_off(r, now)]
    found = [r for r in found if not stuck(records, r) and not _below_put_off(records, r, now)]
    return [r["id"] for r in sorted(found, key=lambda r: (r["priority"], unix_ns(r["created_at"]), r["id"]))]


def stuck(records: Records, record: dict[str, Any]) -> bool:
    """Held back by a dependency of its own, or by an ancestor that is."""
    if _done(record):
        return False
    for kind, target in _edges(record):
        other = records.get(target)
        if kind in ("blocks", "conditional-blocks") and other and not _done(other):
            return True
        if kind == "parent-child" and other and not _done(other) and _holds_back(records, other):
            return True
        if kind == "waits-for" and any(not _done(child) for child in _children(records, target)):
            return True
    return False


def _holds_back(records: Records, parent: dict[str, Any]) -> bool:
    return parent["status"] in ("blocked", "deferred") or stuck(records, parent)


def waits(records: Records, bead: str, target: str) -> bool:
    """Return whether `bead` waits, over any number of edges, for `target`."""
    seen, queue = set(), [bead]
    while queue:
        at = queue.pop()
        if at == target:
            return True
        if at not in seen and at in records:
            seen.add(at)
            queue += [other for kind, other in _edges(records[at]) if kind != "related"]
    return False


def _edges(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(row["type"], row["depends_on_id"]) for row in record.get("dependencies", [])]


def _children(records: Records, parent: str) -> list[dict[str, Any]]:
    return [r for r in records.values() if ("parent-child", parent) in _edges(r)]


def _done(record: dict[str, Any]) -> bool:
    return record["status"] in ("closed", "pinned")


def _is_work(record: dict[str, Any]) -> bool:
    return not record.get("pinned") and not record.get("ephemeral") and record["issue_type"] not in ("gate", "message")


def _put_off(record: dict[str, Any], now: int) -> bool:
    return "defer_until" in record and unix_ns(record["defer_until"]) > now


def _below_put_off(records: Records, record: dict[str, Any], now: int) -> bool:
    parents = [records[t] for kind, t in _edges(record) if kind == "parent-child" and t in records]
    return any(not _done(p) and (_put_off(p, now) or _below_put_off(records, p, now)) for p in parents)
