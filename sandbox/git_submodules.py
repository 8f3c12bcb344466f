"""Submodules: those of a commit, where the user's repositories of them are, and their work trees in that of a session's branch.

The repositories are those in the user's git directory (``modules/``), which no agent can write. One that lies elsewhere, or that is
not cloned, is not touched.

Threads: any.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sandbox import git_linked
from sandbox.errors import SandboxRefused
from sandbox.git_run import run
from sandbox.pathnames import under

GITLINK = "160000"
DEEP = 5  # submodules in submodules
Git = Callable[..., bytes]


class Link(NamedTuple):
    """A submodule as a commit has it: where, which commit, and its name in ``.gitmodules``, empty for none."""

    path: str
    commit: str
    name: str


def links(directory: str, commit: str, git: Git = run) -> list[Link]:
    """Return the submodules of a commit or tree. Raises SandboxRefused."""
    at = f"--git-dir={directory}"
    names = _names(at, commit, git)
    found = []
    for line in git(at, "ls-tree", "-r", "-z", commit).split(b"\0"):
        head, _, path = line.partition(b"\t")
        if head.startswith(GITLINK.encode()):
            found.append(Link(os.fsdecode(path), head.split()[2].decode(), names.get(os.fsdecode(path), "")))
    return found


def _names(at: str, commit: str, git: Git) -> dict[str, str]:
    """Return the names by path."""
    if not git(at, "ls-tree", commit, "--", ".gitmodules").startswith(b"100"):
        return {}
    words = ("--blob", f"{commit}:.gitmodules", "-z", "--get-regexp", r"^submodule\..*\.path$")
    found = {}
    for entry in os.fsdecode(git(at, "config", *words, fine=(0, 1))).split("\0"):
        key, _, path = entry.partition("\n")
        name = key.removeprefix("submodule.").removesuffix(".path")
        if name and not name.startswith("/") and ".." not in name.split("/"):
            found[path] = name
    return found


def repository(directory: str, name: str, git: Git = run) -> str:
    """Return the repository of a submodule in a git directory of the user's; empty if it is not cloned, or its work
    tree is gone.
    """
    path = f"{directory}/modules/{name}"
    if not name or not os.path.isdir(f"{path}/objects"):
        return ""
    try:
        git(f"--git-dir={path}", "rev-parse", "--git-dir")
    except SandboxRefused:
        return ""
    return path


def has(directory: str, commit: str, git: Git = run) -> bool:
    """Return whether that repository has the commit."""
    try:
        git(f"--git-dir={directory}", "cat-file", "-e", f"{commit}^{{commit}}")
    except SandboxRefused:
        return False
    return True


# -- the work tree of a branch ---------------------------------------------------------------------------------------------


def add(directory: str, commit: str, top: str) -> tuple[list[str], list[str]]:
    """Make them in the new work tree ``top``, as work trees of the user's repositories; their paths, and those that are not cloned."""
    made, left = list[str](), list[str]()
    _add(directory, commit, top, made, left, DEEP)
    return made, [os.path.relpath(path, top) for path in left]


def _add(directory: str, commit: str, top: str, made: list[str], left: list[str], deep: int) -> None:
    if not deep or not _names(f"--git-dir={directory}", commit, run):
        return
    for link in links(directory, commit):
        path, there = f"{top}/{link.path}", repository(directory, link.name)
        if not there or not has(there, link.commit):
            left.append(path)
            continue
        at = (f"--git-dir={there}", f"--work-tree={top}")
        run(*at, "worktree", "add", "-q", "--detach", path, link.commit, cwd=top, users=True)
        made.append(path)
        _add(there, link.commit, path, made, left, deep - 1)


def remove(directory: str, top: str) -> None:
    """Remove those in the work tree ``top``, the innermost first. Raises SandboxRefused."""
    found = [(path, there) for there in _cloned(directory) for path, _ in git_linked.entries(there) if under(path, top)]
    for path, there in sorted(found, key=lambda pair: -len(pair[0])):
        if os.path.lexists(f"{path}/.git"):
            at = (f"--git-dir={there}", f"--work-tree={there}")
            run(*at, "worktree", "remove", "--force", "--force", path)
        else:
            git_linked.forget(there, path)


def _cloned(directory: str) -> Iterator[str]:
    """Yield the repositories of all submodules, and of those in them."""
    waiting = [f"{directory}/modules"]
    while waiting:
        top = waiting.pop()
        for name in sorted(os.listdir(top)) if os.path.isdir(top) else []:
            at = f"{top}/{name}"
            if os.path.isdir(f"{at}/objects"):
                yield at
                waiting.append(f"{at}/modules")
            elif not os.path.islink(at):
                waiting.append(at)
