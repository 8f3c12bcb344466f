"""What a merge has begun in the user's work tree, in a journal: it is ended, or files are put back to what they were.

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from sandbox import git_files, git_refs
from sandbox.git_branch import Branch
from sandbox.git_own import Record
from sandbox.git_submodules import GITLINK

Git = Callable[..., bytes]


class Row(NamedTuple):
    """A path that a merge touches: its mode before and after, and the object after."""

    before: str
    mode: str
    object: str


def rows_of(raw: bytes) -> dict[str, Row]:
    """Return them by path."""
    fields = raw.split(b"\0")
    found = {}
    for head, path in zip(fields[::2], fields[1::2], strict=False):
        words = head.decode().removeprefix(":").split()
        found[os.fsdecode(path)] = Row(words[0], words[1], words[3])
    return found


def _path(record: Record) -> str:
    return f"{record.place}/merge"


def write(record: Record, what: dict[str, str]) -> None:
    fresh = f"{_path(record)}.new"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(what, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, _path(record))


def end(record: Record) -> None:
    with suppress(FileNotFoundError):
        os.unlink(_path(record))


def recover(one: Branch, record: Record, git: Git) -> None:
    """End or take back what a daemon that died had begun, for who is alone there. Raises SandboxRefused."""
    begun = _begun(record)
    if begun is None:
        return
    since = os.stat(_path(record)).st_ctime - 2
    for lock in (f"{one.directory}/index.lock", f"{one.common}/{begun[2]}.lock", f"{one.directory}/HEAD.lock"):
        with suppress(FileNotFoundError):
            if os.lstat(lock).st_ctime >= since:
                os.unlink(lock)
    recovered(one, record, git)


def _begun(record: Record) -> tuple[str, str, str] | None:
    """Return the commits before and after, and the branch, of what a journal says."""
    content = git_files.read(_path(record))
    if content is None:
        return None
    try:
        begun = json.loads(content)
        return begun["old"], begun["new"], begun["ref"]
    except (ValueError, KeyError, TypeError):
        end(record)
        return None


def recovered(one: Branch, record: Record, git: Git) -> None:
    """Finish or take back what was begun, if no git is at work there any more."""
    begun = _begun(record)
    if begun is None:
        return
    old, new, ref = begun
    there = git_refs.resolve(one.directory, one.common, f"ref: {ref}", users=True)
    head = git_refs.head(one.directory, users=True)
    if there == old and head == f"ref: {ref}":
        places = (one.at, f"--work-tree={one.top}")
        rows = rows_of(git(one.at, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", old, new))
        staged = git(*places, "diff-index", "--cached", "--name-only", "-z", new, cwd=one.top).split(b"\0")
        if not {os.fsdecode(name) for name in staged} & rows.keys():
            git(one.at, "update-ref", "-m", f"anvillm: merge {one.branch}", ref, new, old)
        else:
            _back(git, one, record, rows)
        git(*places, "update-index", "-q", "--refresh", cwd=one.top, fine=(0, 1))
    end(record)


def _back(git: Git, one: Branch, record: Record, rows: dict[str, Row]) -> None:
    """Make the files again as the index, which is as it was, has them. One that is neither as before nor as after is
    kept beside the record.
    """
    places = (one.at, f"--work-tree={one.top}")
    for path, (before, _, blob) in rows.items():
        full = f"{one.top}/{path}"
        if os.path.isfile(full) and not os.path.islink(full):
            now = git(one.at, "hash-object", "--no-filters", "--", full).decode().strip()
            if now != blob:
                kept = f"{record.place}/kept/{path}"
                os.makedirs(os.path.dirname(kept), 0o700, exist_ok=True)
                shutil.copyfile(full, kept, follow_symlinks=False)
        if before == "000000" and os.path.lexists(full) and not os.path.isdir(full):
            os.unlink(full)
    there = b"".join(os.fsencode(path) + b"\0" for path, row in rows.items() if row.before not in ("000000", GITLINK))
    git(*places, "checkout-index", "-f", "-q", "-z", "--stdin", data=there, cwd=one.top, users=True)
