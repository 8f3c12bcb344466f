"""A working directory that is a part of a repository: the session has a git directory for all of it, a work tree of what is granted.

What is not granted is left out as git itself leaves out parts of a work tree (git-sparse-checkout(1)): else the next commit would
say that all of it was deleted. The user's index is read, and nothing of the repository written.

Threads: any; one session is not prepared by two at a time.
"""

from __future__ import annotations

import os
import re

from sandbox import git_config, git_find
from sandbox.git_config import Pair
from sandbox.git_find import Repository
from sandbox.git_own import Record
from sandbox.git_run import run
from sandbox.pathnames import beneath_any, under
from sandbox.policy import Policy

_SPECIAL = re.compile(r"([\\*?\[!# ])")


def repository(policy: Policy, home: str) -> Repository | None:
    """Return the repository of the working directory, if it begins above everything that the agent may write.

    The user's home is not taken for one, nor what is above it or someone else's: git would take it, and the session could read
    all that was ever committed there.
    """
    at = policy.cwd
    if not beneath_any(at, policy.writable):
        return None
    owner = os.stat(at).st_uid
    while at != "/" and not under(home, at):
        git = f"{at}/.git"
        if os.path.lexists(git):
            if beneath_any(git, policy.writable) or beneath_any(git, policy.hide):
                return None
            if os.path.islink(git) or os.lstat(git).st_uid != owner:
                return None
            return git_find.repository(git)
        at = os.path.dirname(at)
    return None


def narrow(record: Record, policy: Policy) -> None:
    """Leave out of a new git directory's work tree what the agent does not see. Raises SandboxRefused, OSError."""
    if "r" in policy.rights(record.tree):
        return
    index = f"{record.own}/index"
    at = (f"--git-dir={record.directory}", f"--work-tree={record.tree}", "-c", "core.splitIndex=false")
    paths = run(*at, "ls-files", "-z", index=index, cwd=record.tree).split(b"\0")
    seen: dict[bytes, bool] = {}
    hidden = []
    for path in filter(None, paths):
        top = os.path.dirname(path)
        if top not in seen:
            seen[top] = "r" in policy.rights(f"{record.tree}/{os.fsdecode(top)}".rstrip("/"))
        if not seen[top] and "r" not in policy.rights(f"{record.tree}/{os.fsdecode(path)}"):
            hidden.append(path)
    if hidden:
        run(
            *at,
            "update-index",
            "-z",
            "--skip-worktree",
            "--stdin",
            index=index,
            cwd=record.tree,
            data=b"\0".join(hidden) + b"\0",
        )
    config = git_config.read(f"{record.own}/config")
    if git_config.last(config, "core.sparsecheckout") == "true":
        return  # the user's own patterns are kept
    os.makedirs(f"{record.own}/info", exist_ok=True)
    with open(f"{record.own}/info/sparse-checkout", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"{line}\n" for line in _patterns(record.tree, policy))
    with open(f"{record.own}/config", "a", encoding="utf-8") as file:
        pairs = (Pair("core.sparsecheckout", "true"), Pair("core.sparsecheckoutcone", "false"))
        file.write(git_config.text(pairs))


def _patterns(tree: str, policy: Policy) -> list[str]:
    found = []
    for grant in policy.grants:
        if under(grant.path, tree) and "r" in grant.letters:
            found.append(
                "/" + _SPECIAL.sub(r"\\\1", os.path.relpath(grant.path, tree)) + ("/" if grant.kind == "d" else "")
            )
    return found
