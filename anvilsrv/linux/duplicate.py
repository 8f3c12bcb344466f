"""A copy of a directory in which someone else may be writing: regular files alone, opened without links, bounded.

Threads: any.
"""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from anvilsrv.errors import Full, NotPermitted, Unavailable

READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def copy(source: Path, target: Path, named: Callable[[str], str], most: int) -> None:
    """Copy ``source`` to ``target``, a new directory that is ours alone; ``named`` says where a file comes, from its relative path,
    or nothing.

    Raises NotPermitted for more than ``most`` bytes, Unavailable and Full.
    """
    have = 0
    try:
        target.mkdir(mode=0o700, parents=True)
        for at, _, files, fd in os.fwalk(source, follow_symlinks=False):
            for name in files:
                relative = os.path.relpath(os.path.join(at, name), source)
                if there := named(relative):
                    have += _file(name, fd, target / there, most - have)
    except OSError as error:
        kind = Full if error.errno in Full.NUMBERS else Unavailable
        raise kind(f"cannot copy {source}: {error.strerror}") from None


def _file(name: str, directory: int, target: Path, most: int) -> int:
    try:
        fd = os.open(name, READING, dir_fd=directory)
    except OSError:  # a link or a socket, or gone by now
        return 0
    with open(fd, "rb") as old:
        there = os.fstat(fd)
        if not stat.S_ISREG(there.st_mode):
            return 0
        if there.st_size > most:
            raise NotPermitted("not copied: too large")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            shutil.copyfileobj(old, new, 1 << 20)
            if new.tell() > most:
                raise NotPermitted("not copied: too large")
            os.utime(new.fileno(), ns=(there.st_atime_ns, there.st_mtime_ns))
            os.fchmod(new.fileno(), 0o600 | there.st_mode & 0o100)
            return new.tell()
