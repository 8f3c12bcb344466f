"""Run in a sandbox: takes into a new work tree what the user's has and no commit.

    python3 -I -S /path/anvilsrv/inside/git_copy.py < {"top": …, "target": …, "working": …}

What is changed, staged or new (``working``), and what is ignored but listed in ``.worktreeinclude``. It prints an object with how many
paths it took and which it left out. No link is followed, in neither tree. Standard library only.
"""

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager

if __package__ in (None, ""):  # run by its path, as git_worker.py is
    sys.modules["anvilsrv"] = package = type(sys)("anvilsrv")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from anvilsrv.inside.git_tree import Refused, Tree, joined
from anvilsrv.strict_json import loads_object

LIST = ".worktreeinclude"
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NAMED = 1000  # of those left out


def changed(tree: Tree) -> tuple[list[bytes], list[bytes]]:
    """Return the paths that are not as they were committed, and those that are gone."""
    found = tree.names("diff-index", "-z", "--name-status", "--no-renames", "HEAD", "--")
    states = list(zip(found[::2], found[1::2], strict=True))
    gone = [name for state, name in states if state == b"D"]
    new = tree.names("ls-files", "-z", "-o", "--exclude-standard")
    return [*(name for state, name in states if state != b"D"), *new], gone


def included(tree: Tree) -> list[bytes]:
    """Return what is ignored, and listed."""
    try:
        if not stat.S_ISREG(os.lstat(f"{tree.top}/{LIST}").st_mode):
            return []
    except OSError:
        return []
    listed = tree.names("ls-files", "-z", "-o", "-i", f"--exclude-from={tree.top}/{LIST}")
    return tree.names("check-ignore", "-z", "--stdin", data=joined(listed), fine=(0, 1)) if listed else []


@contextmanager
def parent(top: str, name: bytes, make: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the directory of a path, reached without links, and its last part. Raises OSError."""
    *above, last = name.split(b"/")
    at = os.open(top, DIRECTORY)
    try:
        for part in above:
            if make:
                try:
                    os.mkdir(part, 0o777, dir_fd=at)
                except FileExistsError:
                    pass
            below = os.open(part, DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        yield at, last
    finally:
        os.close(at)


def remove(top: str, name: bytes) -> None:
    """Remove it, and the directories that it leaves empty. Raises OSError."""
    with parent(top, name, make=False) as (at, last):
        os.unlink(last, dir_fd=at)
    while b"/" in name:
        name = name.rpartition(b"/")[0]
        with parent(top, name, make=False) as (at, last):
            try:
                os.rmdir(last, dir_fd=at)
            except OSError:
                return


def copy(source: str, target: str, name: bytes) -> None:
    """Copy a file or a link. Raises OSError; IsADirectoryError for anything else."""
    with parent(source, name, make=False) as (at, last), parent(target, name, make=True) as (to, _):
        there = os.lstat(last, dir_fd=at)
        if not stat.S_ISREG(there.st_mode) and not stat.S_ISLNK(there.st_mode):
            raise IsADirectoryError(21, "neither a file nor a link")
        try:
            os.unlink(last, dir_fd=to)
        except FileNotFoundError:
            pass
        if stat.S_ISLNK(there.st_mode):
            os.symlink(os.readlink(last, dir_fd=at), last, dir_fd=to)
            return
        fresh = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        reading = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with (
            open(os.open(last, reading, dir_fd=at), "rb") as old,
            open(os.open(last, fresh, there.st_mode & 0o777, dir_fd=to), "wb") as new,
        ):
            shutil.copyfileobj(old, new, 1 << 20)


def take(tree: Tree, target: str, working: bool) -> tuple[int, list[str]]:
    """Take all of it. Returns how many paths were taken, and what was left out."""
    names, gone = changed(tree) if working else ([], [])
    done, left = 0, []
    for name in gone:
        try:
            remove(target, name)
            done += 1
        except OSError as error:
            left.append(f"{tree.shown(name)}: {error.strerror}")
    for name in dict.fromkeys([*names, *included(tree)]):
        try:
            copy(tree.top, target, name)
            done += 1
        except OSError as error:
            left.append(f"{tree.shown(name)}: {error.strerror}")
    return done, left[:NAMED]


def directory(top: str) -> str:
    """Return its git directory. Raises OSError."""
    git = f"{top}/.git"
    if os.path.isdir(git):
        return git
    with open(git, encoding="utf-8", errors="surrogateescape") as file:
        return os.path.join(top, file.read(4096).removeprefix("gitdir: ").strip())


def main() -> None:
    """Answer one request."""
    asked = loads_object(sys.stdin.buffer.read())
    try:
        done, left = take(Tree("", asked["top"], directory(asked["top"]), ""), asked["target"], asked["working"])
        print(json.dumps({"taken": done, "left": left}))
    except (Refused, OSError, ValueError) as error:
        print(json.dumps({"refused": str(error)}))


if __name__ == "__main__":
    main()
