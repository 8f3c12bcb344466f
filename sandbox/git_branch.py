"""A linked work tree on a branch of its own, beside the user's: made, and taken back, with the user's own git directory alone.

Threads: any.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from sandbox import git_find, git_linked, git_refs, git_submodules
from sandbox.errors import SandboxRefused
from sandbox.git_run import run
from sandbox.git_trust import Trusted
from sandbox.pathnames import beneath_any


@dataclass(frozen=True)
class Branch:
    """``top`` is the user's work tree and ``directory`` its git directory; ``path`` the new one, on ``branch`` from the commit
    ``base``. With ``made`` the branch is new."""

    top: str
    directory: str
    common: str
    path: str
    branch: str
    base: str
    made: bool

    @property
    def at(self) -> str:
        """The option that names the git directory."""
        return f"--git-dir={self.directory}"

    @property
    def ref(self) -> str:
        """The branch as a ref."""
        return f"refs/heads/{self.branch}"

    def tip(self) -> str:
        """Return where the branch is; empty if there is none. Raises SandboxRefused."""
        return git_refs.resolve(self.directory, self.common, f"ref: {self.ref}", users=True)


def find(cwd: str, trusted: Trusted) -> git_find.Repository:
    """Return the user's repository in which a directory lies. Raises SandboxRefused if there is none, or it may be an
    agent's.
    """
    at = cwd
    while True:
        git = f"{at}/.git"
        if os.path.lexists(git):
            break
        if at == "/":
            raise SandboxRefused(f"no git repository in {cwd}")
        at = os.path.dirname(at)
    found = None if os.path.islink(git) else git_find.repository(git)
    if found is None:
        raise SandboxRefused(f"no git repository in {at}")
    if found.git not in trusted.sort([found.git]):
        raise SandboxRefused(
            f"{git} was made since agents work there: 'anvil-sandbox trust {at}' says that it is yours"
        )
    return found


def wanted(
    cwd: str, branch: str, base: str, trusted: Trusted, written: list[str], elsewhere: str, otherwise: str
) -> Branch:
    """Return what is to be made for a session that is to work in ``cwd``; nothing is made. Raises SandboxRefused.

    ``elsewhere`` is where the user wants it, or empty: beside the repository, and ``otherwise`` where that is not possible.
    """
    one = find(cwd, trusted)
    at = f"--git-dir={one.directory}"
    try:
        run(at, "check-ref-format", "--branch", branch)
    except SandboxRefused:
        raise SandboxRefused(f"'{branch[:100]}' is not a valid branch name") from None
    there = git_refs.resolve(one.directory, one.common, f"ref: refs/heads/{branch}", users=True)
    if there and base:
        raise SandboxRefused(f"branch '{branch}' already exists: base= needs a new one")
    try:
        start = there or run(at, "rev-parse", "--verify", "-q", "--end-of-options", f"{base or 'HEAD'}^{{commit}}")
    except SandboxRefused:
        raise SandboxRefused(f"no commit '{base}' in {one.tree}" if base else f"no commit yet in {one.tree}") from None
    commit = start if isinstance(start, str) else start.decode().strip()
    path = _place(one, branch, written, elsewhere, otherwise)
    return Branch(one.tree, one.directory, one.common, path, branch, commit, not there)


def _place(one: git_find.Repository, branch: str, written: list[str], elsewhere: str, otherwise: str) -> str:
    name = f"{os.path.basename(one.tree)}.{branch.replace('/', '-')}"
    parent = elsewhere or os.path.dirname(one.tree)
    if not elsewhere and (not os.access(parent, os.W_OK) or beneath_any(parent, written) or _in_a_tree(parent, one)):
        parent = otherwise
    path = os.path.join(parent, name)
    if os.path.lexists(path):
        raise SandboxRefused(f"{path} already exists")
    if beneath_any(parent, written):  # what is gone of an earlier one no one makes again
        raise SandboxRefused(f"an agent may write in {parent}")
    return path


def _in_a_tree(path: str, one: git_find.Repository) -> bool:
    """Return whether it is in another work tree; if the repository itself is kept without one, its work trees lie side
    by side.
    """
    while not os.path.lexists(f"{path}/.git"):
        if path == "/":
            return False
        path = os.path.dirname(path)
    there = git_find.repository(f"{path}/.git")
    if there is None or there.directory != one.common:
        return True
    return run(f"--git-dir={one.common}", "config", "--type=bool", "core.bare", fine=(0, 1)).strip() != b"true"


class Made(NamedTuple):
    """The submodules of a new work tree: the tops of those that are there, and the paths of those that are not cloned."""

    submodules: list[str]
    left: list[str]


def add(one: Branch) -> Made:
    """Make it, with its submodules. Raises SandboxRefused."""
    try:
        os.makedirs(os.path.dirname(one.path), 0o700, exist_ok=True)
    except OSError as error:
        raise SandboxRefused(f"cannot make {os.path.dirname(one.path)}: {error.strerror}") from None
    made = ("--no-track", "-b", one.branch) if one.made else ()
    start = one.base if one.made else one.branch
    run(one.at, "worktree", "add", "-q", *made, one.path, start, cwd=one.top, users=True)
    return Made(*git_submodules.add(one.directory, one.base, one.path))


def take_back(one: Branch) -> None:
    """Undo what was begun and no session has. A branch that has moved stays. Raises SandboxRefused."""
    remove(one)
    if one.made and one.tip() == one.base:
        run(one.at, "update-ref", "-d", one.ref, one.base)


def remove(one: Branch) -> None:
    """Remove the work tree, with all that is in it. Raises SandboxRefused."""
    git_submodules.remove(one.directory, one.path)
    listed = run(one.at, "worktree", "list", "--porcelain", "-z").split(b"\0")
    if b"worktree " + os.fsencode(one.path) in listed:
        run(one.at, "worktree", "unlock", one.path, cwd=one.top, fine=(0, 128))
        if os.path.lexists(f"{one.path}/.git"):
            run(one.at, "worktree", "remove", "--force", "--force", one.path, cwd=one.top)
        else:
            git_linked.forget(one.common, one.path)
    if os.path.isdir(one.path) and not os.listdir(one.path):
        os.rmdir(one.path)
