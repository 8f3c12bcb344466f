"""Where a session's checkpoints are kept: a git directory beside its own, which no agent sees, for the git of ours that works inside.

It has the objects of the repository and of the session by alternates, an index that begins as a copy, and harmless configuration. So
what an agent writes into its own git directory runs nothing here and changes no checkpoint.

Threads: any; one session is not prepared by two at a time.
"""

from __future__ import annotations

import os
import shutil

from sandbox import git_config, git_files
from sandbox.git_config import Pair
from sandbox.git_own import Record

_LEFT_OUT = ("remote.", "branch.", "submodule.", "extensions.partialclone", "pull.")


def directory(record: Record) -> str:
    """Return the path of it, outside and inside."""
    return f"{record.place}/check"


def make(record: Record) -> None:
    """Make it where it is missing. Raises OSError."""
    place = directory(record)
    if os.path.isdir(place):
        return
    fresh = f"{place}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    for name in ("objects/info", "objects/pack", "refs/heads", "info"):
        os.makedirs(f"{fresh}/{name}", 0o700)
    own = record.own
    pairs = [
        pair
        for pair in git_config.read(f"{own}/config")
        if pair.key.startswith("filter.lfs.") or pair in git_config.harmless([pair])
    ]
    kept = [pair for pair in pairs if not pair.key.startswith(_LEFT_OUT)]
    version = "1" if any(pair.key.startswith("extensions.") for pair in kept) else "0"
    fixed = [Pair("core.repositoryformatversion", version), Pair("core.bare", "false"), Pair("gc.auto", "0")]
    seen = own if record.pointer else record.git  # where the session's own appears inside
    _put(f"{fresh}/config", git_config.text([*fixed, *kept]))
    _put(f"{fresh}/HEAD", "ref: refs/heads/checkpoints\n")
    _put(f"{fresh}/objects/info/alternates", "".join(f"{path}\n" for path in (*record.borrowed(), f"{seen}/objects")))
    shared = [name for name in os.listdir(own) if name.startswith("sharedindex.")]
    for name in ("index", *shared, "info/exclude", "info/attributes", "info/sparse-checkout"):
        content = git_files.read(f"{own}/{name}", git_files.MOST)
        if content is not None:
            with open(f"{fresh}/{name}", "wb") as file:
                file.write(content)
    os.rename(fresh, place)


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
