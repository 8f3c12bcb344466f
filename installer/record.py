"""What was installed, so that exactly that can be taken away again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from installer.layout import checksum, replace, say


class Record:
    """What was installed: links, configuration files by checksum, files of the environment, directories made,
    additions to files of other programs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.there = path.exists()
        found = json.loads(path.read_text()) if self.there else {}
        self.links: dict[str, str] = found.get("links", {})
        self.config: dict[str, str] = found.get("config", {})
        self.beside: dict[str, str] = found.get("beside", {})
        self.env: list[str] = found.get("env", [])
        self.made: list[str] = found.get("made", [])
        self.merged: dict[str, dict[str, str]] = found.get("merged", {})  # see installer.edits

    def save(self) -> None:
        names = ("links", "config", "beside", "env", "made", "merged")
        self.directory(self.path.parent)
        replace(self.path, json.dumps({name: getattr(self, name) for name in names}, indent=1).encode() + b"\n")

    def directory(self, path: Path) -> None:
        """Make a directory, and remember each that was not there."""
        missing = [one for one in (path, *path.parents) if not one.exists()]
        path.mkdir(parents=True, exist_ok=True)
        self.made += [str(one) for one in reversed(missing) if str(one) not in self.made]

    def link(self, path: Path, target: Path) -> None:
        self.directory(path.parent)
        draft = path.with_name(f".{path.name}.draft")
        draft.unlink(missing_ok=True)
        draft.symlink_to(target)
        draft.replace(path)
        self.links[str(path)] = str(target)

    def unlink(self, path: str) -> None:
        if os.path.islink(path) and os.readlink(path) == self.links[path]:
            os.unlink(path)
        del self.links[path]

    def ours(self, path: Path) -> bool:
        """Return whether ``path`` was put there by an earlier installation."""
        return path.is_symlink() and os.readlink(path) == self.links.get(str(path))


def forget(path: Path, among: dict[str, str]) -> None:
    """Remove a file if it is still as it was laid there."""
    if among.get(str(path)) not in (None, checksum(path)):
        say(f"changed by you, left as it is: {path}") if path.exists() else None
    elif str(path) in among:
        path.unlink(missing_ok=True)
    among.pop(str(path), None)


def sweep(record: Record) -> None:
    """Remove the directories that we made and that are empty."""
    for path in sorted(record.made, key=len, reverse=True):
        try:
            os.rmdir(path)
        except OSError:
            continue  # it is in use
