"""Where in a file the text of an edit stands: an agent may tell of all of a file, or of the part that it changes."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from anvilsrv.inside.acp_said import Diff

LARGEST = 1 << 20  # bytes of a file that is looked at


def first_line(one: Diff) -> int | None:
    """Return in which line the text begins that is changed, or was; None if that is not known, or is one place of many."""
    if one.old is None:
        return 1
    content = _content(one.path)
    if content is None:
        return None
    found = {content[: content.index(text)].count("\n") + 1 for text in (one.old, one.new) if _once(content, text)}
    return found.pop() if len(found) == 1 else None


def moved(lines: Iterable[str], first: int | None) -> Iterable[str]:
    """Yield lines of a unified diff, whose text begins in that line of its file; without numbers, where that is not known."""
    for line in lines:
        if not line.startswith("@@ -"):
            yield line
        elif first is None:
            yield "@@"
        else:
            _, *sides, _ = line.split(" ")
            yield f"@@ {' '.join(_shifted(side, first - 1) for side in sides)} @@"


def _shifted(side: str, by: int) -> str:
    at, comma, count = side[1:].partition(",")
    return f"{side[0]}{int(at) + by}{comma}{count}"


def _once(content: str, text: str) -> bool:
    return bool(text) and content.count(text) == 1


def _content(path: str) -> str | None:
    """Return the text of a file; None if it is none, or too large. Never blocks."""
    with suppress(OSError, ValueError):  # no text, or no name of a file
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            known = os.fstat(fd)
            if stat.S_ISREG(known.st_mode) and known.st_size <= LARGEST:
                return file.read(LARGEST).decode()
    return None
