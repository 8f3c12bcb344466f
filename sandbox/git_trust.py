"""Which repositories are the user's own: those that were there before any agent could write where they are.

A ``.git`` that turns up later may be an agent's, with a configuration that runs what it likes: nothing of ours is done with that.
One file for all daemons and commands of a user, ``<state>/anvillm/repositories``: device, inode and path, a line for each. The first
time, when there is no such file, all that lie where agents could write before are taken for the user's.

Threads: any; a lock on the file keeps processes apart.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable

from sandbox import git_find
from sandbox.errors import SandboxRefused
from sandbox.pathnames import beneath_any
from sandbox.written import Written


class Trusted:
    """The record. ``written`` is that of where agents could write; both lie in the same directory."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self.path = written.path.parent / "repositories"

    def sort(self, found: Iterable[str], remember: bool = True) -> set[str]:
        """Return those of these paths that are the user's; one that is seen for the first time, where no agent could
        write yet, is remembered.

        To be asked before a start is added to ``Written``. Raises SandboxRefused.
        """
        lines = {path: _line(path) for path in found}
        if not lines:
            return set()
        written = self._written.known()
        known = self._known(written)
        fresh = [path for path, line in lines.items() if line not in known and not beneath_any(path, written)]
        if remember:
            self._add(fresh)
        return {path for path, line in lines.items() if path in fresh or line in known}

    def add(self, git: str) -> None:
        """Record that the user says that this is theirs. Raises SandboxRefused."""
        self._known(self._written.known())
        self._add([git])

    def _known(self, written: list[str]) -> set[str]:
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
                return set(file.read().split("\n"))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise SandboxRefused(f"cannot read {self.path}: {error.strerror}") from None
        state = str(self.path.parent)
        there = [top for top in written if os.path.isdir(top) and not beneath_any(top, (os.path.realpath(state),))]
        walked = git_find.walk(there)
        gits = [*(one.git for one in walked.repositories), *walked.bare]
        self._add(gits, first=True)
        return {_line(git) for git in gits}

    def _add(self, gits: list[str], first: bool = False) -> None:
        if not gits and not first:
            return
        try:
            self.path.parent.mkdir(0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(self.path, flags, 0o600), "a", encoding="utf-8", errors="surrogateescape") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.writelines(f"{_line(git)}\n" for git in gits)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SandboxRefused(f"cannot write {self.path}: {error.strerror}") from None


def _line(git: str) -> str:
    try:
        status = os.lstat(git)
    except OSError:
        return f"gone {git!r}"
    return f"{status.st_dev} {status.st_ino} {git!r}"
