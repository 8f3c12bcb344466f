"""A work tree as it is, kept as a commit: with new files, without ignored ones.

Left out, and named: files above a limit, repositories in it, and what cannot be read. A socket is no file to git.

One thread.
"""

import contextlib
import os
import stat

from anvilsrv.inside.git_tree import Refused, Tree, joined

REF = "refs/heads/checkpoints"
MANY = 5000  # paths that are named one by one, which is faster; of more it is said which not


def make(tree: Tree, limit: int) -> tuple[str, list[str]]:
    """The commit, and lines that say what was left out. Raises Refused."""
    if not os.path.exists(f"{tree.directory}/{REF}"):
        tree.git("update-index", "-q", "--refresh", fine=(0, 1))
    found = dict.fromkeys(tree.names("ls-files", "-z", "-o", "-m", "--exclude-standard"))
    left = {name: why for name in found if (why := _left_out(tree, name, limit))}
    names = [name for name in found if name not in left]
    if names:
        _add(tree, names, list(left))
    new = tree.git("write-tree", "--missing-ok").decode().strip()
    last, known = _last(tree)
    if last and known == new:
        made = last
    else:
        parents = ["-p", last] if last else []
        made = tree.git("commit-tree", "--no-gpg-sign", "-m", "checkpoint", *parents, new).decode().strip()
        tree.git("update-ref", REF, made)
        with open(f"{tree.directory}/last", "w", encoding="ascii") as file:
            file.write(f"{made} {new}\n")
    return made, [f"{tree.shown(name)}: {why}" for name, why in left.items()]


def _last(tree: Tree) -> tuple[str, str]:
    """The checkpoint before and its tree; a file has them, which spares two gits."""
    try:
        with open(f"{tree.directory}/last", encoding="ascii") as file:
            commit, _, made = file.read().strip().partition(" ")
    except FileNotFoundError:
        return "", ""
    return (commit, made) if made else ("", "")


def _add(tree: Tree, names: list[bytes], left: list[bytes]) -> None:
    if len(names) <= MANY:
        links = dict[bytes, bool]()
        beyond = {name for name in names if _beyond(tree, name, links)}
        with contextlib.suppress(Refused):  # a file was changed or closed just now: then it is added as a whole
            if beyond:  # git refuses to look there: these are gone
                tree.git("update-index", "--force-remove", "-z", "--stdin", data=joined(list(beyond)))
            there = [name for name in names if name not in beyond]
            tree.git("update-index", "--add", "--remove", "--replace", "-z", "--stdin", data=joined(there))
            return
    specs = [b":(top)", *(b":(top,exclude,literal)" + name.rstrip(b"/") for name in left)]
    words = ("add", "-A", "--sparse", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul")
    tree.git(*words, data=joined(specs), fine=(0, 1))


def _beyond(tree: Tree, name: bytes, links: dict[bytes, bool]) -> bool:
    """Whether a directory of that path is a link; ``links`` are those that were looked at."""
    top = name.rpartition(b"/")[0]
    if not top:
        return False
    if top not in links:
        links[top] = _beyond(tree, top, links) or os.path.islink(tree.path(top))
    return links[top]


def _left_out(tree: Tree, name: bytes, limit: int) -> str:
    if name.endswith(b"/"):
        return "a repository of its own"
    path = tree.path(name)
    try:
        status = os.lstat(path)
    except OSError:
        return ""  # deleted
    if stat.S_ISREG(status.st_mode):
        if status.st_size > limit:
            return f"{status.st_size / (1 << 20):.0f} MB"
        if not os.access(path, os.R_OK):
            return "cannot be read"
    return ""
