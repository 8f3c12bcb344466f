"""The path of a unix socket as an address, and connections to it.

A namespace lies in ``/tmp``, where anybody may have made it first. So, as plan9port does, who connects looks whose directory it is;
and whose process answers, as unix(7) tells it.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

from anvilsrv.errors import Denied, Unavailable

LONGEST = 107  # bytes; sun_path has room for one more, the NUL
UCRED = struct.Struct("iII")  # pid, uid, gid


@contextlib.contextmanager
def fitting(path: str) -> Iterator[str]:
    """Yield a name for the file at ``path`` that fits in an address: the path itself, or one that leads through its
    opened directory.

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
    """Return a socket connected to the unix socket at ``path``. Raises Unavailable, and Denied if another user may
    serve it.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        own_directory(os.path.dirname(path) or ".")
        sock.settimeout(timeout)
        with fitting(path) as short:
            sock.connect(short)
        own_peer(sock, path)
        return sock
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot connect to '{path}': {(error.strerror or str(error)).lower()}") from None
    except BaseException:
        sock.close()
        raise


def own_directory(path: str) -> None:
    """Raise Denied if someone else may put a socket into the directory ``path``. OSError if it is not there."""
    for found in (os.lstat(path), os.stat(path)):  # a link of someone else's may lead to another directory of ours
        if found.st_uid != os.getuid():
            raise Denied(f"permission denied: '{path}' belongs to another user")
    if found.st_mode & 0o022:
        raise Denied(f"permission denied: others may write to '{path}', its mode is {found.st_mode & 0o7777:04o}")


def own_peer(sock: socket.socket, path: str) -> None:
    """Raise Denied if the process that listens at ``path`` is another user's."""
    _, uid, _ = UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))
    if uid != os.getuid():
        raise Denied(f"permission denied: '{path}' is served by another user")
