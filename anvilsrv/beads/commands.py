"""The commands of ``beads/ctl``: a table from the first word to a function.

Each function runs inside one transaction, reads what it needs, checks, and stores; whatever it raises undoes all of it.
It returns the id that the command created or touched.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anvilsrv.beads import graph, jsonl
from anvilsrv.beads.fields import NEW_KEYS, UPDATE_KEYS, change, pair, pairs, titled
from anvilsrv.beads.record import Record, hash_id, id_length, normal, now, unix_ns
from anvilsrv.errors import Conflict, Denied, Exists, Invalid, NotFound, NotPermitted

PREFIX = "bd"
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_REASON = "blocked_reason"

NOTES = 50  # of an import, that its event tells


@dataclass
class Call:
    """One command under way: its transaction, who gave it, and what it will be remembered as."""

    db: sqlite3.Connection
    actor: str
    user: bool
    rev: int
    op: str
    file: jsonl.File = field(default_factory=lambda: jsonl.File([], []))
    more: dict[str, Any] = field(default_factory=dict)

    def get(self, bead_id: str) -> Record:
        record = graph.get(self.db, bead_id)
        if record is None:
            raise NotFound(f"no such bead '{bead_id}'")
        return record

    def put(self, record: Record) -> str:
        """Store a changed record, with the present as its `updated_at`, and settle what depends on it."""
        return self.add(record | {"updated_at": max(now()[1], record["updated_at"], key=unix_ns)})

    def add(self, record: Record) -> str:
        """Store a record as it is."""
        record = normal(record)
        graph.settle(self.db, graph.put(self.db, record, self.rev))
        self.more |= {"status": record["status"], "title": record["title"]}
        bead_id: str = record["id"]
        return bead_id

    def own(self, record: Record) -> Record:
        """Return the record, unless another agent works on it."""
        holder = record.get("assignee")
        if not self.user and record["status"] in ("in_progress", "hooked") and holder not in (None, "", self.actor):
            raise Denied(f"permission denied: '{record['id']}' is claimed by {holder}")
        return record


def run(call: Call, words: Sequence[str]) -> str | None:
    """Run the command `words`. Raises Invalid with the usage if it is not one."""
    return _check(words, call.user).do(call, *words[1:])


def _check(words: Sequence[str], user: bool) -> Command:
    found = COMMANDS.get(words[0]) if words else None
    if found is None:
        raise Invalid(f"invalid beads command '{''.join(words[:1])[:40]}': {' '.join(COMMANDS)}")
    if not found.least <= len(words) - 1 <= found.most:
        raise Invalid(f"invalid arguments; usage: {words[0]} {found.usage}".rstrip())
    if found.user and not user:
        raise Denied(f"permission denied: only the user may {words[0]}")
    return found


def _init(call: Call, prefix: str = "") -> None:
    prefix = prefix.rstrip("-")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise Invalid(f"invalid prefix '{prefix[:40]}': a letter, then letters, digits, '_' and '-', at most 32")
    stored = _prefix(call.db)
    if prefix and prefix != stored and call.db.execute("SELECT 1 FROM bead LIMIT 1").fetchone():
        raise NotPermitted(f"cannot change prefix '{stored}': there are beads")
    call.db.execute("INSERT OR REPLACE INTO meta VALUES ('prefix', ?)", (prefix or stored,))
    call.more["prefix"] = prefix or stored


def _prefix(db: sqlite3.Connection) -> str:
    row = db.execute("SELECT value FROM meta WHERE key = 'prefix'").fetchone()
    return row[0] if row else PREFIX


def _new(call: Call, title: str, *rest: str) -> str:
    words = list(rest)
    description = ""
    if words and not pair(words[0], NEW_KEYS):
        description = words.pop(0)
    given = pairs(words, NEW_KEYS)
    parent = given.pop("parent", "")
    waits = [word for word in given.pop("deps", "").split(",") if word]
    ns, created = now()
    record: Record = {"title": titled(title), "description": description, "priority": 2, "issue_type": "task"}
    record |= {"created_at": created, "created_by": call.actor, "updated_at": created}
    change(record, given)
    record["id"] = _child_id(call, parent) if parent else _fresh_id(call, record, ns)
    record["dependencies"] = [_dependency(call, record["id"], other, "blocks") for other in dict.fromkeys(waits)]
    if parent:
        record["dependencies"].append(_dependency(call, record["id"], parent, "parent-child"))
    return call.add(record)


def _fresh_id(call: Call, record: Record, ns: int) -> str:
    count = call.db.execute("SELECT count(*) FROM bead").fetchone()[0]
    text = (record["title"], record.get("description", ""), call.actor, ns)
    for length in range(id_length(count), 9):
        for nonce in range(10):
            bead_id = hash_id(_prefix(call.db), *text, length, nonce)
            if not call.db.execute("SELECT 1 FROM bead WHERE id = ?", (bead_id,)).fetchone():
                return bead_id
    raise Conflict("no free id: try again")


def _child_id(call: Call, parent: str) -> str:
    call.get(parent)
    found = call.db.execute("SELECT id FROM bead WHERE id > ? AND id < ?", (parent + ".", parent + "/"))
    tails = [row[0][len(parent) + 1 :] for row in found]
    return f"{parent}.{max([0, *(int(tail) for tail in tails if tail.isascii() and tail.isdigit())]) + 1}"


def _dependency(call: Call, bead_id: str, target: str, kind: str) -> Record:
    call.get(target)
    row = {"issue_id": bead_id, "depends_on_id": target, "type": kind, "created_at": now()[1]}
    return row | {"created_by": call.actor}


def _claim(call: Call, bead_id: str) -> str:
    record = call.get(bead_id)
    holder = record.get("assignee", "")
    if record["status"] != "open":
        raise Conflict(f"'{bead_id}' is not open: {record['status']}{' by ' + holder if holder else ''}")
    if holder not in ("", call.actor):
        raise Conflict(f"'{bead_id}' is assigned to {holder}")
    other = graph.obstacle(call.db, bead_id)
    if other is not None:
        raise Conflict(f"'{bead_id}' waits for '{other}'")
    start = record.get("started_at") or now()[1]
    return call.put(record | {"status": "in_progress", "assignee": call.actor, "started_at": start})


def _unclaim(call: Call, bead_id: str) -> str:
    record = call.own(call.get(bead_id))
    if record["status"] not in ("in_progress", "hooked"):
        raise NotPermitted(f"'{bead_id}' is not claimed: {record['status']}")
    return call.put(_free(record) | {"status": "open"})


def _complete(call: Call, bead_id: str, reason: str = "") -> str:
    record = call.own(call.get(bead_id))
    if record["status"] == "closed":
        raise NotPermitted(f"'{bead_id}' is already closed")
    other = graph.obstacle(call.db, bead_id)
    if other is not None and not call.user:
        raise Conflict(f"'{bead_id}' waits for '{other}'")
    closing = {"status": "closed", "closed_at": now()[1]} | ({"close_reason": reason} if reason else {})
    return call.put(_unblocked(record) | closing)


def _fail(call: Call, bead_id: str, reason: str) -> str:
    record = call.own(call.get(bead_id))
    if record["status"] == "closed":
        raise NotPermitted(f"'{bead_id}' is already closed")
    if not reason.strip():
        raise Invalid("fail needs a reason")
    record = _commented(call, record, f"failed: {reason}")
    metadata = record.get("metadata", {})
    if isinstance(metadata, dict):
        record["metadata"] = metadata | {_REASON: reason}
    return call.put(record | {"status": "blocked"})


def _reopen(call: Call, bead_id: str) -> str:
    record = call.get(bead_id)
    if record["status"] not in ("closed", "blocked", "deferred"):
        raise NotPermitted(f"'{bead_id}' is not closed, blocked or deferred: {record['status']}")
    for key in ("close_reason", "defer_until"):
        record.pop(key, None)
    return call.put(_free(_unblocked(record)) | {"status": "open"})


def _free(record: Record) -> Record:
    return {key: value for key, value in record.items() if key != "assignee"}


def _unblocked(record: Record) -> Record:
    metadata = record.get("metadata")
    if not isinstance(metadata, dict) or _REASON not in metadata:
        return record
    rest = {key: value for key, value in metadata.items() if key != _REASON}
    return record | {"metadata": rest or None}


def _dep(call: Call, child: str, parent: str, kind: str = "blocks") -> str:
    bead_id, target = _direction(child, parent, kind)
    record = call.get(bead_id)
    row = _dependency(call, bead_id, target, kind)
    graph.refuse_cycle(call.db, bead_id, target, kind)
    rows = record.get("dependencies", [])
    if any(r["depends_on_id"] == target and r["type"] == kind for r in rows):
        raise Exists(f"dependency already exists: '{bead_id}' on '{target}'")
    call.more["depends_on_id"] = target
    return call.put(record | {"dependencies": [*rows, row]})


def _undep(call: Call, child: str, parent: str, kind: str = "blocks") -> str:
    bead_id, target = _direction(child, parent, kind)
    rows = (record := call.get(bead_id)).get("dependencies", [])
    left = [r for r in rows if not (r["depends_on_id"] == target and r["type"] == kind)]
    if len(left) == len(rows):
        raise NotFound(f"no such dependency: '{bead_id}' on '{target}'")
    call.more["depends_on_id"] = target
    return call.put(record | {"dependencies": left})


def _direction(child: str, parent: str, kind: str) -> tuple[str, str]:
    """Return who depends on whom: a parent waits for its child, except that bd notes a parent-child edge at the child."""
    if not re.fullmatch(r"[a-z][a-z-]{0,49}", kind):
        raise Invalid(f"invalid kind of dependency '{kind[:40]}': must be lower-case letters and '-', such as blocks")
    return (child, parent) if kind == "parent-child" else (parent, child)


def _update(call: Call, bead_id: str, *words: str) -> str:
    record = call.own(call.get(bead_id))
    before = record["status"]
    change(record, pairs(words, UPDATE_KEYS))
    held = record["status"] in ("in_progress", "hooked")
    if held and not call.user and record.get("assignee") != call.actor:
        raise Denied(f"'{bead_id}' cannot be assigned: the session that will work on it takes it with claim")
    if record["status"] == "closed" != before:
        record["closed_at"] = now()[1]
    return call.put(record)


def _label(call: Call, bead_id: str, *words: str) -> str:
    record = call.get(bead_id)
    labels = dict.fromkeys(record.get("labels", []))
    for word in words:
        name = word.removeprefix("+").removeprefix("-")
        if not name or re.search(r"[\s,]", name):
            raise Invalid(f"invalid label '{word[:40]}': +NAME or -NAME, without spaces and commas")
        if word.startswith("-"):
            labels.pop(name, None)
        else:
            labels[name] = None
    return call.put(record | {"labels": list(labels)})


def _comment(call: Call, bead_id: str, text: str) -> str:
    if not text.strip():
        raise Invalid("a comment needs text")
    return call.put(_commented(call, call.get(bead_id), text))


def _commented(call: Call, record: Record, text: str) -> Record:
    rows = record.get("comments", [])
    taken = {str(row.get("id")) for row in rows}
    number = next(n for n in range(len(rows) + 1, 2 * len(rows) + 2) if f"{record['id']}-c{n}" not in taken)
    row = {"id": f"{record['id']}-c{number}", "issue_id": record["id"], "author": call.actor, "text": text}
    return record | {"comments": [*rows, row | {"created_at": now()[1]}]}


def file_of(words: Sequence[str], user: bool) -> jsonl.File:
    """Return what the command will import, read before the store is locked; nothing for the other commands."""
    if words[:1] != ["import"]:
        return jsonl.File([], [])
    _check(words, user)
    return jsonl.read(_path(words[1]))


def _import(call: Call, file: str) -> None:
    call.more["count"] = jsonl.load(call.db, call.file.records, call.rev)
    if call.file.notes:
        call.more["notes"] = call.file.notes[:NOTES]


def export(db: sqlite3.Connection | None, words: Sequence[str], user: bool) -> None:
    """Write every bead to a file: the one command that only reads."""
    _check(words, user)
    jsonl.save(db, _path(words[1]))


def _path(word: str) -> Path:
    try:
        path = Path(word).expanduser()
    except RuntimeError as error:
        raise Invalid(str(error).lower()) from None
    if not path.is_absolute():
        raise Invalid(f"invalid path '{word[:200]}': not absolute")
    return path


@dataclass(frozen=True)
class Command:
    """A function with the number of words it takes after its name; `user` if agents may not call it."""

    do: Callable[..., str | None]
    usage: str
    least: int
    most: int
    user: bool = False


_MANY = 1000
COMMANDS: Mapping[str, Command] = {
    "init": Command(_init, "[prefix]", 0, 1),
    "new": Command(_new, "'title' ['description'] [key=value…]", 1, _MANY),
    "claim": Command(_claim, "<id>", 1, 1),
    "unclaim": Command(_unclaim, "<id>", 1, 1),
    "complete": Command(_complete, "<id> ['reason']", 1, 2),
    "fail": Command(_fail, "<id> 'reason'", 2, 2),
    "reopen": Command(_reopen, "<id>", 1, 1),
    "dep": Command(_dep, "<child> <parent> [kind]", 2, 3),
    "undep": Command(_undep, "<child> <parent> [kind]", 2, 3),
    "update": Command(_update, "<id> key=value…", 2, _MANY),
    "label": Command(_label, "<id> label… -label…", 2, _MANY),
    "comment": Command(_comment, "<id> 'text'", 2, 2),
    "import": Command(_import, "<file>", 1, 1, user=True),
    "export": Command(lambda *_: None, "<file>", 1, 1, user=True),
}
