"""The references of a git directory: read without git where they are files, since an agent may have written those.

Of a repository of the user's (``users``) they are asked of git where they are kept otherwise (reftable).

Threads: any.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress

from sandbox import git_files
from sandbox.errors import SandboxRefused
from sandbox.git_run import run

OURS = "refs/anvillm/"
_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
#: Stricter than git-check-ref-format(1) where that costs nothing: what does not match is left out.
NAME = re.compile(
    r"refs/(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)|\.$))[^\x00-\x20~^:?*\[\\\x7f]+[^\x00-\x20~^:?*\[\\\x7f/]"
)
_MOST = 100_000


def is_object(text: str) -> bool:
    """Return whether this is the name of an object, in full."""
    return _OBJECT.fullmatch(text) is not None


def tabled(common: str) -> bool:
    """Return whether they are in tables, not in files."""
    return os.path.isdir(f"{common}/reftable")


def read(common: str) -> dict[str, str]:
    """Return every ref of a repository of the user's: an object's name, or ``ref: NAME``. Raises OSError,
    SandboxRefused.
    """
    found = _asked(common) if tabled(common) else _read(common)
    return {name: value for name, value in found.items() if not name.startswith(OURS)}


def _asked(common: str) -> dict[str, str]:
    listed = run(f"--git-dir={common}", "for-each-ref", "--format=%(refname)%00%(objectname)%00%(symref)")
    lines = (line.split("\0") for line in os.fsdecode(listed).splitlines())
    return {name: f"ref: {to}" if to else value for name, value, to in lines if NAME.fullmatch(name)}


def _read(common: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in os.fsdecode(git_files.read(f"{common}/packed-refs", git_files.MOST) or b"").splitlines():
        value, _, name = line.partition(" ")
        if is_object(value) and NAME.fullmatch(name):
            found[name] = value
    for path in git_files.below(f"{common}/refs", _MOST):
        name, value = f"refs/{path}", git_files.line(f"{common}/refs/{path}")
        if NAME.fullmatch(name) and _value(value):
            found[name] = value
    return found


def head(directory: str, users: bool = False) -> str:
    """Return what HEAD says: an object's name, or ``ref: NAME``; empty if it says nothing that git would take."""
    value = git_files.line(f"{directory}/HEAD")
    if users and value == "ref: refs/heads/.invalid":
        at = f"--git-dir={directory}"
        try:
            value = f"ref: {os.fsdecode(run(at, 'symbolic-ref', 'HEAD')).strip()}"
        except SandboxRefused:
            value = _parsed(directory, "HEAD")
    return value if _value(value) else ""


def _parsed(directory: str, name: str) -> str:
    try:
        return (
            run(f"--git-dir={directory}", "rev-parse", "--verify", "--quiet", "--end-of-options", name).decode().strip()
        )
    except SandboxRefused:
        return ""


def resolve(directory: str, common: str, value: str, users: bool = False) -> str:
    """Return the object that such a value leads to; empty if there is none."""
    if users and tabled(common) and value.startswith("ref: "):
        return _parsed(directory, value[5:])
    for _ in range(5):
        if not value.startswith("ref: "):
            return value
        name = value[5:]
        value = git_files.line(f"{directory}/{name}") or git_files.line(f"{common}/{name}") or _packed(common, name)
        if not _value(value):
            return ""
    return ""


def _packed(common: str, wanted: str) -> str:
    for line in os.fsdecode(git_files.read(f"{common}/packed-refs", git_files.MOST) or b"").splitlines():
        value, _, name = line.partition(" ")
        if name == wanted:
            return value
    return ""


def _value(value: str) -> bool:
    return is_object(value) or (value.startswith("ref: ") and NAME.fullmatch(value[5:]) is not None)


def write(directory: str, refs: Mapping[str, str]) -> None:
    """Write them into a git directory that has none yet: packed, and the symbolic ones as files."""
    with open(f"{directory}/packed-refs", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"{refs[name]} {name}\n" for name in sorted(refs) if is_object(refs[name]))
    for name, value in refs.items():
        if not is_object(value):
            os.makedirs(os.path.dirname(f"{directory}/{name}"), 0o700, exist_ok=True)
            with open(f"{directory}/{name}", "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{value}\n")


def hold(common: str, name: str, objects: list[str]) -> None:
    """Make refs below ``refs/anvillm/held/NAME`` for these objects, so that no gc takes them away. Raises OSError, SandboxRefused."""
    if tabled(common):
        lines = (f"update {OURS}held/{name}/{number} {value}\n" for number, value in enumerate(objects))
        run(f"--git-dir={common}", "update-ref", "--stdin", data="".join(lines).encode())
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = os.open(f"{common}/refs", flags)
    try:
        for part in ("anvillm", "held", name):
            try:
                os.mkdir(part, 0o777, dir_fd=here)
            except FileExistsError:
                pass
            deeper = os.open(part, flags, dir_fd=here)
            os.close(here)
            here = deeper
        for number, value in enumerate(objects):
            _put(here, str(number), value)
    finally:
        os.close(here)


def _put(at: int, name: str, value: str) -> None:
    """Write a ref as git does: it is never half written, not on a full disk either. Raises OSError."""
    lock = f"{name}.lock"
    create = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(lock, create, 0o666, dir_fd=at), "w", encoding="ascii") as file:
            file.write(f"{value}\n")
        os.rename(lock, name, src_dir_fd=at, dst_dir_fd=at)
    except OSError:
        with suppress(OSError):
            os.unlink(lock, dir_fd=at)
        raise


def unlock(common: str, name: str) -> None:
    """Take away the locks of who died while it held these."""
    place = f"{common}/refs/anvillm/held/{name}"
    with suppress(OSError):
        for one in os.listdir(place):
            if one.endswith(".lock"):
                os.unlink(f"{place}/{one}")
