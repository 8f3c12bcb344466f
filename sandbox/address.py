"""A name for a unix socket that fits in an address (unix(7): 107 bytes), whatever its path. The launcher uses it: it imports little."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 107


def by_name(path: str, use: Callable[[str], None]) -> None:
    """Call ``use`` (connect or bind) with the path, or with a name that leads through its opened directory. Raises OSError."""
    if len(os.fsencode(path)) <= LONGEST:
        use(path)
        return
    where, name = os.path.split(path)
    parent = os.open(where or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{parent}/{name}")
    finally:
        os.close(parent)
