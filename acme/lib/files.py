"""Files as they are now, beside what windows show of them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_LARGEST = 8 << 20  # bytes of a file that is read


def content(path: str) -> str | None:
    """Return the file's text; None if it is not a regular file, is too large or is not text. Follows no links, never blocks."""
    with suppress(OSError, ValueError):  # none that has such a name
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            known = os.fstat(fd)
            if not stat.S_ISREG(known.st_mode) or known.st_size > _LARGEST:
                return None
            data = file.read(_LARGEST)
        return None if b"\0" in data else data.decode("utf-8", "replace")
    return None
