"""What agents commit, in git directories of their session's own, and how it lands in the user's repositories.

Of each session, this owns ``git/`` and ``seen.json`` in its directory (``directories.py``). A session that works beside another's
agent has that one's git directories.

Threads: any. One landing of a session works at a time, and others wait for it; the lock guards who waits for which.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from anvilsrv.agents import branch_journal, limited
from anvilsrv.agents.directories import Directories
from anvilsrv.display import one_line
from anvilsrv.linux import beneath
from anvilsrv.sessions.state import View
from sandbox import git_inside, git_land, git_out, git_own, git_refs, git_watch
from sandbox.errors import SandboxError, SandboxRefused
from sandbox.git_cover import Cover, cover
from sandbox.git_trust import Trusted
from sandbox.policy import Policy
from sandbox.written import Written

log = logging.getLogger("anvilsrv")
LANDING = 130.0  # s for which one landing of a session waits for another
PLANTED = 100  # paths that are named after one turn
KEPT = 30 * 86400  # s for which commits that cannot be brought are kept


class Landing:
    """For all sessions. ``written`` knows where agents may write."""

    def __init__(self, directories: Directories, written: Written) -> None:
        self.written = written
        self._directories = directories
        self._lock = threading.Lock()
        self._landing: dict[str, threading.BoundedSemaphore] = {}

    # -- a session's git directories ---------------------------------------------------------------------------------

    def git(self, session: str) -> str:
        """Return where a session's own git directories are: another's, if it works beside that one's agent."""
        path = self._directories.of(session) / "git"
        return os.readlink(path) if path.is_symlink() else str(path)

    def _owner(self, session: str) -> str:
        """Return whose they are."""
        return Path(self.git(session)).parent.name

    def share(self, view: View) -> None:
        """Have it work with the git directories of the session beside which it is. Raises OSError."""
        path = self._directories.of(view.id) / "git"
        if not path.is_symlink():
            path.symlink_to(self._directories.of(view.beside) / "git")

    def cover(self, policy: Policy, session: str) -> Cover:
        """Make what covers repositories with git directories of the session's own, and note what runs something outside.
        Raises SandboxError.
        """
        trusted, home = Trusted(self.written), str(Path.home())
        made = cover(policy, trusted, place=self.git(session), session=self._owner(session), home=home)
        without = [*policy.hide, *(path for path, _ in policy.protect)]
        tops = [path for path in policy.writable if os.path.isdir(path)]
        git_watch.begin(self._seen(session), tops, without, made.repositories)
        return made

    def records(self, session: str) -> list[git_own.Record]:
        """Return its own git directories."""
        return git_own.records(self.git(session))

    @staticmethod
    def tip(record: git_own.Record) -> str:
        """Return the commit that a session has checked out; empty if that is unknown."""
        found = git_out.tip(record)
        return found.commit if found is not None else ""

    @staticmethod
    def branch(record: git_own.Record) -> str:
        """Return the branch that a session is on; empty for none."""
        found = git_out.tip(record)
        branch = found.branch if found is not None else git_refs.head(record.own).removeprefix("ref: ")
        return one_line(branch.removeprefix("refs/heads/")) if branch.startswith("refs/heads/") else ""

    def inside(self, session: str, argv: list[str], cwd: str, most: int, data: bytes = b"") -> bytes:
        """Return what a command prints in the session's sandbox. Raises SandboxError."""
        top, spec = self._directories.of(session), self._directories.specification(session)
        return git_inside.output(str(spec), str(top), argv, cwd, data, most)

    def _seen(self, session: str) -> str:
        return str(self._directories.of(session) / "seen.json")

    # -- out ---------------------------------------------------------------------------------------------------------

    def settle(self, session: str) -> list[str]:
        """Take out what the agent committed and land it; that, and what else it left, as lines of ``sandbox``."""
        with self._alone(self._owner(session)):
            return self._settle(session)

    def _settle(self, session: str) -> list[str]:
        owner = self._owner(session)
        top = self._directories.of(owner)
        for path in top.glob("take-*"):  # of a daemon that was killed
            beneath.remove(path)
        inside = partial(git_inside.output, str(self._directories.specification(owner)), str(top))
        said = self._landed(session, lambda record: git_land.settle(record, owner, inside, str(top)))
        planted = [f"planted\t{one_line(path)}\n" for path in git_watch.changes(self._seen(session))]
        more = [f"planted\t{len(planted) - PLANTED} more\n"] if len(planted) > PLANTED else []
        return [*said, *planted[:PLANTED], *more]

    @contextmanager
    def _alone(self, session: str) -> Iterator[None]:
        """Allow one landing of a session at a time. Raises SandboxRefused."""
        with self._lock:
            turn = self._landing.setdefault(session, threading.BoundedSemaphore())
        if not turn.acquire(timeout=LANDING):
            raise SandboxRefused("commits of this session are being brought over: try again")
        try:
            yield
        finally:
            turn.release()

    def resume(self, session: str) -> list[str]:
        """Go on with what a daemon that died had begun to land; lines as those of ``settle``."""
        return self._landed(session, lambda record: git_land.resume(record, self._owner(session)))

    def _landed(self, session: str, land: Callable[[git_own.Record], git_land.Outcome | None]) -> list[str]:
        said = []
        for record in sorted(self.records(session), key=lambda one: -len(one.tree)):  # submodules first
            try:
                found = land(record)
            except (SandboxError, OSError) as error:
                said.append(f"commits\t{one_line(record.tree)}\t{one_line(str(error))}\n")
            else:
                said += [f"commits\t{one_line(record.tree)}\t{one_line(found.said)}\n"] if found else []
        return said

    # -- the end of a session ----------------------------------------------------------------------------------------

    def forget(self, session: str) -> None:
        """Remove the session's directory; what its agent committed goes to the user's repository first."""
        top = self._directories.of(session)
        try:
            if self._owner(session) == session:
                for line in self.settle(session):
                    log.info("%s: %s", session, one_line(line))
                if self._keeps(session):
                    return
                for record in self.records(session):
                    git_land.release(record, session)
            branch_journal.finish(self._directories.state, session)
        except SandboxError as error:
            log.warning("%s: %s", session, error)
        limited.forget(self._directories.specification(session))
        beneath.remove(top)

    def _keeps(self, session: str) -> bool:
        """Return whether it has commits that could not be brought, as on a full disk: the next daemon tries again, for
        some time.
        """
        trees = [one.tree for one in self.records(session) if os.path.isdir(one.common)
                 and self.tip(one) not in ("", one.base, one.taken)]  # fmt: skip
        mark = self._directories.of(session) / "kept"
        if not trees or (mark.exists() and mark.stat().st_mtime < time.time() - KEPT):
            return False
        if not mark.exists():
            mark.touch()
        words = "%s: its commits in %s could not be brought: they are in %s, and the next daemon tries again"
        log.warning(words, session, one_line(", ".join(trees)), self._directories.of(session))
        return True
