"""What a person has edited in the list of tasks: cells that were changed, rows that were deleted or marked, tasks that were added."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from acme.lib import table
from anvilsrv.errors import Invalid

Command = list[str]  # of `beads/ctl`
_NAMES = ("id", "priority", "status", "assignee", "title")
_MARKED = re.compile(r"-\s*(\S+)")


def said(line: str) -> str:
    """Return a line without what was refused."""
    return line.split("\t! ")[0].rstrip()


def typed(body: str, rows: Sequence[str]) -> list[str]:
    """Return the lines that are none of the rows."""
    known = {table.key(row) for row in rows}
    return [line for line in body.split("\n") if line.strip() and table.key(line) not in known]


def edited(body: str, rows: Sequence[str]) -> list[str]:
    """Return the rows as they are there, if they are not as they were drawn; a mark is among what was typed."""
    known = {table.key(row) for row in rows}
    there = [said(line) for line in body.split("\n") if table.key(line) in known]
    return [] if there == [row.rstrip() for row in rows] else there or [""]


@dataclass(frozen=True, slots=True)
class Todo:
    """One change: the task whose row it is about (none: the line was typed), the line, and what is to be done, which may be refused."""

    id: str
    line: str
    commands: Callable[[], list[Command]]


def todo(body: str, rows: Sequence[str], named: Callable[[str], str]) -> list[Todo]:
    """Return what is to be done; `named` makes an id of an alias."""
    there = {table.key(line): said(line) for line in reversed(body.split("\n"))}
    lines = list(dict.fromkeys(map(said, typed(body, rows))))
    marked = {mark[1]: line for line in lines if (mark := _MARKED.match(line))}
    rest = "\n".join(line for line in body.split("\n") if not _MARKED.match(line))
    found: list[Todo] = []
    for row in rows:
        id = table.key(row)
        if id in marked:
            continue
        if id not in there:
            found.append(Todo(id, row, partial(_deleted, id, rest)))
        elif there[id] != row.rstrip():
            found.append(Todo(id, there[id], partial(_changed, row, there[id], named)))
    for line in lines:
        word, _, title = line.strip().partition(" ")
        if word == "New" and title.strip():
            found.append(Todo("", line, partial(_command, "new", title.strip())))
    return [*found, *(Todo("", line, partial(_command, "complete", id)) for id, line in marked.items())]


def _command(*words: str) -> list[Command]:
    return [list(words)]


def _deleted(id: str, rest: str) -> list[Command]:
    if re.search(rf"{re.escape(id)}(?![\w-]|\.\d)", rest):
        raise Invalid(f"the line no longer begins with its id; to close the task, write '- {id}'")
    return [["complete", id]]


def _changed(row: str, line: str, named: Callable[[str], str]) -> list[Command]:
    before, after = _cells(row), _cells(line)
    new = {name: cell for name, cell in after.items() if cell != before[name]}
    if "assignee" in new:
        new["assignee"] = "" if new["assignee"] == "-" else named(new["assignee"])
    if new.get("title") == "":
        raise Invalid("no title")
    status = new.pop("status", "")
    end = [["complete", after["id"]]] if status == "closed" else []
    if status and not end:
        new["status"] = status
    return [*([["update", after["id"], *(f"{name}={value}" for name, value in new.items())]] if new else []), *end]


def _cells(line: str) -> dict[str, str]:
    cells = [cell.strip() for cell in re.split(r"\t+", line.strip(), maxsplit=len(_NAMES) - 1)]
    if len(cells) != len(_NAMES):
        raise Invalid(f"expected five tab-separated columns: {', '.join(_NAMES)}")
    return dict(zip(_NAMES, cells, strict=True))
