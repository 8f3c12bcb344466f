"""The files of one namespace's daemon, and who holds it.

One daemon holds one namespace: it keeps a lock (fcntl(2), open file description) on ``<state>/lock`` for as long as it
lives, and the kernel drops it with the process, so a stale pid file cannot deceive anybody. ``$NAMESPACE`` itself is
checked as plan9port does.
"""

import fcntl
import os
import struct
from pathlib import Path
from typing import IO

from anvilsrv import paths
from anvilsrv.errors import Conflict, Invalid

FLOCK = "hhqqi4x"  # struct flock where off_t has 64 bits
NAMESPACE_MAX = 107 - len(f"/{paths.TMUX}")  # bytes: unix(7), struct sockaddr_un


class Place:
    """The files of one namespace's daemon."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace or paths.namespace()
        self.state = paths.state_dir(self.namespace)
        self.socket = Path(self.namespace) / paths.SERVICE
        self.tmux = Path(self.namespace) / paths.TMUX
        self.lock = self.state / "lock"
        self.pid_file = self.state / "pid"
        self.log = self.state / "anvilsrv.log"

    @property
    def deleted(self) -> bool:
        """Whether the socket is gone, as when someone has cleared /tmp; a daemon that runs does not notice."""
        return not os.path.lexists(self.socket)

    def holder(self) -> int | None:
        """Return the pid of the daemon that holds the namespace, None if there is none (0: one that is only just
        starting).
        """
        try:
            with open(self.lock, "rb") as file:
                kind = struct.unpack(
                    FLOCK, fcntl.fcntl(file, fcntl.F_OFD_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
                )[0]
        except FileNotFoundError:
            return None
        if kind == fcntl.F_UNLCK:
            return None
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return 0

    def check(self) -> None:
        """Raise Invalid for a namespace in which no agent could run."""
        if not self.namespace.startswith("/"):
            raise Invalid(f"NAMESPACE must be an absolute path, not '{self.namespace}'")
        if len(os.fsencode(self.namespace)) > NAMESPACE_MAX:
            raise Invalid(f"NAMESPACE is too long for the socket of tmux in it: at most {NAMESPACE_MAX} bytes")

    def take(self) -> IO[bytes]:
        """Become the daemon of the namespace: the lock's file, to be kept open.

        Raises Conflict when another is, Invalid for a namespace in which no agent could run.
        """
        self.check()
        paths.private_dir(self.namespace)
        paths.private_dir(self.state)
        inherited = os.environ.pop("ANVILSRV_LOCK_FD", "")
        if inherited.isdecimal():
            return open(int(inherited), "ab")
        file = open(self.lock, "ab")  # noqa: SIM115
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
        except (BlockingIOError, PermissionError):
            file.close()
            raise Conflict(
                f"namespace '{self.namespace}' is held by another anvilsrv (pid {self.holder() or '?'})"
            ) from None
        self.pid_file.write_text(f"{os.getpid()}\n")
        return file
