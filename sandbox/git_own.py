"""A git directory of a session's own, which lies over that of a repository: what an agent does there stays there.

It is put together from files that no agent could write, before the session's agent starts for the first time: refs, a copy of the
index, harmless configuration; objects are read where they are. ``<place>/<n>/`` holds::

    git/      the git directory
    pointer   what lies over a `.git` that is a file
    objects/  where the repository's objects appear inside; nothing is in it
    record    what was there at the beginning, as JSON; out of the agent's sight

Threads: any; one session is not prepared by two at a time.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from sandbox import git_config, git_files, git_find, git_refs
from sandbox.errors import SandboxRefused
from sandbox.git_config import Pair
from sandbox.git_find import Repository

#: Of the git directory of the work tree; what a merge or the like that has begun needs to go on.
_STATE = ("MERGE_HEAD", "MERGE_MODE", "MERGE_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD", "ORIG_HEAD", "SQUASH_MSG")
_INFO = ("info/exclude", "info/attributes", "shallow")
_HELD = 500


@dataclass(frozen=True)
class Record:
    """One such directory. ``branch`` is the ref that was checked out, empty for none; ``base`` its commit, empty for none yet.
    ``tips`` are commits that the repository has and the session need not bring; ``taken`` is the last that was taken out.
    ``refused`` is a commit that would cost as much again, and why it was refused, with a blank between.
    With ``land`` as false the branch is left where it is, with ``checkpoints`` as false none are made."""

    place: str
    git: str
    pointer: bool
    directory: str
    common: str
    objects: list[str]
    width: int
    branch: str
    base: str
    tips: list[str]
    taken: str = ""
    landed: str = ""
    refused: str = ""
    land: bool = True
    checkpoints: bool = True

    @property
    def own(self) -> str:
        """The git directory."""
        return f"{self.place}/git"

    @property
    def tree(self) -> str:
        """The top of the work tree."""
        return os.path.dirname(self.git)

    @property
    def form(self) -> str:
        """The format of its object names."""
        return "sha256" if self.width == 32 else "sha1"

    def borrowed(self) -> list[str]:
        """Return where its object directories appear inside."""
        return [f"{self.place}/objects/{number}" for number in range(len(self.objects))]

    def save(self) -> None:
        """Write it down."""
        fresh = f"{self.place}/record.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, f"{self.place}/record")

    def changed(self, **fields: str | bool) -> Record:
        """Return the same with other fields, written down."""
        found = replace(self, **fields)  # type: ignore[arg-type]
        found.save()
        return found


def records(place: str) -> list[Record]:
    """Return those that a session has."""
    found = []
    for name in sorted(os.listdir(place), key=_number) if os.path.isdir(place) else []:
        try:
            with open(f"{place}/{name}/record", encoding="utf-8") as file:
                found.append(Record(**{**json.load(file), "place": f"{place}/{name}"}))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError) as error:
            raise SandboxRefused(f"cannot read {place}/{name}/record: {error}") from None
    return found


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 1 << 30


def make(repository: Repository, place: str, session: str, lfs: str, narrow: Callable[[Record], None]) -> Record:
    """Make one at ``place``, a path that does not exist yet; ``lfs`` is git-lfs(1) as the agent can run it, or empty.

    ``narrow`` gets it before it is used. Raises SandboxRefused.
    """
    fresh = f"{place}.new"
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        os.makedirs(f"{fresh}/git", 0o700)
        found = _fill(repository, fresh, place, lfs)
        os.rename(fresh, place)
        narrow(found)
        found.save()
        if session:
            git_refs.hold(repository.common, f"{session}-{os.path.basename(place)}", found.tips)
    except (OSError, SandboxRefused) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, SandboxRefused):
            raise
        where = f": {error.filename}" if error.filename else ""
        raise SandboxRefused(f"no git directory for {repository.tree}: {error.strerror}{where}") from None
    return found


def _fill(repository: Repository, fresh: str, place: str, lfs: str) -> Record:
    own, directory, common = f"{fresh}/git", repository.directory, repository.common
    pairs = git_config.read(f"{common}/config", *([f"{directory}/config.worktree"]))
    if git_config.last(pairs, "extensions.refstorage") not in ("", "files", "reftable"):
        raise OSError(95, "refs that are not kept as files", common)
    width = 32 if git_config.last(pairs, "extensions.objectformat") == "sha256" else 20
    refs, head = git_refs.read(common), git_refs.head(directory, users=True)
    objects = git_find.alternates(common)
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "hooks", "logs/refs"):
        os.makedirs(f"{own}/{name}", 0o777, exist_ok=True)
    git_refs.write(own, refs)
    _put(f"{own}/HEAD", f"{head or 'ref: refs/heads/main'}\n")
    _put(f"{own}/config", git_config.text([*_base(pairs), *git_config.harmless(pairs), *_large(common, pairs, lfs)]))
    record = Record(
        place, repository.git, repository.pointer, directory, common, objects, width, *_where(repository, refs, head)
    )
    _put(f"{own}/objects/info/alternates", "".join(f"{path}\n" for path in record.borrowed()))
    _put(f"{fresh}/pointer", f"gitdir: {place}/git\n")
    _copy_all(directory, common, own)
    return record


def _base(pairs: list[Pair]) -> list[Pair]:
    extended = any(pair.key.startswith("extensions.") for pair in git_config.harmless(pairs))
    return [
        Pair("core.repositoryformatversion", "1" if extended else "0"), Pair("core.bare", "false"),
        Pair("core.logallrefupdates", "true"),
    ]  # fmt: skip


def _large(common: str, pairs: list[Pair], lfs: str) -> list[Pair]:
    """Return the filters of a repository with large files; without git-lfs such a file is what it is in the work tree."""
    if not os.path.isdir(f"{common}/lfs") and not any(pair.key.startswith(("lfs.", "filter.lfs.")) for pair in pairs):
        return []
    words = {"clean": "clean -- %f", "smudge": "smudge -- %f", "process": "filter-process"}
    found = [Pair(f"filter.lfs.{name}", f"{shlex.quote(lfs)} {rest}" if lfs else "") for name, rest in words.items()]
    return [*found, Pair("filter.lfs.required", "true" if lfs else "false")]


def _where(repository: Repository, refs: Mapping[str, str], head: str) -> tuple[str, str, list[str]]:
    """Return the branch, its commit, and all commits that are held: HEAD's first, then branches, the rest."""
    branch = head[5:] if head.startswith("ref: ") else ""
    base = git_refs.resolve(repository.directory, repository.common, head, users=True) if head else ""
    order = ("refs/heads/", "refs/stash", "refs/remotes/", "refs/tags/")
    rest = [
        refs[name]
        for first in order
        for name in sorted(refs)
        if name.startswith(first) and git_refs.is_object(refs[name])
    ]
    return branch, base, [*dict.fromkeys([base, *rest] if base else rest)][:_HELD]


def _copy_all(directory: str, common: str, own: str) -> None:
    shared = [name for name in os.listdir(directory) if name.startswith("sharedindex.")]
    for name in ("index", *shared, *_STATE, "info/sparse-checkout", "logs/HEAD"):
        _copy(f"{directory}/{name}", f"{own}/{name}")
    for name in (*_INFO, "logs/refs/stash"):
        _copy(f"{common}/{name}", f"{own}/{name}")


def _copy(source: str, target: str) -> None:
    content = git_files.read(source, git_files.MOST)
    if content is not None:
        with open(target, "wb") as file:
            file.write(content)


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
