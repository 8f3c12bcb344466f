"""What an agent asks to change: its diff with the places in the file, to be clicked, as far as they are known.

Some agents say only which text is to be another, and not where it stands: it is looked for in the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from acme.lib import files, patch
from anvilsrv.display import one_line
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import loads

_HEAD = re.compile(r"@@ -(?:\d+)(?:,(\d+))? \+(?:\d+)(?:,(\d+))? @@")
_NAME = re.compile(r"(?:---|\+\+\+) (.+)")
_PLACES = 8  # of one text, that are named


def drawn(diff: str, path: str, directory: str) -> str:
    """Return the diff, with the address of each hunk in place of its numbers. `path` is the file, if the diff names none; words are
    looked up in `directory`.
    """
    lines, out = diff.strip("\n").split("\n"), list[str]()
    at = 0
    while at < len(lines):
        line = lines[at]
        name = _NAME.fullmatch(line)
        if name is not None and name[1] != "/dev/null":
            path = name[1]
        at += 1
        if line.startswith("@@"):
            hunk = list(_hunk(line, lines[at:]))
            address = _address(line, hunk, path, directory)
            out += [address or "@@", *hunk]
            at += len(hunk)
        else:
            out.append(line)
    return "\n".join(out)


def path_of(text: str, detail: str) -> str:
    """Return the file that a question is about: as its detail says, the input of a tool, or its first line."""
    try:
        given = loads(detail)
    except Invalid:
        given = None
    named = given.get("file_path", given.get("path")) if isinstance(given, dict) else None
    return named if isinstance(named, str) else text.partition("\n")[0].partition(": ")[2].strip()


def _hunk(head: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a hunk: as many as its head says, else those up to the next one or the next file."""
    counts = _HEAD.match(head)
    old, new = (int(each or 1) for each in counts.groups()) if counts is not None else (-1, -1)
    for at, line in enumerate(lines):
        if counts is not None and old <= 0 and new <= 0 and not line.startswith("\\"):
            return
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if counts is None and (line.startswith("@@") or (line.startswith("--- ") and following.startswith("+++ "))):
            return
        old -= line[:1] in ("-", " ", "")
        new -= line[:1] in ("+", " ", "")
        yield line


def _address(head: str, hunk: Sequence[str], path: str, directory: str) -> str:
    """Return where the hunk is, ``path:line``; where its text is in several places, all of them; else the file alone."""
    if not path:
        return ""
    where = os.path.normpath(os.path.join(directory, path))
    shown = one_line(os.path.relpath(where, directory) if where.startswith(directory.rstrip("/") + "/") else where)
    if _HEAD.match(head) is not None:
        found = patch.hunks("\n".join([head, *hunk]))
        return f"{shown}:{found[0].first}" if found else shown
    same = next((at for at, line in enumerate(hunk) if line[:1] in ("-", "+")), 0)
    old = "\n".join(line[1:] for line in hunk if line[:1] in ("-", " "))
    starts = _found(files.content(where) or "", old)
    return " ".join(f"{shown}:{line + same}" for line in starts) or shown


def _found(text: str, sought: str) -> list[int]:
    """Return the first lines in which a text begins; where it is whole lines somewhere, these."""
    if not sought.strip():
        return []
    for pattern in (f"(?m)^{re.escape(sought)}$", re.escape(sought)):
        if found := list(islice(re.finditer(pattern, text), _PLACES)):
            return [text.count("\n", 0, one.start()) + 1 for one in found]
    return []
