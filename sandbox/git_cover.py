"""What lies over the repositories in an agent's grants, and which files beside them are read-only: mounts, for the full tier.

Threads: any.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox import git_above, git_check, git_files, git_find, git_index, git_own, outside
from sandbox.errors import SandboxRefused
from sandbox.git_find import Repository, Walk
from sandbox.git_own import Record
from sandbox.git_trust import Trusted
from sandbox.pathnames import beneath_any, kind, under
from sandbox.policy import Policy


@dataclass
class Cover:
    """``over`` are mounts (target, source); ``reads`` such that are read-only; ``empty`` files are masked. ``protect`` are
    paths (and their kinds) that become read-only where they are. ``lines`` say it to people. ``variables`` are set inside."""

    over: list[tuple[str, str]] = field(default_factory=list)
    reads: list[tuple[str, str]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    protect: list[tuple[str, str]] = field(default_factory=list)
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    repositories: list[Repository] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return it as lines of the file ``sandbox``."""
        return "".join("\t".join(_printable(part) for part in line) + "\n" for line in self.lines)


def cover(
    policy: Policy, trusted: Trusted, *, place: str = "", session: str = "", remember: bool = True, home: str = ""
) -> Cover:
    """Return what is to be mounted over what the policy makes writable.

    ``place`` is where a session keeps its own git directories; they are made where they are missing. Without it the
    user's are read-only. ``home`` is the user's. With ``remember`` as false nothing is written down. To be called before the
    policy's paths are added to ``Written``. Raises SandboxRefused.
    """
    made = Cover()
    tops = [path for path in policy.writable if os.path.isdir(path)]
    walked = git_find.walk(tops, [*policy.hide, *(path for path, _ in policy.protect)])
    mine = trusted.sort([*(one.git for one in walked.repositories), *walked.bare], remember)
    repositories = [one for one in walked.repositories if one.git in mine]
    made.repositories = repositories
    if place:
        above = git_above.repository(policy, home)
        if above is not None and above.git in trusted.sort([above.git], remember):
            repositories.append(above)
            made.variables["GIT_DISCOVERY_ACROSS_FILESYSTEM"] = "1"  # beyond what is granted
        said = (policy.land, policy.checkpoints)
        made.records = [
            record
            if (record.land, record.checkpoints) == said
            else record.changed(land=policy.land, checkpoints=policy.checkpoints)
            for record in _records(repositories, place, session, made, policy)
        ]
    _lay(made, repositories)
    _pointed_to(made, repositories, [path for path in walked.bare if path in mine], tops)
    _names(made, policy, walked, repositories)
    made.lines += [("git", one.git, "made since agents work there: its configuration may be an agent's")
                   for one in walked.repositories if one.git not in mine]  # fmt: skip
    made.lines += [("note", f"{path} is a link: what it leads to is not covered", "") for path in walked.links]
    if walked.left:
        made.lines.append(("note", f"{walked.left[0]} and more: not searched for repositories", ""))
    return made


def _lfs(policy: Policy) -> str:
    """Return git-lfs(1), if the agent can run it; else empty."""
    program = outside.which("git-lfs")
    real = os.path.realpath(program) if program else ""
    return real if "x" in policy.rights(real) else ""


def _records(repositories: Iterable[Repository], place: str, session: str, made: Cover, policy: Policy) -> list[Record]:
    there = {record.git: record for record in git_own.records(place)}
    found = []
    for one in repositories:
        record = there.get(one.git)
        if record is None:
            number = len(os.listdir(place)) if os.path.isdir(place) else 0
            try:
                record = git_own.make(
                    one, f"{place}/{number}", session, _lfs(policy), lambda record: git_above.narrow(record, policy)
                )
            except SandboxRefused as error:
                made.lines.append(("note", f"{error}; it is read-only", ""))
                continue
        try:
            git_check.make(record)
        except OSError as error:
            made.lines.append(("note", f"no checkpoints of {one.tree}: {error.strerror}", ""))
        found.append(record)
    return found


def _lay(made: Cover, repositories: Iterable[Repository]) -> None:
    own = {record.git: record for record in made.records}
    for one in repositories:
        record = own.get(one.git)
        if record is None:
            made.protect.append((one.git, "f" if one.pointer else "d"))
            made.lines.append(("git", one.git, "read-only"))
            continue
        made.lines.append(("git", one.git, "a git directory of the session's own; yours is out of its reach"))
        if one.pointer:
            made.reads.append((one.git, f"{record.place}/pointer"))
            made.over.append((record.own, record.own))
        else:
            made.over.append((one.git, record.own))
        if os.path.isdir(f"{record.common}/lfs/objects"):
            made.reads.append((f"{record.place}/objects/lfs/objects", f"{record.common}/lfs/objects"))
        for source, target in zip(record.objects, record.borrowed(), strict=True):
            made.reads.append((target, source))
            if os.path.lexists(f"{source}/info/alternates"):
                made.empty.append(f"{target}/info/alternates")


def _pointed_to(made: Cover, repositories: Iterable[Repository], bare: Iterable[str], tops: list[str]) -> None:
    """Protect git directories that have no work tree beside them."""
    covered = [one.git for one in repositories if not one.pointer]
    for path in sorted({*bare, *(path for one in repositories if one.pointer for path in (one.directory, one.common))}):
        if beneath_any(path, tops) and not beneath_any(path, [*covered, *(top for top, _ in made.protect)]):
            made.protect.append((path, "d"))
            made.lines.append(("git", path, "read-only"))


def _names(made: Cover, policy: Policy, walked: Walk, repositories: list[Repository]) -> None:
    tops = {policy.cwd, *policy.writable, *(one.tree for one in repositories)}
    for path in walked.names:
        name = next(name for name in git_find.NAMES if git_find.matches(path, name))
        top = path.removesuffix("/" + "/".join(path.split("/")[-name.count("/") - 1 :]))
        if top not in tops:
            continue
        said = next((said for said in policy.unprotect if said.value == name), None)
        if said is not None:
            made.lines.append(("unprotected", path, str(said.origin)))
        elif not os.path.islink(path) and not _tracked(path, repositories):
            made.protect.append((path, kind(path)))
            made.lines.append(("read-only", path, "runs something outside"))


def _tracked(path: str, repositories: Iterable[Repository]) -> bool:
    """Return whether git tracks it, or something in it: then it must be able to change it."""
    one = max((one for one in repositories if under(path, one.tree)), key=lambda one: len(one.tree), default=None)
    if one is None:
        return False
    wanted = os.fsencode(os.path.relpath(path, one.tree))
    try:
        index = git_files.read(f"{one.directory}/index", git_files.MOST) or b""
        if wanted not in index and index[4:8] != b"\0\0\0\4":
            return False
        return any(
            entry.path == wanted or entry.path.startswith(wanted + b"/")
            for width in (20, 32)
            for entry in _entries(index, width)
        )
    except OSError:
        return False


def _entries(index: bytes, width: int) -> list[git_index.Entry]:
    try:
        return list(git_index.entries(index, width))
    except (ValueError, IndexError):
        return []


def _printable(part: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in part)
