"""What a person has edited in the list of sessions and not put yet: rows deleted, aliases changed, lines added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from acme.lib import rows


class Edits:
    """`removed` and `renamed` are by the ids of sessions; `refused` is what Put was refused, shown in the row."""

    def __init__(self) -> None:
        self.removed: set[str] = set()
        self.renamed: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.spoilt: set[str] = set()  # of rows with more changed than Put can do
        self._warned = False  # Get has said that they would be lost

    def __bool__(self) -> bool:
        return bool(self.removed or self.renamed)

    def warn(self) -> bool:
        """Return whether the person is to be told that they would be lost: once."""
        told, self._warned = self._warned, True
        return bool(self) and not told

    def notice(self, body: str, shown: Sequence[str]) -> bool:
        """See what the person has changed of the rows `shown`; whether that is anything new. A row is deleted when its id stands
        nowhere any more."""
        if not self and body.startswith("".join(f"{row}\n" for row in shown)):
            self.spoilt = set()
            return False  # as it was drawn
        before = self.removed.copy(), self.renamed.copy()
        there = _lines(body)
        self.spoilt = set()
        self.removed = {id for id in self.removed if not rows.stands(body, id)}
        for row in shown:
            id = rows.key(row)
            if not rows.ours(row) or len(id) != 8 or "\t" not in row:
                continue
            line = there.get(id)
            if line is None:
                self.removed |= set() if rows.stands(body, id) else {id}
                continue
            if not _whole(line, row):
                self.spoilt.add(id)
                continue
            name = rows.alias(line)
            if name != rows.alias(row):
                self.renamed[id] = name
            elif self.renamed.get(id, name) != name:
                del self.renamed[id]  # it was written back
        return before != (self.removed, self.renamed)

    def settle(self, aliases: Mapping[str, str]) -> None:
        """Settle edits that have taken effect: they are not edits any more; `aliases` are those of the sessions there
        are, by id.
        """
        self.removed &= aliases.keys()
        self.renamed = {id: name for id, name in self.renamed.items() if aliases.get(id, name) != name}

    def undone(self, body: str, shown: Sequence[str]) -> list[str]:
        """Return, after an Undo, which takes back what came on its own too, the rows that are there, or were deleted on
        purpose.
        """
        there = _lines(body)
        self.removed = {id for id in self.removed if not rows.stands(body, id)}
        self.renamed = {}
        kept = [row for row in shown if rows.key(row) in there or rows.key(row) in self.removed]
        self.notice(body, kept)
        return kept

    def lines(self, label: Callable[[str], str]) -> list[str]:
        """Return the same as lines that Put would do."""
        return [f"- {label(id)}" for id in sorted(self.removed)] + [
            f"Alias {id} {name}" for id, name in self.renamed.items()
        ]


def _whole(line: str, row: str) -> bool:
    """Return whether all of a row but its alias is in a line: else what is first there is perhaps no alias, but the row
    before it.
    """
    return line.partition("\t")[2].lstrip("\t").startswith(row.partition("\t")[2].lstrip("\t"))


def _lines(body: str) -> dict[str, str]:
    there: dict[str, str] = {}
    for line in body.split("\n"):
        there.setdefault(rows.key(line), line)
    return there


def typed_lines(body: str, shown: Sequence[str]) -> list[str]:
    """Return the lines that are none of the rows."""
    keys = {rows.key(row) for row in shown}
    return [line for line in body.split("\n") if line.strip() and rows.key(line) not in keys]
