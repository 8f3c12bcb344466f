"""One bead as a record of ``bd`` (github.com/steveyegge/beads): its fields, its id, its times.

A record is the JSON object that stands on one line of ``issues.jsonl``, with the keys of bd in bd's order and every key
that bd does not know kept behind them. What is derived (counts, the ``_type`` mark) is not part of it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from anvilsrv import words
from anvilsrv.errors import Invalid

Record = dict[str, Any]

STATUSES = words.BEAD_STATUSES
DONE = ("closed", "pinned")
"""Statuses in which a bead blocks no other."""
TYPES = words.BEAD_TYPES
BLOCKING = ("blocks", "conditional-blocks")
NOT_WORK = ("merge-request", "gate", "molecule", "message", "agent", "role", "rig")
"""Types that `ready` never offers."""
COUNTS = ("dependency_count", "dependent_count", "comment_count")
TITLE_MAX = 500

KEYS = (
    *("id", "title", "description", "design", "acceptance_criteria", "notes", "spec_id", "status", "priority"),
    *("issue_type", "assignee", "owner", "estimated_minutes", "created_at", "created_by", "updated_at", "started_at"),
    *("closed_at", "close_reason", "closed_by_session", "due_at", "defer_until", "external_ref", "source_system"),
    *("metadata", "compaction_level", "compacted_at", "compacted_at_commit", "original_size", "labels", "dependencies"),
    *(
        "comments",
        "sender",
        "ephemeral",
        "no_history",
        "wisp_type",
        "pinned",
        "is_template",
        "bonded_from",
        "await_type",
    ),
    *("await_id", "timeout", "waiters", "source_formula", "source_location", "mol_type", "work_type", "event_kind"),
    *("actor", "target", "payload"),
)
_ORDER = {key: n for n, key in enumerate(KEYS)}
_TEXTS = ("description", "design", "acceptance_criteria", "notes", "assignee", "owner", "created_by", "close_reason")
_TIMES = ("created_at", "updated_at", "started_at", "closed_at", "due_at", "defer_until")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
_STATUS = re.compile(r"[a-z][a-z0-9_-]*")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?([Zz]|[+-]\d\d:?\d\d)?")
_AHEAD = re.compile(r"\+(\d{1,6})([mhdw])")
_SPAN = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_BYTES = {3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 8: 5}


def now() -> tuple[int, str]:
    """Return the present as Unix nanoseconds and as text."""
    ns = time.time_ns()
    return ns, time_text(ns)


def time_text(ns: int) -> str:
    """Return the time as RFC 3339 in UTC with as many digits of the second as needed."""
    seconds, rest = divmod(ns, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return (datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def unix_ns(text: str) -> int:
    """Return nanoseconds since 1970 of an RFC 3339 time (UTC if no zone is given). Raises Invalid if it is not one."""
    match = _TIME.fullmatch(text)
    if match:
        day, clock, fraction, zone = match.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if (zone or 'Z') in 'Zz' else zone}")
            seconds = (moment - datetime.fromtimestamp(0, UTC)) // timedelta(seconds=1)
            return seconds * 1_000_000_000 + int((fraction or "0").ljust(9, "0")[:9])
        except (ValueError, OverflowError):
            pass
    raise Invalid(f"invalid time '{text[:60]}' (2026-01-31T12:00:00Z)")


def parse_time(text: str) -> str:
    """Return a time that a person wrote: RFC 3339, a day (``2026-01-31``), or ahead from now (``+2h``, ``+3d``)."""
    ahead = _AHEAD.fullmatch(text)
    try:
        if ahead:
            return time_text(time.time_ns() + int(ahead[1]) * (_SPAN[ahead[2]] // timedelta(seconds=1)) * 1_000_000_000)
        return time_text(unix_ns(text + "T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text))
    except OverflowError:
        raise Invalid(f"invalid time '{text}'") from None


def hash_id(prefix: str, title: str, description: str, creator: str, ns: int, length: int, nonce: int) -> str:
    """Return the id that bd gives (internal/idgen/hash.go): base36 of the first bytes of a SHA-256, `length` 3 to 8."""
    digest = hashlib.sha256(f"{title}|{description}|{creator}|{ns}|{nonce}".encode()).digest()
    number = int.from_bytes(digest[: _ID_BYTES[length]], "big")
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits = _BASE36[digit] + digits
    return f"{prefix}-{digits}"


def id_length(count: int) -> int:
    """Return the least length at which the odds of a collision among `count` beads stay at or below a quarter."""
    return next((n for n in range(3, 8) if 1 - math.exp(-(count**2) / (2 * 36**n)) <= 0.25), 8)


def check_id(bead_id: object) -> str:
    """Return the id if it may name a directory of the tree. Raises Invalid otherwise."""
    if not isinstance(bead_id, str) or not _ID.fullmatch(bead_id) or bead_id in ("ctl", "list", "ready"):
        raise Invalid(f"invalid bead id {json.dumps(bead_id)[:60]}")
    return bead_id


def check_title(title: object) -> str:
    """Return a title of 1 to 500 characters on one line. Raises Invalid otherwise."""
    if not isinstance(title, str) or not title.strip():
        raise Invalid("a bead needs a title")
    if len(title) > TITLE_MAX:
        raise Invalid(f"title of {len(title)} characters: at most {TITLE_MAX}")
    return title


def normal(record: Mapping[str, Any]) -> Record:
    """Return the record complete and in order, its invariants checked, with the defaults of bd. Raises Invalid if it
    cannot be.
    """
    new: Record = {
        key: value for key, value in record.items() if value is not None and key not in COUNTS and key != "_type"
    }
    check_id(new.get("id"))
    check_title(new.get("title"))
    for key in _TEXTS:
        if not isinstance(new.get(key, ""), str):
            raise Invalid(f"{key} must be a string")
    if isinstance(new.get("description"), str) and not new["description"]:
        del new["description"]
    _normal_state(new)
    _normal_times(new)
    _normal_lists(new)
    return dict(sorted(new.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER))))


def _normal_state(new: Record) -> None:
    status = new.setdefault("status", "open") or "open"
    if not isinstance(status, str) or not _STATUS.fullmatch(status):
        raise Invalid(f"invalid status {json.dumps(status)[:60]}")
    new["status"] = status
    priority = new.setdefault("priority", 2)
    if type(priority) is not int or not 0 <= priority <= 4:
        raise Invalid(f"invalid priority {json.dumps(priority)[:60]}: must be 0 to 4")
    kind = new.get("issue_type") or "task"
    if not isinstance(kind, str):
        raise Invalid("issue_type must be a string")
    new["issue_type"] = kind
    minutes = new.get("estimated_minutes", 0)
    if type(minutes) is not int or minutes < 0:
        raise Invalid(f"estimated_minutes must be a number from 0: {json.dumps(minutes)[:60]}")


def _normal_times(new: Record) -> None:
    for key in _TIMES:
        if key in new:
            if not isinstance(new[key], str):
                raise Invalid(f"{key} must be a time (such as 2026-01-31T12:00:00Z)")
            unix_ns(new[key])
    new.setdefault("created_at", new.get("updated_at") or now()[1])
    new.setdefault("updated_at", new["created_at"])
    if new["status"] == "closed":
        new.setdefault("closed_at", new["updated_at"])
    else:
        new.pop("closed_at", None)


def _normal_lists(new: Record) -> None:
    labels = new.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise Invalid("labels must be a list of strings")
    for key in ("dependencies", "comments"):
        rows = new.get(key, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Invalid(f"{key} must be a list of objects")
        for row in rows:
            if row.setdefault("issue_id", new["id"]) != new["id"]:
                raise Invalid(f"{key} of '{row['issue_id']}' inside '{new['id']}'")
    for row in new.get("dependencies", []):
        row.setdefault("type", "blocks")
        if not all(isinstance(row.get(key), str) and row[key] for key in ("depends_on_id", "type")):
            raise Invalid("a dependency needs depends_on_id and type")
    for key in ("labels", "dependencies", "comments"):
        if key in new and not new[key]:
            del new[key]
