"""Reading ``tools:`` and ``follow:`` of a backend's file: which files of an agent are followed, and what their lines mean.

Defaults stand here and nowhere else.
"""

import re
from typing import Any

from anvilsrv.activity.fields import Field, Rows, Word
from anvilsrv.activity.schema import COMMON, KINDS, TYPES
from anvilsrv.backends.follow import HOW, Follow, Tell, Tool
from anvilsrv.backends.sources import Members, Source, Words
from anvilsrv.backends.tables import Table
from anvilsrv.backends.templates import unknown_names

PLACES = ("DATA", "CONVERSATION", "ID")
TRANSCRIPT = "transcript"


def tools(body: Table) -> dict[str, Tool]:
    """Return the table ``tools``."""
    below = body.table("tools")
    return {str(name): _tool(below.table(name)) for name in list(below.rest)}


def _tool(table: Table) -> Tool:
    made = Tool(table.one_of("type", TYPES, "other"), table.text("title", None), table.text("places", None))
    table.end()
    return made


def follows(body: Table) -> tuple[Follow, ...]:
    """Return the rows of ``follow``."""
    return tuple(_follow(one) for one in body.tables("follow"))


def _follow(table: Table) -> Follow:
    path, hooks = table.text("path", ""), table.words("hooks", ())
    if bool(path) == bool(hooks):
        raise table.wrong(None, "must have either a path or hooks")
    if path and path != TRANSCRIPT:
        unknown = unknown_names(path, PLACES)
        if unknown or not path.startswith("{DATA}/") or ".." in path.split("/"):
            raise table.wrong(
                "path", "must be transcript, or a path that begins with {DATA}/, with {CONVERSATION} or {ID} in it"
            )
    made = Follow(
        path=path,
        how=table.one_of("as", HOW, "json"),
        hooks=hooks,
        tell=tuple(_tell(one) for one in table.tables("tell")),
        fresh=table.flag("fresh", False),
        end=table.flag("end", False),
    )
    table.end()
    return made


def _tell(table: Table) -> Tell:
    kind = table.one_of("kind", tuple(KINDS))
    made = Tell(
        kind=kind,
        when=conditions(table, "when"),
        unless=conditions(table, "unless"),
        match=conditions(table, "match"),
        each=table.text("each", None),
        index=table.text("index", None),
        turn=table.text("told_in", None),
        at=table.text("at", None),
        later=table.flag("later", False),
        of_tool=table.text("of_tool", None),
        created=table.text("created", None),
        fields={name: source(table, name, field) for name, field in {**COMMON, **KINDS[kind].fields}.items() if name in table.rest},
    )  # fmt: skip
    table.end()
    return made


def source(table: Table, name: str, field: Field) -> Source:
    """Return where a field comes from."""
    value: Any = table.rest[name]
    if isinstance(value, dict):
        below = table.table(name)
        made = _members(below, field) if isinstance(field, Rows) else _words(below, field)
        below.end()
        return made
    table.take(name)
    if not isinstance(value, str | bool | int | float):
        raise table.wrong(name, "must be a path, a number, or true or false")
    return value


def _words(table: Table, field: Field) -> Words:
    of = table.text("of")
    known = field.words if isinstance(field, Word) else ()
    found = [(str(word), table.compiled(word, table.take(word))) for word in list(table.rest) if word in known]
    return Words(of, tuple(found))


def _members(table: Table, field: Rows) -> Members:
    each = table.text("each")
    return Members(each, {name: source(table, name, one) for name, one in field.fields.items() if name in table.rest})


def conditions(table: Table, key: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return a table: path → pattern; ``true``: it must be there."""
    below = table.table(key)
    return tuple((path, below.compiled(path, "" if value is True else value)) for path, value in below.rest.items())
