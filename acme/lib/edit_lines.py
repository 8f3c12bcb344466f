"""What an agent has changed, beneath the lines of its log that tell of it: `activity` has the diffs, `log` the lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from acme.lib import patch
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError
from anvilsrv.front.turns import objects

_MOST = 60  # lines of a diff that are shown
_WAITING = 200  # edits whose line has not come
_INDENT = "\t\t"
MINUS = "−"  # what the line of an edit has, and seldom another
_LINE = re.compile(rf"(?m)^\t(?:  )?· .+ \+\d+ {MINUS}\d+\n")


def edits(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the edits among lines of `activity`, those that have a diff."""
    try:
        found = objects(line for line in lines if '"edit"' in line)
    except AnvilError:
        return []
    return [one for one in found if one["kind"] == "edit" and one.get("path") and isinstance(one.get("diff"), str)]


def drawn(edit: dict[str, Any]) -> str:
    """Return each hunk beneath its address, which a right click opens; if none has a place, the file is the address."""
    path, lines = one_line(str(edit["path"])), list[str]()
    found = [hunk for hunk in patch.hunks(edit["diff"]) if hunk.is_text]
    for hunk in found:
        lines += [f"{path}:{hunk.first}", *hunk.lines[1:]]
    if not found and "@@" in (told := edit["diff"].rstrip("\n").split("\n")):
        lines = [path if edit.get("line") is None else f"{path}:{edit['line']}", *(one for one in told if one != "@@")]
    more = len(lines) - _MOST
    if more > 0:
        lines[_MOST:] = [f"... {more} more lines"]
    return "".join(f"{_INDENT}{line}\n" for line in lines)


def all_told(text: str) -> bool:
    """Return whether the last edit in a log has its diff beneath it. Edits are reported in their order."""
    found = list(_LINE.finditer(text))
    return bool(found) and text.startswith(_INDENT, found[-1].end())


class Waiting:
    """Edits that were told, until the lines of the log come beneath which they belong."""

    def __init__(self) -> None:
        self._edits: list[tuple[str, str]] = []  # how the line ends, and what is to stand beneath it

    def __bool__(self) -> bool:
        return bool(self._edits)

    def add(self, found: Iterable[dict[str, Any]]) -> None:
        for edit in found:
            line = f":{edit['line']}" if edit.get("line") is not None else ""
            counts = f" +{edit['added']} {MINUS}{edit['removed']}" if "added" in edit and "removed" in edit else ""
            text = drawn(edit)
            if text:
                self._edits.append((f" {one_line(str(edit['path']))}{line}{counts}\n", text))
        del self._edits[:-_WAITING]

    def places(self, text: str) -> list[tuple[int, str]]:
        """Return where in a text what belongs, last place first; it waits no more. A line that has something beneath it
        is not meant.
        """
        found: dict[int, str] = {}
        rest = []
        for end, beneath in self._edits:
            at = text.find(end)
            while at >= 0 and (text.startswith(_INDENT, at + len(end)) or at + len(end) in found):
                at = text.find(end, at + 1)
            if at < 0:
                rest.append((end, beneath))
            else:
                found[at + len(end)] = beneath
        self._edits = rest
        return sorted(found.items(), reverse=True)
