"""Reading the files of a git directory: regular ones only, never through a link, and never more than a bound.

Threads: any.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
SMALL = 1 << 20
MOST = 256 << 20


class TooLarge(OSError):
    """A file is larger than anything git would write there."""


def read(path: str, most: int = SMALL) -> bytes | None:
    """Return the content; None if there is no regular file. Raises TooLarge, OSError."""
    try:
        fd = os.open(path, _READ)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in (40, 6):  # a link, a socket
            return None
        raise
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > most:
            raise TooLarge(27, f"more than {most} bytes", path)
        content = file.read(most + 1)
    if len(content) > most:
        raise TooLarge(27, f"more than {most} bytes", path)
    return content


def line(path: str) -> str:
    """Return the first line of a small file; empty if there is none."""
    content = read(path, 64 << 10) or b""
    return os.fsdecode(content.partition(b"\n")[0]).strip()


def below(top: str, most: int) -> Iterator[str]:
    """Yield the paths of the regular files beneath a directory, relative to it. Raises TooLarge beyond ``most`` of
    them.
    """
    waiting, count = [""], 0
    while waiting:
        at = waiting.pop()
        try:
            with os.scandir(os.path.join(top, at)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in found:
            name = f"{at}/{entry.name}" if at else entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(name)
            elif entry.is_file(follow_symlinks=False):
                count += 1
                if count > most:
                    raise TooLarge(27, f"more than {most} files", top)
                yield name
