"""Commits on their way out of a session: taken as a pack, checked in a scratch repository, then in the user's under ``refs/anvillm``.

Git runs here in the user's repository, which no agent can write, and in a scratch one of ours. What an agent could write is read by
the git inside its sandbox, which packs; and its pack is believed by no one: it is unpacked with limits, and every object checked.

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import NamedTuple

from sandbox import git_config, git_files, git_refs
from sandbox.errors import SandboxRefused
from sandbox.git_own import Record
from sandbox.git_run import run

PACK = 256 << 20  # bytes of a pack
UNPACKED = 512 << 20  # bytes of all that is in it
_FSCK = ("badFilemode=error", "gitattributesSymlink=error")
_EXCLUDED = 100
#: What runs in the session's sandbox: a command, its directory, its input, the most that is taken of its output.
Inside = Callable[[list[str], str, bytes, int], bytes]


class TooMuch(SandboxRefused):
    """Little unpacks to much, which is known only when it is unpacked."""


class Tip(NamedTuple):
    """What a session's HEAD is: the branch it is on, or none, and the commit."""

    branch: str
    commit: str


def tip(record: Record) -> Tip | None:
    """Return where the session stands, if that can be told; read from files that its agent writes."""
    try:
        head = git_refs.head(record.own)
        commit = git_refs.resolve(record.own, record.own, head)
    except OSError:
        return None
    if not git_refs.is_object(commit) or len(commit) != 2 * record.width:
        return None
    return Tip(head[5:] if head.startswith("ref: ") else "", commit)


def take(record: Record, commit: str, ref: str, inside: Inside, scratch: str, keep: int) -> None:
    """Bring a commit, with all that it needs, into the user's repository as ``ref``. Raises SandboxRefused.

    ``scratch`` is a directory that no agent can write, ``keep`` a descriptor for the git that works in the user's repository.
    """
    have = [name for name in dict.fromkeys([record.taken, record.base, *record.tips]) if name][:_EXCLUDED]
    wanted = "".join([f"{commit}\n", *(f"^{name}\n" for name in have)]).encode()
    pack = inside(
        ["git", "pack-objects", "--revs", "--stdout", "--thin", "--delta-base-offset", "-q"], record.tree, wanted, PACK
    )
    links = not git_config.partial(git_config.read(f"{record.common}/config"))
    with tempfile.TemporaryDirectory(dir=scratch, prefix="take-") as top:
        _unpack(record, commit, pack, f"{top}/s.git", links)
        checks = [word for name in _FSCK for kind in ("fsck", "fetch.fsck") for word in ("-c", f"{kind}.{name}")]
        run(
            "-c", f"fetch.fsckObjects={str(links).lower()}", *checks, f"--git-dir={record.common}", "fetch", "-q",
            "--no-auto-maintenance",
            "--no-write-fetch-head", "--no-recurse-submodules", "--no-tags", "--atomic", f"{top}/s.git", f"+refs/t:{ref}",
            keep=(keep,),
        )  # fmt: skip


def _unpack(record: Record, commit: str, pack: bytes, place: str, links: bool) -> None:
    """Unpack into a repository of its own: nothing is in the user's yet. With ``links`` all that an object names must
    be there.
    """
    run("init", "-q", "--bare", "--template=", f"--object-format={record.form}", place)
    with open(f"{place}/objects/info/alternates", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(f"{path}\n" for path in record.objects)
    shallow = git_files.read(f"{record.common}/shallow", git_files.MOST)
    if shallow:
        with open(f"{place}/shallow", "wb") as copy:
            copy.write(shallow)
    checks = [word for name in _FSCK for word in ("-c", f"fsck.{name}")]
    run(
        *checks, "-c", "core.bigFileThreshold=16m", f"--git-dir={place}", "index-pack", "--stdin", "--fix-thin",
        "--strict" if links else "--fsck-objects",
        f"--max-input-size={PACK}", data=pack, limits="ulimit -v 2000000; ulimit -t 60",
    )  # fmt: skip
    _measure(place)
    run(f"--git-dir={place}", "update-ref", "refs/t", commit)


def _measure(place: str) -> None:
    """Measure it. Raises TooMuch."""
    packs = f"{place}/objects/pack"
    names: list[bytes] = []
    for name in os.listdir(packs):
        if name.endswith(".idx"):
            with open(f"{packs}/{name}", "rb") as file:
                listed = run(f"--git-dir={place}", "show-index", data=file.read())
            names += [line.split()[1] for line in listed.splitlines()]
    sizes = run(
        f"--git-dir={place}", "cat-file", "--batch-check=%(objectsize)", data=b"".join(name + b"\n" for name in names)
    )
    total = sum(int(size) for size in sizes.split())
    if total > UNPACKED:
        raise TooMuch(f"what it committed is {total >> 20} MiB, more than {UNPACKED >> 20}")
