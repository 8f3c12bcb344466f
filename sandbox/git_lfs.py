"""Large files of git-lfs(1): what the commits of a session point to comes to the user's repository before they do.

A pointer in a commit names a file by its SHA-256. The agent's git-lfs keeps such files in the session's own git directory; what is
brought is opened without links, bounded, and has the name that its content gives it.

Threads: any, one for each session at a time.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator

from sandbox import kernel
from sandbox.errors import SandboxRefused
from sandbox.git_own import Record

MOST = 4 << 30  # bytes that one landing brings
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[^\n]*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d{1,15})\n?"
)
_SMALL = 1024  # bytes of a pointer


def bring(record: Record, changed: bytes, git: Callable[..., bytes]) -> None:
    """Bring what these changes (of ``diff-tree --raw -z``) point to. Raises SandboxRefused."""
    if not os.path.isdir(f"{record.own}/lfs/objects"):
        return
    left = MOST
    for name, size in _pointers(record, changed, git):
        to, source = (f"{top}/lfs/objects/{name[:2]}/{name[2:4]}/{name}" for top in (record.common, record.own))
        if os.path.lexists(to) or not os.path.lexists(source):
            continue
        left -= size
        if left < 0:
            raise SandboxRefused(f"its large files are more than {MOST >> 30} GiB")
        try:
            _copy(source, to, name, size)
        except OSError as error:
            raise SandboxRefused(f"its large file {name[:12]}: {error.strerror}") from None


def _pointers(record: Record, changed: bytes, git: Callable[..., bytes]) -> Iterator[tuple[str, int]]:
    """Name and size of each large file."""
    at = f"--git-dir={record.directory}"
    heads = (head.split() for head in changed.split(b"\0")[:-1:2])
    blobs = list(dict.fromkeys(head[3] for head in heads if head[1].startswith(b"10")))
    sizes = git(
        at, "cat-file", "--batch-check=%(objectname) %(objectsize)", data=b"".join(b"%s\n" % blob for blob in blobs)
    )
    lines = (line.split() for line in sizes.splitlines())
    small = [name for name, size in lines if size.isdigit() and int(size) <= _SMALL]
    content = git(at, "cat-file", "--batch", data=b"".join(b"%s\n" % blob for blob in small))
    start = 0
    while start < len(content):
        head, _, _ = content[start : start + 200].partition(b"\n")
        begin, size = start + len(head) + 1, int(head.split()[2])
        if found := _POINTER.match(content, begin, begin + size):
            yield found[1].decode(), int(found[2])
        start = begin + size + 1


def _copy(source: str, to: str, name: str, size: int) -> None:
    os.makedirs(os.path.dirname(to), exist_ok=True)
    with open(kernel.open_path(source, flags=os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise SandboxRefused(f"its large file {name[:12]} is not a regular file")
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(to), prefix="tmp-", delete=False) as fresh:
            try:
                digest, left = hashlib.sha256(), size + 1
                while left and (piece := file.read(min(1 << 20, left))):
                    left -= len(piece)
                    digest.update(piece)
                    fresh.write(piece)
                if left != 1 or digest.hexdigest() != name:
                    raise SandboxRefused(f"its large file {name[:12]} does not have the hash that names it")
                fresh.flush()
                os.fsync(fresh.fileno())
                os.chmod(fresh.name, 0o644)
                os.rename(fresh.name, to)
            except BaseException:
                os.unlink(fresh.name)
                raise
