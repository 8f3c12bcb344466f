"""Rows of ``follow:``: which files of an agent are followed, and what a line of one, or a hook, means as an object of activity.

Where the fields of an object are read from: ``sources.py``.

What an agent says is hostile: every object goes through ``activity/schema.py``. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from anvilsrv.activity import diffs
from anvilsrv.activity.fields import Field, Line
from anvilsrv.activity.running import NAMELESS
from anvilsrv.activity.schema import KINDS, PART, clean
from anvilsrv.backends import templates
from anvilsrv.backends.rules import Conditions, matches_all, matches_any, moment
from anvilsrv.backends.sources import MEMBER, Source, field_of, fitting, members, text_of, value_of
from anvilsrv.backends.typed import bounded
from anvilsrv.display import whole_up_to

PIECE = PART // 4  # characters of one part
SHORT = 80  # characters of a value by which rows are known
KNOWN = 200  # such values
HOW = ("json", "lines", "bytes", "document")


@dataclass(frozen=True)
class Tool:
    """What is shown of the uses of one tool: its type, and paths into its input."""

    type: str
    title: str | None = None
    places: str | None = None


@dataclass(frozen=True)
class Tell:
    """One row: an object of ``kind`` for each line that it is for, or for ``each`` member of a list in it.

    ``match``: the groups of these patterns are fields of the line too. ``index`` puts parts in order that were written side by side.
    ``later``: it comes after what other files say that was written at the same time. ``of_tool``: the output of a use of that tool, of
    whose id nothing is known; ``id`` is then the name of the file that it stands in. The use of a tool without ``id`` gets one.
    ``created``: the whole text of a file that an edit made, of which its diff follows.
    """

    kind: str
    when: Conditions = ()
    unless: Conditions = ()
    match: Conditions = ()
    each: str | None = None
    fields: Mapping[str, Source] = field(default_factory=dict)
    index: str | None = None
    turn: str | None = None
    at: str | None = None
    later: bool = False
    of_tool: str | None = None
    created: str | None = None

    def read(self, line: Mapping[str, Any], tools: Mapping[str, Tool]) -> Iterator["Said"]:
        """Yield the objects in a line."""
        for member in [line] if self.each is None else members(line, self.each):
            seen = self._matched(member)
            if seen is None or not matches_all(seen, self.when) or matches_any(seen, self.unless):
                continue
            given = {
                name: value for name, source, one in self._sources if (value := value_of(source, seen, one)) is not None
            }
            if "id" not in self.fields and (self.kind == "tool" or self.of_tool):
                given["id"] = NAMELESS
            if self.kind == "tool":
                given = described(given, tools)
            elif self.kind == "edit":
                given = counted_edit(self._new(given, seen))
            for piece in pieces(given):
                made = clean(self.kind, piece)
                if made is not None:
                    of_tool = self._use(seen)
                    yield Said(
                        made, self._index(seen), self._text(self.turn, seen), self._at(seen), self.later, of_tool
                    )

    @cached_property
    def _sources(self) -> tuple[tuple[str, Source, Field], ...]:
        """Each field that is told: its name, its source, and what it takes."""
        return tuple((name, source, field_of(self.kind, name)) for name, source in self.fields.items())

    def may(self, path: str, value: str) -> bool:
        """Return whether it may be for a line that has this value there."""
        return bool(self.match) or all(pattern.search(value) for where, pattern in self.when if where == path)

    def _matched(self, line: Mapping[str, Any]) -> Mapping[str, Any] | None:
        for path, pattern in self.match:
            value = templates.dig(line, path)
            found = pattern.search(bounded(value)) if isinstance(value, str) else None
            if found is None:
                return None
            line = {**line, **{name: text for name, text in found.groupdict().items() if text is not None}}
        return line

    def _new(self, given: dict[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
        text = (
            text_of(self.created, line) if self.created and given.get("op") == "add" and "diff" not in given else None
        )
        return {**given, "diff": diffs.between("", text)} if text else given

    def _use(self, line: Mapping[str, Any]) -> str:
        found = value_of(self.of_tool, line, Line()) if self.of_tool else None
        return found if isinstance(found, str) else ""

    def _index(self, line: Mapping[str, Any]) -> int | None:
        value = templates.dig(line, self.index) if self.index else None
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

    @staticmethod
    def _text(path: str | None, line: Mapping[str, Any]) -> str:
        value = templates.dig(line, path) if path else None
        return value if isinstance(value, str) else ""

    def _at(self, line: Mapping[str, Any]) -> float | None:
        found = moment(templates.dig(line, self.at)).get("mono") if self.at else None
        return found if isinstance(found, float) else None


class Said(NamedTuple):
    """An object that a line told; of which turn (the agent's own name for it), when (monotonic, s), and the output of which tool."""

    made: dict[str, Any]
    nth: int | None = None
    turn: str = ""
    at: float | None = None
    later: bool = False
    of_tool: str = ""


@dataclass(frozen=True)
class Follow:
    """One entry. ``path`` is a template below {DATA}, in which ``*`` stands for what is there; ``transcript`` is the agent's
    transcript; none where ``hooks`` tell. ``fresh``: the file is removed before the agent starts. ``end``: what stands in it when it is
    met is old."""

    path: str
    how: str
    hooks: tuple[str, ...]
    tell: tuple[Tell, ...]
    fresh: bool = False
    end: bool = False

    def rows(self, line: Mapping[str, Any]) -> Sequence[Tell]:
        """Return the rows that a line may be for, by what it has where most of them look: a file of small pieces asks
        for the same few again and again.
        """
        value = templates.dig(line, self._looks) if self._looks else None
        if not isinstance(value, str) or len(value) > SHORT:
            return self.tell
        found = self.known.get(value)
        if found is None:
            found = tuple(row for row in self.tell if row.may(self._looks, value))
            if len(self.known) < KNOWN:
                self.known[value] = found
        return found

    @cached_property
    def _looks(self) -> str:
        """The path for which most rows have a condition; empty: none has."""
        paths = Counter(path for row in self.tell for path, _ in row.when if path.partition(".")[0] not in MEMBER)
        return max(paths, key=paths.__getitem__, default="")

    @cached_property  # the thread of the files alone adds to it
    def known(self) -> dict[str, tuple[Tell, ...]]:
        """The rows by such a value, as they were found."""
        return {}


def pieces(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the same, a long part in several."""
    part = given.get("part")
    if not isinstance(part, str) or len(part) <= PIECE:
        return [given]
    found = []
    while part:
        end = whole_up_to(part, PIECE)
        found.append({**given, "part": part[:end]})
        part = part[end:]
    return found


def counted_edit(given: dict[str, Any]) -> dict[str, Any]:
    """Return an edit with what its diff says."""
    diff = given.get("diff")
    return {**diffs.counted(diff), **given} if isinstance(diff, str) else given


def described(given: dict[str, Any], tools: Mapping[str, Tool]) -> dict[str, Any]:
    """Return a tool with the type, title and places that follow from its name and input."""
    name, found = str(given.get("name", "")), given.get("input")
    alike = (one for known, one in tools.items() if known.endswith("*") and name.startswith(known[:-1]))
    tool = tools.get(name) or next(alike, None)
    made = {**({"type": tool.type if tool else "other"} if name else {}), **given}
    if isinstance(found, Mapping):
        title = text_of(tool.title, found) if tool is not None and tool.title else None
        made.setdefault("title", title or next((one for one in found.values() if isinstance(one, str)), name))
        places = templates.dig(found, tool.places) if tool is not None and tool.places else None
        if places:
            made.setdefault("places", fitting(places, KINDS["tool"].fields["places"]))
    return made
