"""Where agents could ever write: a link that lies there may have been planted, and is never followed for a grant.

One file for all daemons and commands of a user, ``<state>/anvillm/written``, a path a line. Nothing is ever forgotten, neither
at the end of a session nor with the daemon. No agent has that directory in sight (``policy`` hides it).

Threads: ``known`` and ``add`` from any; a lock on the file keeps processes apart.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sandbox.errors import SandboxRefused
from sandbox.pathnames import absolute, beneath_any

FILE = "{XDG_STATE_HOME}/anvillm/written"


class Written:
    """The paths, without links in them. ``path`` is the file; nothing is made until there is something to remember."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Written:
        """Return the record of the user with this environment."""
        return cls(absolute(FILE, {"HOME": os.path.expanduser("~"), **env}))

    def known(self) -> list[str]:
        """Return every directory and file in or at which an agent may have made links; what this program keeps for
        agents among them.

        Raises SandboxRefused if it cannot be told.
        """
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
                found = file.read().split("\n")
        except FileNotFoundError:
            found = []
        except OSError as error:
            raise SandboxRefused(f"cannot read {self.path}: {error.strerror}") from None
        return [os.path.realpath(self.path.parent), *filter(None, found)]

    def add(self, paths: Iterable[str]) -> None:
        """Remember these, on disk, before an agent starts that may write there. Raises SandboxRefused."""
        wanted = sorted(set(paths), key=len)
        if all(beneath_any(path, self.known()) for path in wanted):
            return
        try:
            self.path.parent.mkdir(0o700, parents=True, exist_ok=True)
            with open(
                os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600),
                "a", encoding="utf-8", errors="surrogateescape",
            ) as file:  # fmt: skip
                fcntl.flock(file, fcntl.LOCK_EX)
                there = self.known()
                for path in wanted:
                    if not beneath_any(path, there):
                        there.append(path)
                        file.write(f"{path}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SandboxRefused(f"cannot write {self.path}: {error.strerror}") from None
