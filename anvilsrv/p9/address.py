"""The path of a unix socket as an address, and connections to it."""

import contextlib
import os
import socket
from collections.abc import Iterator

from anvilsrv.errors import Unavailable

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


def connect(path: str, timeout: float | None = None) -> socket.socket:
    """A socket connected to the unix socket at ``path``."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        with fitting(path) as short:
            sock.connect(short)
        return sock
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot connect to '{path}': {error.strerror or error}") from None
    except BaseException:
        sock.close()
        raise
