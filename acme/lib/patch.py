"""A unified diff as a text that a person works in: addresses to click, comments beneath lines, hunks to take back."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_SWAPPED = {"+": "-", "-": "+"}
_FAR = 200  # lines that a person may have deleted in one place


@dataclass(frozen=True, slots=True)
class Hunk:
    """One change of a file: the header of the file, and its lines, `@@` first. `new` is where it begins in the file as it is now.
    The change of a file that is not text, is empty or has another mode only has no such lines.
    """

    path: str
    header: tuple[str, ...]
    lines: tuple[str, ...]
    new: int

    @property
    def is_text(self) -> bool:
        return bool(self.lines) and self.lines[0].startswith("@@")

    @property
    def what(self) -> str:
        """What is changed, if it is no text."""
        how = next(
            (word for word in ("new", "deleted") if any(one.startswith(f"{word} file") for one in self.header)),
            "changed",
        )
        modes = [line.split()[-1] for line in self.header if line.startswith(("old mode", "new mode"))]
        return f"binary file, {how}" if self.lines else f"mode {' → '.join(modes)}" if modes else f"empty file, {how}"

    @property
    def first(self) -> int:
        """The first line that is another, in the file as it is now: where what was changed is to be seen."""
        lines = self.lines[1:]
        return max(1, self.new + next((at for at, line in enumerate(lines) if line[:1] in _SWAPPED), 0))

    def reversed(self) -> list[str]:
        """Return the lines that take it back, without a header."""
        if not self.is_text:
            head, *rest = self.lines or [""]
            parts = "\n".join(rest).strip("\n").split("\n\n")  # what it is now and what it was, each with a line's end
            return [head, *(line for part in parts[::-1] for line in [*part.split("\n"), ""])] if head else []
        found = _HUNK.match(self.lines[0])
        assert found is not None
        old, new = (f"{found[at]},{found[at + 1]}" if found[at + 1] is not None else found[at] for at in (1, 3))
        lines = _additions_last([_SWAPPED.get(line[:1], line[:1]) + line[1:] for line in self.lines[1:]])
        return [f"@@ -{new} +{old} @@", *lines]


def taken_back(hunks: Sequence[Hunk]) -> str:
    """Return one diff that takes the hunks back."""
    lines: list[str] = []
    for header in dict.fromkeys(hunk.header for hunk in hunks):
        lines += _reversed(header)
        lines += [line for hunk in hunks if hunk.header == header for line in hunk.reversed()]
    return "".join(f"{line}\n" for line in lines)


@dataclass(slots=True)
class Drawn:
    """The text as it is shown. For each line the hunk it is of, and the number of its line in the file as it is now (0: none)."""

    lines: list[str] = field(default_factory=list)
    places: list[tuple[Hunk | None, int]] = field(default_factory=list)

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    def add(self, line: str, hunk: Hunk | None = None, number: int = 0) -> None:
        self.lines.append(line)
        self.places.append((hunk, number))


def hunks(diff: str) -> list[Hunk]:
    """Return the changes of a diff of git."""
    found: list[Hunk] = []
    header: list[str] = []
    lines: list[str] = []
    old = new = 0

    def end() -> None:
        if lines:
            at = _HUNK.match(lines[0])
            found.append(Hunk(_path(header), tuple(header), tuple(lines), int(at[3]) if at else 0))
            lines.clear()
        elif header:
            named = tuple(line for line in header if line)
            found.append(Hunk(_path(named), named, (), 0))

    for line in diff.split("\n"):
        begun = _HUNK.match(line) if old <= 0 and new <= 0 else None
        if begun is not None:
            if lines:
                end()
            lines.append(line)
            old, new = int(begun[2] or 1), int(begun[4] or 1)
        elif lines and (old > 0 or new > 0 or line.startswith("\\")):
            lines.append(line)
            old -= line[:1] in ("-", " ", "")
            new -= line[:1] in ("+", " ", "")
        elif line.startswith("diff "):
            end()
            header = [line]
        elif line == "GIT binary patch" or lines[:1] == ["GIT binary patch"]:
            lines.append(line)
        elif header and not lines:
            header.append(line)
    end()
    return found


def draw(diff: str, shown: Callable[[str], str]) -> Drawn:
    """Return the hunks, each beneath its address; `shown` makes of a path what can be clicked. Remarks before them come
    first.
    """
    drawn = Drawn()
    for line in diff.split("\n"):
        if not line.startswith("#"):
            break
        drawn.add(line)
    found = hunks(diff)
    files = len({hunk.path for hunk in found})
    drawn.add(f"{_many(len(found), 'hunk')} in {_many(files, 'file')}" if found else "nothing was changed")
    for hunk in found:
        drawn.add("")
        if not hunk.is_text:
            drawn.add(shown(hunk.path), hunk)
            drawn.add(hunk.what, hunk)
            continue
        drawn.add(f"{shown(hunk.path)}:{hunk.first}", hunk)
        drawn.add(hunk.lines[0], hunk)
        number = hunk.new
        for line in hunk.lines[1:]:
            drawn.add(line, hunk, number)
            number += line[:1] in ("+", " ", "")
    return drawn


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def comments(drawn: Drawn, body: str) -> list[str]:
    """Return what the person has written beneath the lines: ``path:line: words``, a line each; more lines of one follow
    after a blank.
    """
    found: list[str] = []
    written: list[str] = []
    at = 0

    def end() -> None:
        hunk, number = drawn.places[at - 1] if at else (None, 0)
        words = [line.strip() for line in written if line.strip()]
        written.clear()
        if words and hunk is not None:
            found.append("\n ".join([f"{hunk.path}:{max(1, number or hunk.new)}: {words[0]}", *words[1:]]))

    for line in body.split("\n"):
        place = _after(drawn.lines, at, line)
        if place is None:
            written.append(line)
        else:
            end()
            at = place + 1
    end()
    return found


def commented(drawn: Drawn, text: str) -> str:
    """Return what is shown with `comments` that were kept, each beneath its line; at the end those whose lines are not there."""
    beneath: dict[int, list[str]] = {}
    at = len(drawn.lines) - 1
    for line in text.splitlines():
        found = re.match(r"(.+?):(\d+): (.*)", line) if line[:1] != " " else None
        if found is not None:
            about = (found[1], int(found[2]))
            there = [
                n
                for n, (hunk, number) in enumerate(drawn.places)
                if hunk and (hunk.path, max(1, number or hunk.new)) == about
            ]
            at, line = (there[-1], found[3]) if there else (len(drawn.lines) - 1, line)
        beneath.setdefault(at, []).append(line.strip())
    shown = ([line, *beneath.get(n, [])] for n, line in enumerate(drawn.lines))
    return "".join(f"{line}\n" for lines in shown for line in lines)


def touched(drawn: Drawn, body: str, q0: int, q1: int) -> list[Hunk]:
    """Return the hunks on whose lines the selection is."""
    found: list[Hunk] = []
    at = start = 0
    for line in body.split("\n"):
        place = _after(drawn.lines, at, line)
        if place is not None:
            at = place + 1
        hunk = drawn.places[at - 1][0] if at else None
        end = start + len(line)
        if hunk is not None and hunk not in found and start <= max(q0, q1 - 1) and end >= q0:
            found.append(hunk)
        start = end + 1
    return found


def _after(lines: Sequence[str], at: int, line: str) -> int | None:
    """Return where `line` is of what is shown from `at` on; the person may have deleted some."""
    if at < len(lines) and lines[at] == line:
        return at
    if not line.strip():
        return None
    return next((place for place in range(at, min(len(lines), at + _FAR)) if lines[place] == line), None)


def _path(header: Sequence[str]) -> str:
    """Return the file as it is now; of one that was deleted its name before."""
    names = {line[:3]: line[4:].split("\t")[0] for line in header if line[:4] in ("--- ", "+++ ")}
    name = next((names[side] for side in ("+++", "---") if names.get(side, "/dev/null") != "/dev/null"), "")
    if not name and header:
        both = header[0].removeprefix("diff --git ")  # the same name twice: renames are none here
        name = both[: len(both) // 2]
    name = name.strip('"')
    return name[2:] if name[:2] in ("a/", "b/") else name


def _reversed(header: Sequence[str]) -> list[str]:
    """Return the header of a file the other way round."""
    kinds = {"new file mode": "deleted file mode", "deleted file mode": "new file mode"}
    kinds |= {"old mode": "new mode", "new mode": "old mode"}
    lines: list[str] = []
    sides: dict[str, str] = {}
    for line in header:
        index = re.match(r"index (\w+)\.\.(\w+)(.*)", line)
        kind = next((one for one in kinds if line.startswith(one)), None)
        if line[:4] in ("--- ", "+++ "):
            sides[line[:3]] = line[4:]
        elif index is not None:
            lines.append(f"index {index[2]}..{index[1]}{index[3]}")
        else:
            lines.append(line if kind is None else kinds[kind] + line[len(kind) :])
    turned = {"---": _side(sides.get("+++", ""), "a/"), "+++": _side(sides.get("---", ""), "b/")}
    return [*lines, *(f"{side} {name}" for side, name in turned.items() if name)]


def _side(name: str, prefix: str) -> str:
    return prefix + name[2:] if name[:2] in ("a/", "b/") else name


def _additions_last(lines: list[str]) -> list[str]:
    """Return the lines with deletions before additions, as every diff has them; a remark on a line stays with it."""
    parts: list[list[str]] = []
    for line in lines:
        if line.startswith("\\") and parts:
            parts[-1].append(line)
        else:
            parts.append([line])
    result: list[str] = []
    coming: list[str] = []
    for part in parts:
        if part[0].startswith("+"):
            coming += part
            continue
        if not part[0].startswith("-"):
            result, coming = result + coming, []
        result += part
    return result + coming


def top_of(directory: str) -> str:
    """Return the top of the work tree that the directory is in, or the directory itself."""
    place = directory
    while place != "/":
        if os.path.exists(os.path.join(place, ".git")):
            return place
        place = os.path.dirname(place)
    return directory
