"""Commits of submodules on their way into the user's repositories, before what names them is merged.

Those that lie in the session's work tree as work trees of the user's repositories were taken when its turns ended. From a clone that
the agent made itself they are taken here; what the user has not cloned must be had from its remote.

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from sandbox import git_find, git_refs
from sandbox.errors import SandboxRefused
from sandbox.git_out import Inside, take
from sandbox.git_own import Record
from sandbox.git_submodules import DEEP, Git, has, links, repository

_TIPS = 200


class Lacking(SandboxRefused):
    """The commits of these submodules cannot be brought."""

    def __init__(self, why: str, paths: list[str]) -> None:
        super().__init__(why)
        self.paths = paths


class Way(NamedTuple):
    """From a session's work tree ``path``, of ``record``: git inside, and git outside, for which ``keep`` stays open."""

    path: str
    record: Record
    inside: Inside
    git: Git
    keep: int


def bring(directory: str, old: str, new: str, way: Way) -> list[str]:
    """Have the user's repositories of submodules hold the commits that ``new`` names, where it names others than ``old``; their paths.

    ``directory`` is the user's git directory. Most are there already: they were taken when the session's turns ended. Raises Lacking,
    SandboxRefused.
    """
    lacking, changed = list[str](), list[str]()
    _bring(directory, old, new, "", way, changed, lacking, DEEP)
    if lacking:
        raise Lacking("commits of submodules that only the session has, or that .gitmodules does not name", lacking)
    return changed


def _bring(
    directory: str, old: str, new: str, above: str, way: Way, changed: list[str], lacking: list[str], deep: int
) -> None:
    before = {link.path: link.commit for link in links(directory, old, way.git)} if old else {}
    for link in links(directory, new, way.git) if deep else []:
        if before.get(link.path) == link.commit:
            continue
        path, there = above + link.path, repository(directory, link.name, way.git)
        changed.append(path)
        if not there:
            lacking += [] if link.name and _published(way, path, link.commit) else [path]
            continue
        if not has(there, link.commit, way.git):
            try:
                _fetch(there, path, link.commit, way)
            except SandboxRefused as error:
                raise SandboxRefused(f"commits of its submodule {path} cannot be brought: {error}") from None
        was = before.get(link.path, "")
        known = was if was and has(there, was, way.git) else ""
        _bring(there, known, link.commit, f"{path}/", way, changed, lacking, deep - 1)


def _fetch(there: str, path: str, commit: str, way: Way) -> None:
    """Fetch from a clone that the session made itself."""
    tree = f"{way.path}/{path}"
    listed = way.git(f"--git-dir={there}", "for-each-ref", f"--count={_TIPS}", "--format=%(objectname)")
    known = way.inside(["git", "cat-file", "--batch-check"], tree, listed, 1 << 20)
    tips = [
        line.split()[0].decode("ascii", "replace") for line in known.splitlines() if line.split()[1:2] == [b"commit"]
    ]
    clone = Record(
        way.record.place, f"{tree}/.git", True, there, there, git_find.alternates(there), way.record.width, "", "",
        [tip for tip in tips if git_refs.is_object(tip)],
    )  # fmt: skip
    ref = f"{git_refs.OURS}merged/{commit}"
    with suppress(FileNotFoundError):
        os.unlink(f"{there}/{ref}.lock")  # of a machine that went down: no one else makes refs there
    take(clone, commit, ref, way.inside, way.record.place, way.keep)


def _published(way: Way, path: str, commit: str) -> bool:
    """Return whether a remote of the session's clone has it, as far as the session says."""
    argv = ["git", "branch", "-r", "--contains", commit]
    try:
        return bool(way.inside(argv, f"{way.path}/{path}", b"", 1 << 20).strip())
    except SandboxRefused:
        return False
