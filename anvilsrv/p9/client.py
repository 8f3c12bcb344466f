"""A 9P client: whole files, directories and streams of a tree by their paths, for any number of threads at once.

It never reconnects by itself: to connect again, make another ``Client``.
"""

from typing import Any

from anvilsrv import paths
from anvilsrv.p9 import wire
from anvilsrv.p9.channel import Cancelled as Cancelled
from anvilsrv.p9.channel import ConnectionLost as ConnectionLost
from anvilsrv.p9.channel import P9Error as P9Error
from anvilsrv.p9.channel import TimedOut as TimedOut
from anvilsrv.p9.fsys import DEFAULT, Fsys
from anvilsrv.p9.fsys import File as File
from anvilsrv.p9.wire import Stat


class Client(Fsys):
    """A connection to a 9P server, attached to its tree (``Fsys`` describes the arguments)."""

    @classmethod
    def connect(cls, service: str = "agent", **options: Any) -> "Client":
        """Connect to the service of that name in the current namespace."""
        return cls(f"{paths.namespace()}/{service}", **options)

    def open(self, path: str, mode: int = wire.OREAD, timeout: float | None = DEFAULT) -> File:
        fid = self.walk(path, timeout)
        try:
            self.call(wire.Topen(0, fid, mode), wire.Ropen, timeout)
        except BaseException:
            self.clunk_quietly(fid)
            raise
        return File(self, fid, path)

    def read(self, path: str, timeout: float | None = DEFAULT) -> bytes:
        """Return all of a file; of a blocking file all until its end, with ``timeout`` for each piece."""
        with self.open(path, wire.OREAD, timeout) as file:
            return file.read_all(timeout)

    def write(self, path: str, data: bytes, timeout: float | None = DEFAULT) -> None:
        """Make ``data`` what is written, by one open with OTRUNC and as many writes as it takes (one if empty).

        Errors of the clunk are raised too: only then has the server taken the whole.
        """
        file = self.open(path, wire.OWRITE | wire.OTRUNC, timeout)
        with file:
            file.write(data, timeout=timeout)

    def write_read(self, path: str, data: bytes, timeout: float | None = DEFAULT) -> bytes:
        """Write, then read the answer from the same fid (``ctl``, ``hook``)."""
        with self.open(path, wire.ORDWR, timeout) as file:
            file.write(data, timeout=timeout)
            file.offset = 0
            return file.read_all(timeout)

    def stat(self, path: str, timeout: float | None = DEFAULT) -> Stat:
        with self.walked(path, timeout) as fid:
            return self.call(wire.Tstat(0, fid), wire.Rstat, timeout).stat

    def wstat(self, path: str, stat: Stat, timeout: float | None = DEFAULT) -> None:
        """Change what differs from ``wire.UNTOUCHED``."""
        with self.walked(path, timeout) as fid:
            self.call(wire.Twstat(0, fid, stat), wire.Rwstat, timeout)

    def ls(self, path: str = "", timeout: float | None = DEFAULT) -> list[Stat]:
        """Return the entries of a directory, in the server's order."""
        return wire.unpack_stats(self.read(path, timeout))

    def remove(self, path: str, timeout: float | None = DEFAULT) -> None:
        fid = self.walk(path, timeout)
        try:
            self.call(wire.Tremove(0, fid), wire.Rremove, timeout)
        finally:
            self.free_fid(fid)  # gone, whatever the answer

    def create(self, path: str, mode: int, perm: int = 0o666, timeout: float | None = DEFAULT) -> File:
        parent, _, name = path.rstrip("/").rpartition("/")
        fid = self.walk(parent, timeout)
        try:
            self.call(wire.Tcreate(0, fid, name, perm, mode), wire.Rcreate, timeout)
        except BaseException:
            self.clunk_quietly(fid)
            raise
        return File(self, fid, path)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def dial(service: str = "agent", **options: Any) -> Client:
    """Connect to a service in the current namespace: ``Client.connect`` under its usual name."""
    return Client.connect(service, **options)
