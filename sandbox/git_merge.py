"""A session's branch is merged into what the user has checked out, or nothing happens: objects first, then files, then the branch.

Git works in the user's own repository, without hooks. A journal says what has begun (``git_merge_journal.py``): after a crash the next
daemon ends it.

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from sandbox import git_bring, git_find, git_lfs, git_merge_journal, git_refs, outside
from sandbox.errors import SandboxRefused
from sandbox.git_branch import Branch
from sandbox.git_merge_journal import Git, Row, rows_of
from sandbox.git_out import Inside
from sandbox.git_own import Record
from sandbox.git_run import Killed, run
from sandbox.git_submodules import GITLINK

TOLD = (".gitattributes", ".gitmodules", ".lfsconfig")
PATIENCE = 30  # s for a git that is at work there
#: What the user is in the middle of, by the files of their git directory.
BEGUN = {
    "rebase-merge": "a rebase", "rebase-apply": "a rebase", "MERGE_HEAD": "a merge", "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
}  # fmt: skip
UNTOUCHED = (".lock'", "Cannot merge", "would be overwritten", "would lose")  # git says it before it changes a file


class Refused(SandboxRefused):
    """It cannot be done, because of these paths; nothing has changed."""

    def __init__(self, why: str, paths: list[str]) -> None:
        super().__init__(why)
        self.paths = paths


class _Unchanged(SandboxRefused):
    """It could not be done, and all is as it was."""


class Into(NamedTuple):
    """The branch that the user has checked out, and its commit."""

    ref: str
    commit: str


def target(one: Branch) -> Into:
    """Return where to merge into. Raises SandboxRefused."""
    for name, what in BEGUN.items():
        if os.path.lexists(f"{one.directory}/{name}"):
            raise SandboxRefused(f"{what} of yours is in progress in {one.top}")
    head = git_refs.head(one.directory, users=True)
    if not head.startswith("ref: refs/heads/"):
        raise SandboxRefused(f"no branch is checked out in {one.top}")
    if run(one.at, "rev-parse", "--is-bare-repository", cwd=one.top).strip() == b"true":
        raise SandboxRefused(f"nothing is checked out in {one.top}")
    commit = git_refs.resolve(one.directory, one.common, head, users=True)
    if not commit:
        raise SandboxRefused(f"your branch in {one.top} has no commit")
    if head[5:] == one.ref:
        raise SandboxRefused(f"branch '{one.branch}' is what you have checked out")
    return Into(head[5:], commit)


class Merged(NamedTuple):
    """The new commit, and submodules of which it has another one."""

    commit: str
    submodules: list[str]


def merge(one: Branch, record: Record, source: str, squash: bool, anyway: bool, inside: Inside) -> Merged:
    """Merge the commit ``source``. Raises Refused and SandboxRefused, and then nothing has changed.

    ``inside`` runs a command in the session's sandbox.
    """
    with _alone(record) as (git, keep):
        git_merge_journal.recover(one, record, git)
        into = target(one)
        _idle(one, into)
        if _ancestor(git, one, source, into.commit):
            raise SandboxRefused("nothing to merge: everything in it is on your branch already")
        tree, new = _made(git, one, into, source, squash)
        changed = git(one.at, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", into.commit, tree)
        rows = rows_of(changed)
        hooks = _hooks(git, one)
        told = [path for path, row in rows.items() if _tell(git, one, hooks, path, row)]
        if told and not anyway:
            raise Refused(
                "it changes files that may run code, or links out of the tree ('merge anyway' takes them)", told
            )
        busy = _dirty(git, one, rows)
        if busy:
            raise Refused("you have changed or created files that it touches", busy)
        links = _submodules(one, record, rows, (into.commit, tree), inside, git, keep)
        git_lfs.bring(record, changed, git)
        git_merge_journal.write(record, {"old": into.commit, "new": new, "ref": into.ref})
        try:
            _switch(git, one, into, new)
        except _Unchanged:
            git_merge_journal.end(record)
            raise
        except Killed:
            git_merge_journal.recover(one, record, git)
            raise
        except SandboxRefused:  # such as a disk that is full
            git_merge_journal.recovered(one, record, git)
            raise
        git_merge_journal.end(record)
        return Merged(new, links)


def _idle(one: Branch, into: Into) -> None:
    """Check that no git of the user's is at work there, nor was one killed."""
    locks = (f"{one.directory}/index.lock", f"{one.directory}/HEAD.lock", f"{one.common}/{into.ref}.lock")
    there = [path for path in locks if os.path.lexists(path)]
    if there:
        raise Refused("a git of yours is at work, or left its lock", there)


def _submodules(
    one: Branch, record: Record, rows: Mapping[str, Row], trees: tuple[str, str], inside: Inside, git: Git, keep: int
) -> list[str]:
    """Bring their commits first; those that are other ones."""
    if not any(row.mode == GITLINK for row in rows.values()):
        return []
    try:
        return git_bring.bring(one.directory, *trees, git_bring.Way(one.path, record, inside, git, keep))
    except git_bring.Lacking as error:
        raise Refused(str(error), error.paths) from None


@contextmanager
def _alone(record: Record) -> Iterator[tuple[Git, int]]:
    """Be the only one at work there: git, and what it keeps open."""
    fd = os.open(f"{record.place}/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait(fd)
        yield lambda *words, **more: run(*words, **{"keep": (fd,), **more}), fd
    finally:
        os.close(fd)


def _wait(fd: int) -> None:
    """Wait until a git that an earlier daemon has started is done: the lock belongs to the descriptor."""
    program = outside.which("flock")
    if (
        program is None
        or subprocess.run([program, "-w", str(PATIENCE), str(fd)], pass_fds=(fd,), check=False).returncode
    ):
        raise SandboxRefused("git is at work there: try again")


def _ancestor(git: Git, one: Branch, old: str, new: str) -> bool:
    try:
        git(one.at, "merge-base", "--is-ancestor", old, new)
    except SandboxRefused:
        return False
    return True


def _made(git: Git, one: Branch, into: Into, source: str, squash: bool) -> tuple[str, str]:
    """Return tree and commit of the result, as objects only."""
    if _ancestor(git, one, into.commit, source) and not squash:
        return git(one.at, "rev-parse", f"{source}^{{tree}}").decode().strip(), source
    fields = git(
        "-c", "core.attributesFile=/dev/null", one.at, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages",
        into.commit, source, fine=(0, 1),
    ).split(b"\0")  # fmt: skip
    conflicts = [os.fsdecode(name) for name in fields[1:] if name]
    if conflicts:
        raise Refused("it conflicts with your branch", conflicts)
    tree = fields[0].decode().strip()
    message, parents = f"Merge branch '{one.branch}'", ["-p", into.commit]
    if squash:
        subjects = git(one.at, "log", "--format=%s", "--reverse", f"{into.commit}..{source}").decode("utf-8", "replace")
        lines = subjects.splitlines()
        message = lines[0] if len(lines) == 1 else "\n".join([one.branch, "", *(f"* {line}" for line in lines[:200])])
    else:
        parents += ["-p", source]
    made = git(one.at, "commit-tree", "--no-gpg-sign", *parents, "-F", "-", tree, data=message.encode(), users=True)
    return tree, made.decode().strip()


def _tell(git: Git, one: Branch, hooks: list[str], path: str, row: Row) -> bool:
    """Return whether the user is to know before."""
    before, mode, blob = row
    if path.rpartition("/")[2] in TOLD or GITLINK in (before, mode):
        return True
    if any(git_find.matches(path, name) or f"/{name}/" in f"/{path}" for name in git_find.NAMES):
        return True
    if mode == "120000":
        to = os.fsdecode(git(one.at, "cat-file", "blob", blob))
        at = os.path.normpath(os.path.join("/top", os.path.dirname(path), to))
        return to.startswith("/") or not at.startswith("/top/")
    return any(f"{one.top}/{path}".startswith(f"{top}/") for top in hooks)


def _hooks(git: Git, one: Branch) -> list[str]:
    """Return the directories of hooks that the user's git is configured with."""
    found = git(one.at, "config", "--type=path", "-z", "--get-all", "core.hooksPath", users=True, fine=(0, 1)).split(
        b"\0"
    )
    paths = [os.fsdecode(path) for path in found if path and path != b"/dev/null"]  # that one is ours
    return [os.path.normpath(os.path.join(one.top, path)) for path in paths]


def _dirty(git: Git, one: Branch, rows: dict[str, Row]) -> list[str]:
    """Return the paths of the result that the user has changed, staged, or that exist though git does not know them."""
    places = (one.at, f"--work-tree={one.top}")
    # It takes no lock, which a kill would leave there: nothing is written down yet.
    words = ("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no", "--ignore-submodules=dirty")
    found = {os.fsdecode(line[3:]) for line in git(*places, *words, cwd=one.top).split(b"\0") if line} & rows.keys()
    known = {os.fsdecode(name) for name in git(*places, "ls-files", "-z", cwd=one.top).split(b"\0") if name}
    tops = {name[:at] for name in known for at in range(len(name)) if name[at] == "/"}
    for path, (_, mode, _) in rows.items():
        if mode == "000000" or path in known:
            continue
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            at = "/".join(parts[:end])
            full = f"{one.top}/{at}"
            if at in known or not os.path.lexists(full):
                break  # it goes, or nothing is there
            if end == len(parts) or os.path.islink(full) or not os.path.isdir(full):
                if not (end == len(parts) and at in tops):
                    found.add(path)
                break
    return sorted(found)


def _switch(git: Git, one: Branch, into: Into, new: str) -> None:
    """Switch files and index, then the branch. Raises SandboxRefused."""
    places = (one.at, f"--work-tree={one.top}")
    try:
        git(*places, "read-tree", "-m", "-u", into.commit, new, cwd=one.top, users=True)
    except SandboxRefused as error:
        raise _Unchanged(str(error)) if any(word in str(error) for word in UNTOUCHED) else error from None
    try:
        git(one.at, "update-ref", "-m", f"anvillm: merge {one.branch}", into.ref, new, into.commit)
    except Killed:
        raise
    except SandboxRefused as error:
        git(*places, "read-tree", "-m", "-u", new, into.commit, cwd=one.top, users=True)
        raise _Unchanged(str(error)) from None
    git(*places, "update-index", "-q", "--refresh", cwd=one.top, fine=(0, 1))


def resume(one: Branch, record: Record) -> None:
    """End or take back what a daemon that died had begun. Raises SandboxRefused."""
    with _alone(record) as (git, _):
        git_merge_journal.recover(one, record, git)
