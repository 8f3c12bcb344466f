"""What landing has begun in a user's repository, so that the next daemon can finish it after a crash, and leave no lock there.

Git writes index and refs by way of a lock file, which it then renames; a git that was killed leaves its lock, and no one can write
any more. ``journal`` lies beside the session's git directory as long as landing goes on. After a crash, or when a git of ours was
killed, a lock in the repository is ours, and is taken away, if it was made since the journal was and no git that works there is as
old. ``lock`` is held by the lander, and by each git that it starts: so none of an earlier daemon's is at work.

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sandbox import git_files, git_refs
from sandbox.errors import SandboxRefused
from sandbox.git_own import Record
from sandbox.git_run import Killed
from sandbox.pathnames import under

_SLACK = 2.0  # s by which the times of two file systems may differ
_TICKS = os.sysconf("SC_CLK_TCK")


class InTheWay(SandboxRefused):
    """A git of the user's is at work there."""


@dataclass(frozen=True)
class Step:
    """What is being landed: a commit of the session, for the branch that it was on. ``keep`` is the lock, for each git."""

    record: Record
    keep: int

    def begin(self, branch: str, commit: str) -> None:
        """Write down that it has begun. Raises OSError."""
        fresh = f"{_path(self.record)}.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"branch": branch, "commit": commit}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, _path(self.record))

    def begun(self) -> tuple[str, str] | None:
        """Return the branch and the commit that were being landed when a daemon died; locks of that are gone then.
        Raises SandboxRefused.
        """
        content = git_files.read(_path(self.record))
        if content is None:
            return None
        self.unlock()
        try:
            found = json.loads(content)
            return found["branch"], found["commit"]
        except (ValueError, KeyError, TypeError):
            return "", ""

    def unlock(self) -> None:
        """Take away what a git of ours left locked since it has begun. Raises InTheWay."""
        with suppress(FileNotFoundError):
            since = os.stat(_path(self.record)).st_ctime - _SLACK
            for path in _locks(self.record):
                _unlock(self.record, path, since)

    def end(self) -> None:
        """Record that it is over."""
        with suppress(FileNotFoundError):
            os.unlink(_path(self.record))


@contextmanager
def step(record: Record) -> Iterator[Step]:
    """Be the only one that lands what this session committed there. Raises SandboxRefused where an earlier one is at work."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(f"{record.place}/lock", flags, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxRefused("git of an earlier daemon is still at work there") from None
        made = Step(record, fd)
        try:
            yield made
        except InTheWay:
            raise  # the journal stays, for the next time
        except Killed:
            made.unlock()
            made.end()
            raise
        except SandboxRefused:  # what is locked is not ours
            made.end()
            raise
        made.end()
    finally:
        os.close(fd)


def _path(record: Record) -> str:
    return f"{record.place}/journal"


def _unlock(record: Record, path: str, since: float) -> None:
    with suppress(FileNotFoundError):
        made = os.lstat(path).st_ctime
        if made < since:
            return  # it was there before
        if _at_work(record, made):
            raise InTheWay(f"{path}: a git of yours is at work")
        os.unlink(path)


def _locks(record: Record) -> Iterator[str]:
    for top in dict.fromkeys((record.directory, record.common)):
        yield from (
            f"{top}/{name}.lock" for name in ("index", "HEAD", "packed-refs", "shallow", "reftable/tables.list")
        )
    if record.branch:
        yield f"{record.common}/{record.branch}.lock"
    ours = f"{record.common}/{git_refs.OURS}"
    with suppress(OSError):
        yield from (f"{ours}{name}" for name in git_files.below(ours, 10_000) if name.endswith(".lock"))


def _at_work(record: Record, made: float) -> bool:
    """Return whether a git of this user that is at least as old as a lock works in the work tree or the repository."""
    with open("/proc/stat", encoding="ascii") as file:
        boot = next(float(line.split()[1]) for line in file if line.startswith("btime "))
    for name in os.listdir("/proc"):
        try:
            if not name.isdigit() or os.stat(f"/proc/{name}").st_uid != os.geteuid():
                continue
            with open(f"/proc/{name}/stat", "rb") as stat:
                program, _, rest = stat.read().partition(b"(")[2].rpartition(b") ")
            began = boot + int(rest.split()[19]) / _TICKS
            if program.startswith(b"git") and began <= made + _SLACK:
                cwd = os.readlink(f"/proc/{name}/cwd")
                if under(cwd, record.tree) or under(cwd, record.common) or under(cwd, record.directory):
                    return True
        except (OSError, ValueError, IndexError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM):
                raise
    return False
