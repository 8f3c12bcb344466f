"""The sockets that a server listens at; used by its I/O thread, made and removed by its owner."""

import os
import socket
import stat
from collections.abc import Callable
from typing import Any

from anvilsrv.allowance import Allowance
from anvilsrv.errors import Conflict, Unavailable
from anvilsrv.p9.address import fitting
from anvilsrv.p9.pace import Pace
from anvilsrv.p9.stream import Stream
from anvilsrv.p9.tree import Dir

BACKLOG = 128


class Listener:
    """A socket that is listened to, and its connections, which share an ``allowance``, and may be served at a ``pace``."""

    def __init__(
        self, accept: Callable[["Listener"], None], path: str, root: Dir, who: Any, limit: int, allowance: Allowance,
        pace: "Pace[Stream | Listener] | None",
    ) -> None:  # fmt: skip
        self.accept = accept
        self.path = path
        self.root = root
        self.who = who
        self.limit = limit
        self.allowance = allowance
        self.pace = pace
        self.paused = False  # it waits for another round
        self.connections: set[Stream] = set()
        self.sock, self._inode = listening(path)
        self.fd = self.sock.fileno()

    def ready(self, event: int) -> None:
        """Handle an ``event`` that epoll reports for the socket."""
        self.accept(self)

    def resume(self) -> None:
        """Resume: it is its turn again."""
        self.accept(self)

    def unlink(self) -> None:
        """Remove the socket file if it is still ours."""
        try:
            if os.lstat(self.path).st_ino == self._inode:
                os.unlink(self.path)
        except FileNotFoundError:
            pass


def listening(path: str) -> tuple[socket.socket, int]:
    """Return a listening socket at ``path``, mode 0600 from its first moment, and its inode."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        os.fchmod(sock.fileno(), 0o600)
        with fitting(path) as short:
            _clear(short, path)
            sock.bind(short)
            sock.listen(BACKLOG)
            return sock, os.lstat(short).st_ino
    except OSError as error:
        sock.close()
        raise Unavailable(f"cannot listen at '{path}': {error.strerror or error}") from None
    except BaseException:
        sock.close()
        raise


def _clear(short: str, path: str) -> None:
    """Take a dead socket out of the way."""
    try:
        if not stat.S_ISSOCK(os.lstat(short).st_mode):
            raise Conflict(f"'{path}' exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(short)
        except ConnectionRefusedError:
            os.unlink(short)
            return
        except BlockingIOError:
            pass
    raise Conflict(f"another process listens at '{path}'")
