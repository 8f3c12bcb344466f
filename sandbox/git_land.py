"""The user's branch follows what a session has committed, where branch and index stand as they stood.

Only the branch and the index change: the files are there already, since the agent wrote them. Whatever is otherwise than it was is
left alone, and said. What a crash interrupts goes on where it was (``git_journal``).

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sandbox import git_files, git_find, git_journal, git_lfs, git_own, git_refs, git_submodules
from sandbox.errors import SandboxRefused
from sandbox.git_out import Inside, Tip, TooMuch, take, tip
from sandbox.git_own import Record
from sandbox.git_run import Killed, run

_TOLD = (".gitattributes", ".gitmodules", ".lfsconfig")
Git = Callable[..., bytes]


class _Busy(SandboxRefused):
    """Something is locked; it is tried again."""


class Outcome(NamedTuple):
    """What became of the commits of one repository: a sentence, and the record as it is now."""

    record: Record
    said: str


def settle(record: Record, session: str, inside: Inside, scratch: str) -> Outcome | None:
    """Take out what was committed since the last time and land it; None if there is nothing. Raises SandboxRefused."""
    with git_journal.step(record) as step:
        before = _resumed(record, session, step)
        record = before.record if before else record
        found = tip(record)
        if found is None or found.commit == record.base or record.landed == f"not {found.commit}":
            return before
        commit, _, why = record.refused.partition(" ")
        if commit == found.commit:
            raise SandboxRefused(why)
        step.begin(found.branch, found.commit)
        if found.commit != record.taken:
            try:
                take(record, found.commit, name(record, session), inside, scratch, step.keep)
            except TooMuch as error:
                record.changed(refused=f"{found.commit} {error}")
                raise
            record = record.changed(taken=found.commit)
        return _settled(record, session, found, step)


def resume(record: Record, session: str) -> Outcome | None:
    """Go on with what was being landed when a daemon died, though the session is in a turn. Raises SandboxRefused."""
    with git_journal.step(record) as step:
        return _resumed(record, session, step)


def _resumed(record: Record, session: str, step: git_journal.Step) -> Outcome | None:
    begun = step.begun()
    if begun is None:
        return None
    found = Tip(*begun)
    outcome = None
    if found.commit and found.commit == record.taken and record.landed != found.commit:
        outcome = _settled(record, session, found, step)
    step.end()
    return outcome


def _settled(record: Record, session: str, found: Tip, step: git_journal.Step) -> Outcome:
    ref = name(record, session)
    try:
        if not record.land:
            raise SandboxRefused("switched off by a layer of its policy (git: {land: off})")
        told = _land(record, found, session, partial(run, keep=(step.keep,)))
    except _Busy as error:
        return Outcome(record, f"commits are at {ref}, and not on your branch yet: a git of yours is at work ({error})")
    except SandboxRefused as error:
        if isinstance(error, Killed):
            step.unlock()
        record = record.changed(landed=f"not {found.commit}")
        return Outcome(record, f"commits are at {ref}, and not on your branch: {error}")
    branch = record.branch.removeprefix("refs/heads/")
    record = record.changed(base=found.commit, landed=found.commit)
    where = f"on your branch {branch} now" if branch else "checked out now, on no branch"
    return Outcome(record, f"commits are {where} ({found.commit[:12]}{told})")


def name(record: Record, session: str) -> str:
    """Return the ref under which a session's commits are kept."""
    number = os.path.basename(record.place)
    return f"{git_refs.OURS}{session}" + (f"-{number}" if number != "0" else "")


def _land(record: Record, found: Tip, session: str, git: Git) -> str:
    """Move branch and index; what is worth telling of it. Raises SandboxRefused with why not."""
    old, new, branch = record.base, found.commit, record.branch
    if found.branch != branch:
        raise SandboxRefused(f"the session is on {found.branch.removeprefix('refs/heads/') or 'no branch'}")
    head = git_refs.head(record.directory, users=True)
    if head != f"ref: {branch}" and (branch or not git_refs.is_object(head)):
        raise SandboxRefused("you have checked out something else")
    there = git_refs.resolve(record.directory, record.common, head, users=True)
    if there not in (old, new):
        raise SandboxRefused("your branch has moved in the meantime" if old else "your branch has a commit now")
    at = f"--git-dir={record.directory}"
    tree = old or git(at, "hash-object", "-t", "tree", "/dev/null").decode().strip()
    if old:
        try:
            git(at, "merge-base", "--is-ancestor", old, new)
        except SandboxRefused:
            raise SandboxRefused("the session rewrote commits that were yours") from None
    changed = git(at, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", tree, new)
    told = _told(record, changed, git)
    git_lfs.bring(record, changed, git)
    places = (at, f"--work-tree={record.tree}")
    try:
        git(*places, "read-tree", "-i", "-m", tree, new, cwd=record.tree)
    except SandboxRefused as error:
        _busy(error)
        raise SandboxRefused(f"your index has changed ({error})") from None
    if there != new:
        try:
            where = (branch,) if branch else ("--no-deref", "HEAD")
            git(at, "update-ref", "-m", f"anvillm: session {session}", *where, new, old or "0" * len(new))
        except SandboxRefused as error:
            git(*places, "read-tree", "-i", "-m", new, tree, cwd=record.tree)
            _busy(error)
            raise
    _refresh(places, record.tree, git)
    return told


def _busy(error: SandboxRefused) -> None:
    if ".lock'" in str(error):
        raise _Busy(str(error)) from None


def _refresh(at: tuple[str, ...], tree: str, git: Git) -> None:
    """Refresh the times of the files in the index; that some files differ is what git says when it fails."""
    try:
        git(*at, "update-index", "-q", "--refresh", cwd=tree)
    except SandboxRefused:
        return


def _told(record: Record, raw: bytes, git: Git) -> str:
    """Return what the user should know of the changed paths. Raises SandboxRefused for a repository in the repository.

    Another commit of a submodule that the session has beside it is none, if it was taken out.
    """
    fields = raw.split(b"\0")
    found = []
    for head, path in zip(fields[::2], fields[1::2], strict=False):
        text = os.fsdecode(path)
        modes = head.split()[:2]
        if (b":160000" in modes or b"160000" in modes) and not _submodule(record, text, head.split(), git):
            raise SandboxRefused(f"{text} is a repository of its own")
        if _runs(text) or text.rpartition("/")[2] in _TOLD:
            found.append(text)
    return "; changed: " + ", ".join(found[:10]) if found else ""


def _submodule(record: Record, path: str, head: list[bytes], git: Git) -> bool:
    if (head[0], head[1]) != (b":160000", b"160000"):
        return False
    beside = git_own.records(os.path.dirname(record.place))
    common = next((one.common for one in beside if one.tree == f"{record.tree}/{path}"), "")
    return bool(common) and git_submodules.has(common, head[3].decode(), git)


def _runs(path: str) -> bool:
    return any(git_find.matches(path, name) or f"/{name}/" in f"/{path}" for name in git_find.NAMES)


def held(record: Record, session: str) -> str:
    """Return the directory of refs that keep what the session borrows."""
    return f"{git_refs.OURS}held/{session}-{os.path.basename(record.place)}/"


def release(record: Record, session: str) -> None:
    """Release what a session that is gone borrowed. What was taken stays, unless it is on a branch. Raises
    SandboxRefused.
    """
    if git_files.read(f"{record.common}/HEAD") is None:
        return
    git_refs.unlock(record.common, os.path.basename(held(record, session).rstrip("/")))
    at = f"--git-dir={record.common}"
    listed = run(at, "for-each-ref", "--format=delete %(refname)", held(record, session))
    ours = name(record, session)
    if record.taken and record.landed == record.taken and record.branch:
        listed += f"delete {ours}\n".encode()
    with git_journal.step(record) as step:
        step.begin("", "")
        if listed:
            run(at, "update-ref", "--stdin", data=listed, keep=(step.keep,))
