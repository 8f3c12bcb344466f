"""Repositories in the directories that an agent may write, and the names there that make other programs run something.

A walk over directories from the top down, bounded, never through a link. Nothing is run, and nothing of git's configuration counts.

Threads: any.
"""

from __future__ import annotations

import fnmatch
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sandbox import git_files
from sandbox.pathnames import beneath_any

DIRECTORIES = 20_000  # that one walk looks into
#: What editors, shells and agents run or load, by its place in a directory. The last part may be a pattern.
NAMES = (
    ".claude/settings*.json", ".claude/hooks", ".claude/commands", ".claude/agents", ".claude/plugins", ".mcp.json",
    ".vscode", ".idea", ".envrc", ".dir-locals.el",
)  # fmt: skip
_FLAT = frozenset(name for name in NAMES if "/" not in name)
_IN_CLAUDE = tuple(name.removeprefix(".claude/") for name in NAMES if "/" in name)


class Repository(NamedTuple):
    """``git`` is the path ``.git``: a directory, or with ``pointer`` a file that names one. ``directory`` is the git
    directory of this work tree; in ``common`` are objects, refs and configuration."""

    git: str
    pointer: bool
    directory: str
    common: str

    @property
    def tree(self) -> str:
        """The top of its work tree."""
        return os.path.dirname(self.git)


@dataclass
class Walk:
    """What was found. ``bare`` are git directories that have no work tree beside them; ``left`` says where it was not looked."""

    repositories: list[Repository] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)  # `.git` that are symbolic links
    left: list[str] = field(default_factory=list)


def walk(tops: Iterable[str], without: Iterable[str] = (), most: int = DIRECTORIES) -> Walk:
    """Look through these directories; ``without`` are such as no agent can see."""
    found, closed = Walk(), tuple(without)
    tops = sorted(set(tops))
    waiting = deque(top for n, top in enumerate(tops) if not beneath_any(top, tops[:n]))
    count = 0
    while waiting:
        at = waiting.popleft()
        if beneath_any(at, closed):
            continue
        count += 1
        if count > most:
            found.left = [at, *waiting]
            break
        waiting.extend(_look(at, found))
    return found


def _look(at: str, found: Walk) -> Iterator[str]:
    """Note what is in one directory; the directories in it in which to look."""
    try:
        with os.scandir(at) as listing:
            entries = {entry.name: entry for entry in listing}
    except OSError:
        return
    if {"HEAD", "objects", "refs"} <= entries.keys() and os.path.basename(at) != ".git":
        found.bare.append(at)
        return
    found.names += sorted(_names(at, entries))
    for name, entry in sorted(entries.items()):
        if name == ".git":
            if entry.is_symlink():
                found.links.append(entry.path)
            elif (one := repository(entry.path)) is not None:
                found.repositories.append(one)
        elif entry.is_dir(follow_symlinks=False):
            yield entry.path


def _names(at: str, entries: Iterable[str]) -> Iterator[str]:
    yield from (f"{at}/{name}" for name in _FLAT & set(entries))
    if ".claude" in entries and not os.path.islink(f"{at}/.claude"):
        try:
            inner = os.listdir(f"{at}/.claude")
        except OSError:
            return
        yield from (f"{at}/.claude/{name}" for name in inner if any(fnmatch.fnmatchcase(name, p) for p in _IN_CLAUDE))


def matches(path: str, name: str) -> bool:
    """Return whether the path is one that this name of ``NAMES`` means."""
    depth = name.count("/") + 1
    return fnmatch.fnmatchcase("/".join(path.split("/")[-depth:]), name)


def repository(git: str) -> Repository | None:
    """Return the repository of a path ``.git``; None if it is not one."""
    pointer = not os.path.isdir(git)
    directory = git
    if pointer:
        text = git_files.line(git)
        if not text.startswith("gitdir: "):
            return None
        directory = os.path.realpath(os.path.join(os.path.dirname(git), text[8:]))
    where = git_files.line(f"{directory}/commondir")
    common = os.path.realpath(os.path.join(directory, where)) if where else directory
    if not os.path.isdir(f"{common}/objects") or not os.path.lexists(f"{directory}/HEAD"):
        return None
    return Repository(git, pointer, directory, common)


def alternates(common: str) -> list[str]:
    """Return the object directories of a repository, its own first."""
    found: list[str] = []
    waiting = [f"{common}/objects"]
    while waiting and len(found) < 8:
        at = waiting.pop(0)
        if at in found or not os.path.isdir(at):
            continue
        found.append(at)
        for line in os.fsdecode(git_files.read(f"{at}/info/alternates") or b"").splitlines():
            if line and not line.startswith(("#", '"')):
                waiting.append(os.path.realpath(os.path.join(at, line)))
    return found
