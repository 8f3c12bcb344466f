"""What an agent made or changed that runs something for the next person who works there: named, since it cannot all be prevented.

Looked at are the names of ``git_find.NAMES``, the directory of hooks that the user's git is told to use, and every ``.git``.

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from sandbox import git_find, outside
from sandbox.pathnames import beneath_any

_FILES = 200  # of one directory that is watched


@dataclass
class Seen:
    """What there was at the last look. ``tops`` are directories that the agent may write, ``without`` such as it cannot see."""

    place: str
    tops: list[str]
    without: list[str]
    hooks: list[str]
    marks: dict[str, str]

    def save(self) -> None:
        """Write it down beside the session's git directories."""
        os.makedirs(os.path.dirname(self.place), 0o700, exist_ok=True)
        with open(f"{self.place}.new", "w", encoding="utf-8") as file:
            json.dump(vars(self), file)
        os.replace(f"{self.place}.new", self.place)


def begin(place: str, tops: Iterable[str], without: Iterable[str], repositories: Iterable[git_find.Repository]) -> None:
    """Remember what there is before an agent starts."""
    tops = list(tops)
    found = Seen(place, tops, list(without), _hooks(repositories, tops), {})
    found.marks = _marks(found)
    found.save()


def changes(place: str) -> list[str]:
    """Return the paths that are new, or not as they were at the last look; empty if nothing was remembered."""
    try:
        with open(place, encoding="utf-8") as file:
            found = Seen(**json.load(file))
    except FileNotFoundError:
        return []
    before, found.marks = found.marks, _marks(found)
    changed = sorted(path for path, mark in found.marks.items() if before.get(path) != mark)
    if before != found.marks:
        found.save()
    return changed


def _hooks(repositories: Iterable[git_find.Repository], tops: Iterable[str]) -> list[str]:
    """Return the directories of hooks that the user's git is configured with, wherever that is, and that the agent may
    write.
    """
    program, found = outside.which("git"), []
    for one in repositories if program else ():
        result = subprocess.run(
            [str(program), f"--git-dir={one.directory}", "config", "--type=path", "--get", "core.hooksPath"],
            capture_output=True, timeout=20, check=False, cwd=one.tree, stdin=subprocess.DEVNULL, env=outside.environment(),
        )  # fmt: skip
        path = os.fsdecode(result.stdout.rstrip(b"\n"))
        path = os.path.normpath(os.path.join(one.tree, path)) if path else ""
        found += [path] if path and beneath_any(path, tops) else []
    return found


def _marks(seen: Seen) -> dict[str, str]:
    walked = git_find.walk(seen.tops, seen.without)
    gits = [*(one.git for one in walked.repositories), *walked.links, *walked.bare]
    found = {path: _mark(path, deep=False) for path in gits}
    return found | {path: _mark(path) for path in (*walked.names, *seen.hooks) if os.path.lexists(path)}


def _mark(path: str, deep: bool = True) -> str:
    """Return a mark that differs if the path, or a file in it, was made again or written."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    if status.st_mode & 0o170000 != 0o040000:
        return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    if not deep:
        return f"{status.st_ino}"
    found = []
    for directory, names, files in os.walk(path):
        names.sort()
        found += [_mark(os.path.join(directory, name)) for name in sorted(files)[:_FILES]]
        if len(found) >= _FILES:
            break
    return " ".join(found[:_FILES])
