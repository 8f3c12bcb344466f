"""A unified diff applied to the files of work trees, and the lines of files for who quotes them: never through a link.

One thread.
"""

import os
import re
import stat

from anvilsrv.inside.git_tree import Refused, Tree

FILE = re.compile(rb"^diff --git .*$", re.MULTILINE)
INDEX = re.compile(rb"^index ([0-9a-f]{40,64})\.\.([0-9a-f]{40,64})", re.MULTILINE)
NAME = re.compile(rb'^(?:---|\+\+\+) (?:"?[ab]/)([^\t\n"]+)', re.MULTILINE)
MOST = 4 << 20  # bytes of a file that is quoted


def apply(top: str, trees: list[Tree], patch: bytes) -> list[str]:
    """Apply it; the paths. Raises Refused, and nothing was done."""
    if not trees:
        raise Refused("there is no work tree")
    tree = Tree("", top, trees[0].directory, "")
    starts = [one.start() for one in FILE.finditer(patch)] or [0]
    parts = [patch[start:end] for start, end in zip(starts, [*starts[1:], len(patch)], strict=True)]
    changed = [name for part in parts if (name := _changed(tree, part))]
    if changed:
        raise Refused("it was changed since the diff was read", changed)
    names = sorted({name.decode("utf-8", "replace") for name in NAME.findall(patch)})
    tree.git("apply", "--whitespace=nowarn", "-p1", "-", data=patch)
    return names


def _changed(tree: Tree, part: bytes) -> str:
    """Return the path of a part that says which content it was made for, when that is not there any more."""
    index, names = INDEX.search(part), NAME.findall(part)
    if index is None or not names:
        return ""
    path = tree.path(names[0])
    if not os.path.lexists(path):
        now = b"0" * len(index[1])
    elif os.path.islink(path):
        now = tree.git("hash-object", "--no-filters", "--stdin", data=os.fsencode(os.readlink(path))).strip()
    else:
        now = tree.git("hash-object", f"--path={os.fsdecode(names[0])}", "--", path).strip()
    return "" if now in index.groups() else os.fsdecode(names[0])


def contents(top: str, paths: list[str]) -> dict[str, list[str]]:
    """Return the lines of these files; one that does not exist, or is not text, has none."""
    found = {}
    for path in paths[:100]:
        try:
            found[path] = _lines(top, path)
        except OSError:
            found[path] = []
    return found


def _lines(top: str, path: str) -> list[str]:
    here = os.open(top, os.O_PATH | os.O_DIRECTORY)
    try:
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return []
        for part in parts[:-1]:
            deeper = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = deeper
        fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        return file.read(MOST).decode("utf-8", "replace").split("\n")
