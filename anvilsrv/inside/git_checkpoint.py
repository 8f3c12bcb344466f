"""A work tree as it is, kept as a commit: with new files, without ignored ones.

Left out, and named: files above a limit, repositories in it, what cannot be read, and sockets, pipes and devices, of which git says
nothing.

One thread.
"""

import contextlib
import os
import stat
from collections import deque
from typing import NamedTuple

from anvilsrv.inside.git_tree import Refused, Tree, joined

REF = "refs/heads/checkpoints"
#: What git does not know yet; and what is not as it knows it, where it looks by several threads.
NEW = ("ls-files", "-z", "-o", "--exclude-standard")
CHANGED = ("diff-files", "-z", "--name-only", "--ignore-submodules=dirty")
LOOKED = 2000  # directories in which it is looked for what git does not see, from the top down
MANY = 5000  # paths that are named one by one, which is faster; of more it is said which not


class Last(NamedTuple):
    """The checkpoint before, its tree, and what the index was then; a file has them, which spares three gits."""

    commit: str
    tree: str
    stamp: str


def make(tree: Tree, limit: int) -> tuple[str, list[str]]:
    """Make the commit. Returns it, and lines that say what was left out. Raises Refused."""
    if not os.path.exists(f"{tree.directory}/{REF}"):
        tree.git("update-index", "-q", "--refresh", fine=(0, 1))
    listed, unseen = tree.beside((NEW, CHANGED), lambda: _unseen(tree))
    found = dict.fromkeys(listed)
    left = {name: why for name in found if (why := _left_out(tree, name, limit))} | unseen
    names = [name for name in found if name not in left]
    if names:
        _add(tree, names, list(left))
    last = _last(tree)
    made = last.commit if not names and last.stamp == _stamp(tree) else _commit(tree, last)
    return made, [f"{tree.shown(name)}: {why}" for name, why in left.items()]


def _commit(tree: Tree, last: Last) -> str:
    new = tree.git("write-tree", "--missing-ok").decode().strip()
    made = last.commit
    if last.tree != new:
        parents = ["-p", last.commit] if last.commit else []
        made = tree.git("commit-tree", "--no-gpg-sign", "-m", "checkpoint", *parents, new).decode().strip()
    if last.tree != new or not os.path.exists(f"{tree.directory}/{REF}"):
        _put(f"{tree.directory}/{REF}", f"{made}\n")  # what git would do, who has the directory to itself here
    _put(f"{tree.directory}/last", f"{made} {new} {_stamp(tree)}\n")
    return made


def _put(path: str, text: str) -> None:
    with open(f"{path}.new", "w", encoding="ascii") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def _last(tree: Tree) -> Last:
    try:
        with open(f"{tree.directory}/last", encoding="ascii") as file:
            words = file.read().split()
    except FileNotFoundError:
        words = []
    return Last(*words) if len(words) == len(Last._fields) else Last("", "", "")


def _stamp(tree: Tree) -> str:
    try:
        status = os.stat(f"{tree.directory}/index")
    except FileNotFoundError:
        return "none"
    return f"{status.st_ino}.{status.st_size}.{status.st_mtime_ns}"


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
    """Return whether a directory of that path is a link; ``links`` are those that were looked at."""
    top = name.rpartition(b"/")[0]
    if not top:
        return False
    if top not in links:
        links[top] = _beyond(tree, top, links) or os.path.islink(tree.path(top))
    return links[top]


def _unseen(tree: Tree) -> dict[bytes, str]:
    """Return what is neither a file nor a link nor a directory, and is not ignored."""
    found, waiting = list[bytes](), deque([b""])
    for _ in range(LOOKED):
        if not waiting:
            break
        above = waiting.popleft()
        with contextlib.suppress(OSError), os.scandir(os.fsencode(tree.path(above))) as listing:
            entries = {entry.name: entry for entry in listing}
            if above and b".git" in entries:
                continue
            for name, entry in entries.items():
                if entry.is_dir(follow_symlinks=False):
                    waiting += [above + name + b"/"] if name != b".git" else []
                elif not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                    found.append(above + name)
    ignored = tree.names("check-ignore", "-z", "--stdin", data=joined(found), fine=(0, 1)) if found else []
    return dict.fromkeys((name for name in found if name not in ignored), "a socket, pipe or device")


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
