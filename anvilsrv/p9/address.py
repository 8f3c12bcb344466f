"""The path of a unix socket as an address."""

import contextlib
import os
from collections.abc import Iterator

LONGEST = 107  # bytes; sun_path has room for one more, the NUL


@contextlib.contextmanager
def fitting(path: str) -> Iterator[str]:
    """A name for the file at ``path`` that fits in an address: itself, or one that leads through its opened directory.

    OSError if that cannot be opened. The name is good until the end of the block.
    """
    if len(os.fsencode(path)) <= LONGEST:
        yield path
        return
    where, name = os.path.split(path)
    parent = os.open(where or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{parent}/{name}"
    finally:
        os.close(parent)
