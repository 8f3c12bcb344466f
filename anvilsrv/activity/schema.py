"""The kinds of object in ``<id>/activity``, and the fields of each: the table that the manual, the rules of backends and readers share.

Each object also has ``seq`` ``ts`` ``turn`` ``kind``, and perhaps ``id`` (what later objects refer to), ``parent`` (the id of the
subagent whose step it is) and ``cut`` (bytes left out). An object replaces an earlier one of the same kind and id (of an edit: and n);
``part`` appends to it, and is not a record: it is not kept. Within the daemon a part has the sequences in it that set colours, since
it may begin and end between them; readers get it ``coloured``.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.activity.fields import Colours, Field, Flag, Json, Line, Number, Rows, Text, Texts, Word, taken
from anvilsrv.display import parted

LONG = 1 << 20  # bytes of a prompt, an answer or a diff that is kept
OUTPUT = 256 << 10  # of a tool's output
INPUT = 8 << 10  # of a tool's input
PART = 64 << 10  # of one piece

ORIGINS = ("typed", "queue", "mail", "agent", "command", "undo")
TYPES = ("read", "edit", "delete", "move", "search", "execute", "think", "fetch", "agent", "other")
ENDS = ("ok", "failed", "denied", "interrupted")

PLACES = Rows({"path": Line(4096), "line": Number()})
IMAGES = Rows({"type": Line(80), "size": Number()})
ITEMS = Rows({"id": Line(200), "text": Line(2000), "state": Word(("todo", "doing", "done", "dropped"), "todo")})


@dataclass(frozen=True)
class Kind:
    """``fields`` besides those that every object has. ``grows``: it may come in parts. ``bulk``: it goes first when a session has too
    much. ``once``: what says nothing new is not said again, though it has no id."""

    fields: Mapping[str, Field]
    grows: bool = False
    bulk: bool = False
    once: bool = False


KINDS: dict[str, Kind] = {
    "prompt": Kind({"text": Text(LONG), "origin": Word(ORIGINS)}),
    "text": Kind(
        {"part": Text(PART, colours=True), "text": Text(LONG, colours=True), "colours": Colours(), "void": Flag()}, grows=True
    ),
    "thinking": Kind({"on": Flag(), "seconds": Number(), "text": Text(OUTPUT), "tokens": Number()}),
    "tool": Kind(
        {
            "name": Line(200), "type": Word(TYPES, "other"), "title": Line(), "input": Json(INPUT), "places": PLACES,
            "background": Flag(),
        }
    ),
    "output": Kind(
        {
            "part": Text(PART, colours=True), "text": Text(OUTPUT, colours=True), "colours": Colours(),
            "end": Word(ENDS), "exit": Number(), "seconds": Number(),
            "file": Line(4096), "images": IMAGES,
        },
        grows=True,
        bulk=True,
    ),
    "edit": Kind(
        {
            "n": Number(), "path": Line(4096), "op": Word(("add", "change", "delete", "move"), "change"), "to": Line(4096),
            "line": Number(), "added": Number(), "removed": Number(), "diff": Text(LONG),
        }
    ),
    "ask": Kind(
        {
            "tool": Line(200), "what": Word(("permission", "question", "plan"), "question"), "text": Text(LONG),
            "diff": Text(LONG), "questions": Json(64 << 10), "choices": Texts(),
        }
    ),
    "decision": Kind(
        {"choice": Line(), "text": Text(INPUT), "by": Word(("person", "pane", "agent", "rule", "timeout"), "pane")}
    ),
    "plan": Kind({"items": ITEMS}, once=True),
    "retry": Kind({"attempt": Number(), "of": Number(), "status": Number(), "reason": Line(), "next": Number()}),
    "limit": Kind({"reason": Line(), "until": Number(), "window": Line(80)}, once=True),
    "compact": Kind({"state": Word(("begun", "done")), "why": Line(), "before": Number(), "after": Number()}),
    "subagent": Kind(
        {
            "tool": Line(200), "name": Line(200), "title": Line(), "state": Word(("begun", "ended")), "background": Flag(),
            "model": Line(200),
        }
    ),
    "usage": Kind(
        {
            "input": Number(), "output": Number(), "cached": Number(), "cache_written": Number(), "compacted": Number(),
            "thinking": Number(),
            "context": Number(), "window": Number(), "cost": Number(), "model": Line(200),
        },
        once=True,
    ),
    "session": Kind(
        {"what": Word(("started", "resumed", "cleared", "forked", "model", "mode", "cwd")), "value": Line()}, once=True
    ),
    "note": Kind({"text": Text(INPUT), "level": Line(80)}),
    "end": Kind(
        {
            "how": Word(("answer", "error", "interrupted")), "reason": Line(), "seconds": Number(), "background": Number(),
        }
    ),
}  # fmt: skip
COMMON: dict[str, Field] = {"id": Line(200), "parent": Line(200)}
NEEDS_ID = (
    "tool",
    "output",
    "edit",
    "thinking",
)  # what would be nothing without one; a text without is its turn's answer


def clean(kind: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an object of that kind, made of what ``given`` may say; None if nothing is left. It has neither seq, ts
    nor turn yet.
    """
    known = KINDS[kind]
    fields, left = taken(known.fields, given)
    common, _ = taken(COMMON, given)
    if not fields or (kind in NEEDS_ID and "id" not in common):
        return None
    made: dict[str, Any] = {"kind": kind, **common, **fields}
    if left and "part" not in made:
        made["cut"] = left
    return coloured(made, "text") if known.grows else made


def coloured(made: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object whose text, or part, is plain; where its colours change is a field of its own."""
    text = made.get(name)
    if not isinstance(text, str) or "\x1b" not in text:
        return made
    plain, changes = parted(text)
    return {**made, name: plain, **({"colours": changes} if changes else {})}


def key(made: Mapping[str, Any]) -> str:
    """Return a key that is the same for what it replaces; empty: it replaces nothing."""
    ident = str(made.get("id", ""))
    return f"{ident} {made.get('n', 1)}" if made["kind"] == "edit" else ident
