"""The linked work trees of a repository of the user's, as they are written down in its git directory.

Threads: any.
"""

from __future__ import annotations

import os
from collections.abc import Iterator


def entries(common: str) -> Iterator[tuple[str, str]]:
    """Yield the top of each, and the directory that it has there."""
    top = f"{common}/worktrees"
    for name in sorted(os.listdir(top)) if os.path.isdir(top) else []:
        try:
            with open(f"{top}/{name}/gitdir", encoding="utf-8", errors="surrogateescape") as file:
                yield os.path.dirname(file.read().strip()), f"{top}/{name}"
        except OSError:
            continue


def forget(common: str, path: str) -> None:
    """Forget one that is gone."""
    for there, entry in list(entries(common)):
        if there == path:
            for name in sorted(os.listdir(entry)):
                if os.path.isfile(f"{entry}/{name}"):
                    os.unlink(f"{entry}/{name}")
