"""Sessions on a branch of their own: made with it, merged, pushed, discarded.

Git works outside, in the user's own git directory; what an agent could write is read inside its sandbox.

Threads: called on 9P workers, ``sweep`` at the start; what touches a session's work tree is done on its thread (``checkpoints.py``).
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from anvilsrv.agents import begun_with, branch_journal, push
from anvilsrv.agents.aside import Asides
from anvilsrv.agents.checkpoints import Checkpoints, Hand
from anvilsrv.agents.claims import Claims
from anvilsrv.agents.landing import Landing
from anvilsrv.agents.worktree import Refusal
from anvilsrv.desk.life import Life
from anvilsrv.display import one_line
from anvilsrv.errors import Conflict, Invalid, NotPermitted
from anvilsrv.sessions import prompts, worktrees
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.worktrees import Worktree
from anvilsrv.store.store import Need, Store
from sandbox import git_branch, git_merge, git_refs
from sandbox.errors import SandboxError, SandboxRefused
from sandbox.git_branch import Branch
from sandbox.git_out import Inside
from sandbox.git_own import Record
from sandbox.git_run import run
from sandbox.git_trust import Trusted
from sandbox.pathnames import under

COMMANDS = "merge [squash|rebase] [anyway], push [remote], pr, discard [anyway]"
GONE = f"{git_refs.OURS}gone/"
DAYS = 30
STATUS = 1 << 20  # bytes of a status


class Wanted(NamedTuple):
    """The kind of session for which a branch is made, and which; with ``working`` it begins with what is not committed."""

    backend: str
    role: str
    tasks: list[str]
    branch: str
    base: str
    working: bool
    tree: str = ""  # where that is; empty: in the user's work tree


class Own(NamedTuple):
    """A session on a branch of its own; ``merged`` is the commit of it that was merged last."""

    session: str
    on: Branch
    merged: str


class Branches:
    """Those of all sessions."""

    def __init__(
        self, state: Path, store: Store, registry: Registry, life: Life, asides: Asides, landing: Landing,
        checkpoints: Checkpoints, claims: Claims,
    ) -> None:  # fmt: skip
        self._claims = claims
        self._state = state
        self._store = store
        self._registry = registry
        self._life = life
        self._asides = asides
        self._landing = landing
        self._checkpoints = checkpoints

    # -- made --------------------------------------------------------------------------------------------------------------

    def make(self, cwd: str, wanted: Wanted, elsewhere: str, create: Callable[[Branch, str], str]) -> str:
        """Make a work tree on a branch, and what ``create`` makes of it and its directory: a session. Raises AnvilError."""
        written = self._landing.written
        otherwise = f"{os.environ.get('XDG_DATA_HOME') or os.path.expanduser('~/.local/share')}/anvillm-worktrees"
        try:
            one = git_branch.wanted(
                cwd, wanted.branch, wanted.base, Trusted(written), written.known(), elsewhere, otherwise
            )
            if wanted.working and not one.made:
                raise SandboxRefused("the branch already exists: from=working needs a new one")
            journal = branch_journal.begin(self._state, one)
            try:
                there = git_branch.add(one)
                kind = self._asides.of(wanted.backend, wanted.role, wanted.tasks, wanted.tree or one.top)
                left = begun_with.take(kind, wanted.tree or one.top, one.path, wanted.working)
                left += [f"{path}: a submodule that is not cloned in {one.top}" for path in there.left]
                for top in (one.path, *there.submodules):
                    Trusted(written).add(f"{top}/.git")
                inner = os.path.normpath(os.path.join(one.path, os.path.relpath(cwd, one.top)))
                made = create(one, inner if os.path.isdir(inner) else one.path)
            except BaseException:
                git_branch.take_back(one)
                branch_journal.end(journal)
                raise
        except SandboxError as error:
            raise NotPermitted(f"no branch '{one_line(wanted.branch)[:100]}': {error}") from None
        branch_journal.end(journal)
        if left:
            lines = [f"left out\t{line}\n" for line in left]
            self._store.post(lambda tx: self._registry.told(tx, made, lines), need=Need.HAPPENED)
        return made

    def sweep(self) -> list[Exception]:
        """End what a daemon that died had begun; what could not be done."""
        views = self._registry.views
        self._asides.sweep()
        found: list[Exception] = list(branch_journal.sweep(self._state, (view.cwd for view in views.values()), views))
        for own in map(_own, self._store.call(worktrees.every)):
            record = self._record(own)
            if record is not None and os.path.exists(f"{record.place}/merge"):
                try:
                    git_merge.resume(own.on, record)
                except SandboxRefused as error:
                    found.append(error)
        return found

    # -- commands ----------------------------------------------------------------------------------------------------------

    def command(self, session: str, words: list[str]) -> str:
        """Run a command of ``git/ctl``. Returns what was done. Raises AnvilError, and then nothing has changed."""
        view = self._registry.get(session)
        if view.beside:
            raise NotPermitted(
                f"session '{view.id}' shares the work tree of '{view.beside}': use that session's git/ctl"
            )
        own = self.of(view.id)
        options = set(words[1:])
        if words[:1] == ["merge"] and options <= {"squash", "rebase", "anyway"} and not {"squash", "rebase"} <= options:
            return self._do(view.id, own, lambda hand, one: self._merge(one, options))
        if words[:1] == ["push"] and len(words) < 3:
            return self._do(view.id, own, lambda hand, one: self._push(one, words[1] if words[1:] else ""))
        if words == ["pr"]:
            return self._do(view.id, own, lambda hand, one: self._pr(one))
        if words in (["discard"], ["discard", "anyway"]):
            return self._do(view.id, own, lambda hand, one: self._discard(one, "anyway" in words))
        raise Invalid(f"invalid command '{' '.join(words)[:80]}': {COMMANDS}")

    def of(self, session: str) -> Own | None:
        """Return where that session works, if it is on a branch of its own."""
        row = self._store.call(lambda tx: worktrees.of(tx, session), need=Need.OWN)
        return None if row is None else _own(row)

    def _do(self, session: str, own: Own | None, what: Callable[[Hand, Own], str]) -> str:
        if own is None:
            raise NotPermitted(f"session '{session}' has no branch of its own: its commits come to yours automatically")

        def done(hand: Hand) -> str:
            view = self._registry.get(session)
            if view.in_turn or view.on_its_way:
                raise Conflict(f"busy: session '{session}' is in a turn; try again when it is over")
            try:
                return what(hand, own)
            except git_merge.Refused as refused:
                raise Refusal(str(refused), refused.paths) from None

        return self._checkpoints.do(session, done)

    def _merge(self, one: Own, options: set[str]) -> str:
        self._committed(one, "anyway" in options)
        branch = one.on
        into = git_merge.target(branch)
        if "rebase" in options:
            self._rebase(one, into.commit)
        record = self._settled(one)
        source = record.taken or record.base
        made = git_merge.merge(branch, record, source, "squash" in options, "anyway" in options, self._inside(one))
        self._store.call(lambda tx: worktrees.merge(tx, one.session, source), need=Need.OWN)
        name = into.ref.removeprefix("refs/heads/")
        self._tell(
            one.session, f"merged\t{one_line(one.on.top)}\t{one.on.branch} is in {name} now ({made.commit[:12]})\n"
        )
        bead = self._claims.merged(one.session)
        more = (
            f"; 'git submodule update' checks out {one_line(', '.join(made.submodules))[:200]}"
            if made.submodules
            else ""
        )
        return f"merged {one.on.branch} into {name}: {made.commit[:12]}{more}" + (f"; {bead}" if bead else "")

    def _inside(self, one: Own) -> Inside:
        return lambda argv, cwd, data, most: self._landing.inside(one.session, argv, cwd, most, data)

    def _rebase(self, one: Own, onto: str) -> None:
        """Rebase, in the sandbox."""
        who = run(one.on.at, "var", "GIT_COMMITTER_IDENT", users=True).decode("utf-8", "replace")
        name, _, rest = who.partition(" <")
        git = ["git", "-c", f"user.name={name}", "-c", f"user.email={rest.partition('>')[0]}"]
        try:
            self._landing.inside(one.session, [*git, "rebase", "-q", onto], one.on.path, STATUS)
        except SandboxError:
            self._landing.inside(one.session, [*git, "rebase", "--abort"], one.on.path, STATUS)
            raise SandboxRefused("it conflicts with your branch when it is rebased") from None

    def _committed(self, one: Own, anyway: bool = False) -> None:
        argv = ["git", "status", "--porcelain", "-z"]
        found = self._landing.inside(one.session, argv, one.on.path, STATUS).split(b"\0")
        paths = [os.fsdecode(line[3:]) for line in found if line]
        if paths and not anyway:
            raise Refusal("the session must commit these first", paths)

    def _settled(self, one: Own) -> Record:
        """Bring the session's commits into the user's repository. Raises SandboxRefused where they cannot be brought."""
        said = self._landing.settle(one.session)
        if said:
            self._store.post(lambda tx: self._registry.told(tx, one.session, said), need=Need.HAPPENED)
        record = self._record(one)
        if record is None:
            raise SandboxRefused("its git directory is gone")
        tip = self._landing.tip(record)
        if tip not in ("", record.taken, record.base):
            raise SandboxRefused(f"its commits could not be brought: {' '.join(' '.join(said).split())[:300]}")
        return record

    def _record(self, one: Own) -> Record | None:
        return next((record for record in self._landing.records(one.session) if record.tree == one.on.path), None)

    def _tell(self, session: str, line: str) -> None:
        self._store.post(lambda tx: self._registry.told(tx, session, [line]), need=Need.HAPPENED)

    # -- out -----------------------------------------------------------------------------------------------------------------

    def _push(self, one: Own, remote: str) -> str:
        record = self._settled(one)
        return push.push(one.on, record.taken or record.base, remote)

    def _pr(self, one: Own) -> str:
        self._committed(one)
        into = git_merge.target(one.on).ref.removeprefix("refs/heads/")
        there = self._store.call(lambda tx: prompts.every(tx, one.session), need=Need.OWN)
        return push.request(one.on, into, self._push(one, ""), push.words(one.on.branch, there))

    # -- gone ----------------------------------------------------------------------------------------------------------------

    def _discard(self, one: Own, anyway: bool) -> str:
        self._committed(one)
        others = [
            view.id
            for view in self._registry.views.values()
            if under(view.cwd, one.on.path) and one.session not in (view.id, view.beside)
        ]
        if others:
            raise Refusal("other sessions work there", others)
        record, branch = self._settled(one), one.on
        source = record.taken or record.base
        if not anyway and not self._is_taken(branch, one, source):
            listed = run(branch.at, "log", "--format=%h %s", f"{one.on.base}..{source}").decode("utf-8", "replace")
            raise Refusal("these were never merged or pushed", listed.splitlines()[:50])
        now = int(time.time())
        run(branch.at, "update-ref", f"{GONE}{one.session}.{now}", source)
        _expire(branch, now)
        journal = branch_journal.going(self._state, one.session, branch)
        try:
            self._store.call(lambda tx: self._life.kill(tx, one.session), need=Need.OWN)
        except BaseException:
            branch_journal.end(journal)
            raise
        return f"discarded {one.on.branch}: {GONE}{one.session}.{now} has it for {DAYS} days"

    @staticmethod
    def _is_taken(branch: Branch, one: Own, source: str) -> bool:
        if source in (one.on.base, one.merged):
            return True
        found = run(branch.at, "for-each-ref", "--format=%(refname)", f"--contains={source}").decode().split()
        return any(
            name.startswith(("refs/heads/", "refs/remotes/", "refs/tags/")) and name != branch.ref for name in found
        )


def _own(row: Worktree) -> Own:
    return Own(row.session, Branch(**row.branch), row.merged)


def _expire(branch: Branch, now: int) -> None:
    """Remove what was discarded long ago."""
    for name in run(branch.at, "for-each-ref", "--format=%(refname)", GONE).decode().split():
        when = name.rpartition(".")[2]
        if when.isdigit() and int(when) < now - DAYS * 86400:
            run(branch.at, "update-ref", "-d", name)
