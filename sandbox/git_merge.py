"""A session's branch is merged into what the user has checked out, or nothing happens: objects first, then files, then the branch.

Git works in the user's own repository, without hooks. A journal says what has begun: after a crash the next daemon ends it, or puts
files back to what they were.

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple

from sandbox import git_bring, git_files, git_find, git_lfs, git_refs, outside
from sandbox.errors import SandboxRefused
from sandbox.git_branch import Branch
from sandbox.git_out import Inside
from sandbox.git_own import Record
from sandbox.git_run import run
from sandbox.git_submodules import GITLINK

TOLD = (".gitattributes", ".gitmodules", ".lfsconfig")
PATIENCE = 30  # s for a git that is at work there
Git = Callable[..., bytes]


class Refused(SandboxRefused):
    """It cannot be done, because of these paths; nothing has changed."""

    def __init__(self, why: str, paths: list[str]) -> None:
        super().__init__(why)
        self.paths = paths


class Row(NamedTuple):
    """A path that a merge touches: its mode before and after, and the object after."""

    before: str
    mode: str
    object: str


class Into(NamedTuple):
    """The branch that the user has checked out, and its commit."""

    ref: str
    commit: str


def target(one: Branch) -> Into:
    """Raises SandboxRefused."""
    head = git_refs.head(one.directory, users=True)
    if not head.startswith("ref: refs/heads/"):
        raise SandboxRefused(f"no branch is checked out in {one.top}")
    if run(one.at, "rev-parse", "--is-bare-repository", cwd=one.top).strip() == b"true":
        raise SandboxRefused(f"nothing is checked out in {one.top}")
    commit = git_refs.resolve(one.directory, one.common, head, users=True)
    if not commit:
        raise SandboxRefused(f"your branch in {one.top} has no commit")
    if head[5:] == one.ref:
        raise SandboxRefused(f"branch '{one.branch}' is what you have checked out")
    return Into(head[5:], commit)


class Merged(NamedTuple):
    """The new commit, and submodules of which it has another one."""

    commit: str
    submodules: list[str]


def merge(one: Branch, record: Record, source: str, squash: bool, anyway: bool, inside: Inside) -> Merged:
    """Merge the commit ``source``. Raises Refused and SandboxRefused, and then nothing has changed.

    ``inside`` runs a command in the session's sandbox.
    """
    with _alone(record) as (git, keep):
        recover(one, record, git)
        into = target(one)
        if _ancestor(git, one, source, into.commit):
            raise SandboxRefused("everything in it is on your branch already")
        tree, new = _made(git, one, into, source, squash)
        changed = git(one.at, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", into.commit, tree)
        rows = _rows(changed)
        hooks = _hooks(git, one)
        told = [path for path, row in rows.items() if _tell(git, one, hooks, path, row)]
        if told and not anyway:
            raise Refused("it changes what may run something, or leads elsewhere ('merge anyway' takes it)", told)
        busy = _dirty(git, one, into, rows)
        if busy:
            raise Refused("you have changed or made what it touches", busy)
        links = _submodules(one, record, rows, (into.commit, tree), inside, git, keep)
        git_lfs.bring(record, changed, git)
        _write(record, {"old": into.commit, "new": new, "ref": into.ref})
        _switch(git, one, into, new)
        _end(record)
        return Merged(new, links)


def _submodules(
    one: Branch, record: Record, rows: Mapping[str, Row], trees: tuple[str, str], inside: Inside, git: Git, keep: int
) -> list[str]:
    """Bring their commits first; those that are other ones."""
    if not any(row.mode == GITLINK for row in rows.values()):
        return []
    try:
        return git_bring.bring(one.directory, *trees, git_bring.Way(one.path, record, inside, git, keep))
    except git_bring.Lacking as error:
        raise Refused(str(error), error.paths) from None


@contextmanager
def _alone(record: Record) -> Iterator[tuple[Git, int]]:
    """Be the only one at work there: git, and what it keeps open."""
    fd = os.open(f"{record.place}/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait(fd)
        yield lambda *words, **more: run(*words, **{"keep": (fd,), **more}), fd
    finally:
        os.close(fd)


def _wait(fd: int) -> None:
    """Until a git that an earlier daemon has started is done: the lock belongs to the descriptor."""
    program = outside.which("flock")
    if (
        program is None
        or subprocess.run([program, "-w", str(PATIENCE), str(fd)], pass_fds=(fd,), check=False).returncode
    ):
        raise SandboxRefused("git is at work there: try again")


def _ancestor(git: Git, one: Branch, old: str, new: str) -> bool:
    try:
        git(one.at, "merge-base", "--is-ancestor", old, new)
    except SandboxRefused:
        return False
    return True


def _made(git: Git, one: Branch, into: Into, source: str, squash: bool) -> tuple[str, str]:
    """Tree and commit of the result, as objects only."""
    if _ancestor(git, one, into.commit, source) and not squash:
        return git(one.at, "rev-parse", f"{source}^{{tree}}").decode().strip(), source
    fields = git(
        "-c", "core.attributesFile=/dev/null", one.at, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages",
        into.commit, source, fine=(0, 1),
    ).split(b"\0")  # fmt: skip
    conflicts = [os.fsdecode(name) for name in fields[1:] if name]
    if conflicts:
        raise Refused("it conflicts with your branch", conflicts)
    tree = fields[0].decode().strip()
    message, parents = f"Merge branch '{one.branch}'", ["-p", into.commit]
    if squash:
        subjects = git(one.at, "log", "--format=%s", "--reverse", f"{into.commit}..{source}").decode("utf-8", "replace")
        lines = subjects.splitlines()
        message = lines[0] if len(lines) == 1 else "\n".join([one.branch, "", *(f"* {line}" for line in lines[:200])])
    else:
        parents += ["-p", source]
    made = git(one.at, "commit-tree", "--no-gpg-sign", *parents, "-F", "-", tree, data=message.encode(), users=True)
    return tree, made.decode().strip()


def _rows(raw: bytes) -> dict[str, Row]:
    """By path."""
    fields = raw.split(b"\0")
    found = {}
    for head, path in zip(fields[::2], fields[1::2], strict=False):
        words = head.decode().removeprefix(":").split()
        found[os.fsdecode(path)] = Row(words[0], words[1], words[3])
    return found


def _tell(git: Git, one: Branch, hooks: list[str], path: str, row: Row) -> bool:
    """Whether the user is to know before."""
    before, mode, blob = row
    if path.rpartition("/")[2] in TOLD or GITLINK in (before, mode):
        return True
    if any(git_find.matches(path, name) or f"/{name}/" in f"/{path}" for name in git_find.NAMES):
        return True
    if mode == "120000":
        to = os.fsdecode(git(one.at, "cat-file", "blob", blob))
        at = os.path.normpath(os.path.join("/top", os.path.dirname(path), to))
        return to.startswith("/") or not at.startswith("/top/")
    return any(f"{one.top}/{path}".startswith(f"{top}/") for top in hooks)


def _hooks(git: Git, one: Branch) -> list[str]:
    """The directories of hooks that the user's git is told of."""
    found = git(one.at, "config", "--type=path", "-z", "--get-all", "core.hooksPath", users=True, fine=(0, 1)).split(
        b"\0"
    )
    paths = [os.fsdecode(path) for path in found if path and path != b"/dev/null"]  # that one is ours
    return [os.path.normpath(os.path.join(one.top, path)) for path in paths]


def _dirty(git: Git, one: Branch, into: Into, rows: dict[str, Row]) -> list[str]:
    """The paths of the result that the user has changed, staged, or that lie there though git does not know them."""
    places = (one.at, f"--work-tree={one.top}")
    git(*places, "update-index", "-q", "--refresh", cwd=one.top, fine=(0, 1))
    found = set[str]()
    for words in (("diff-index", "--cached", into.commit), ("diff-files",)):
        listed = git(*places, *words, "--name-only", "-z", "--no-renames", "--ignore-submodules=dirty", cwd=one.top)
        found |= {os.fsdecode(name) for name in listed.split(b"\0") if name} & rows.keys()
    known = {os.fsdecode(name) for name in git(*places, "ls-files", "-z", cwd=one.top).split(b"\0") if name}
    tops = {name[:at] for name in known for at in range(len(name)) if name[at] == "/"}
    for path, (_, mode, _) in rows.items():
        if mode == "000000" or path in known:
            continue
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            at = "/".join(parts[:end])
            full = f"{one.top}/{at}"
            if at in known or not os.path.lexists(full):
                break  # it goes, or nothing is there
            if end == len(parts) or os.path.islink(full) or not os.path.isdir(full):
                if not (end == len(parts) and at in tops):
                    found.add(path)
                break
    return sorted(found)


def _switch(git: Git, one: Branch, into: Into, new: str) -> None:
    places = (one.at, f"--work-tree={one.top}")
    git(*places, "read-tree", "-m", "-u", into.commit, new, cwd=one.top, users=True)
    git(one.at, "update-ref", "-m", f"anvillm: merge {one.branch}", into.ref, new, into.commit)
    git(*places, "update-index", "-q", "--refresh", cwd=one.top, fine=(0, 1))


# -- the journal -------------------------------------------------------------------------------------------------------------


def _path(record: Record) -> str:
    return f"{record.place}/merge"


def _write(record: Record, what: dict[str, str]) -> None:
    fresh = f"{_path(record)}.new"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(what, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, _path(record))


def _end(record: Record) -> None:
    with suppress(FileNotFoundError):
        os.unlink(_path(record))


def resume(one: Branch, record: Record) -> None:
    """End or take back what a daemon that died had begun. Raises SandboxRefused."""
    with _alone(record) as (git, _):
        recover(one, record, git)


def recover(one: Branch, record: Record, git: Git) -> None:
    """The same, for who is alone there."""
    content = git_files.read(_path(record))
    if content is None:
        return
    try:
        begun = json.loads(content)
        old, new, ref = begun["old"], begun["new"], begun["ref"]
    except (ValueError, KeyError, TypeError):
        _end(record)
        return
    since = os.stat(_path(record)).st_ctime - 2
    for lock in (f"{one.directory}/index.lock", f"{one.common}/{ref}.lock", f"{one.directory}/HEAD.lock"):
        with suppress(FileNotFoundError):
            if os.lstat(lock).st_ctime >= since:
                os.unlink(lock)
    there = git_refs.resolve(one.directory, one.common, f"ref: {ref}", users=True)
    head = git_refs.head(one.directory, users=True)
    if there == old and head == f"ref: {ref}":
        places = (one.at, f"--work-tree={one.top}")
        rows = _rows(git(one.at, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", old, new))
        staged = git(*places, "diff-index", "--cached", "--name-only", "-z", new, cwd=one.top).split(b"\0")
        if not {os.fsdecode(name) for name in staged} & rows.keys():
            git(one.at, "update-ref", "-m", f"anvillm: merge {one.branch}", ref, new, old)
        else:
            _back(git, one, record, rows)
        git(*places, "update-index", "-q", "--refresh", cwd=one.top, fine=(0, 1))
    _end(record)


def _back(git: Git, one: Branch, record: Record, rows: dict[str, Row]) -> None:
    """The index is as it was: so are the files, made again. One that is neither as before nor as after is kept beside the record."""
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
