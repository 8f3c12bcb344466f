"""Two ways to fill the disk on which a daemon keeps what it knows, without any harm to the machine."""

import os
import resource
import subprocess
from pathlib import Path
from typing import Protocol

from tests.conftest import Daemon

SIZE = "96m"
LIMIT = 1 << 16  # bytes: less than the log that SQLite writes before anything else


class Disk(Protocol):
    """``kills``: the daemon may be killed while it is full, and another one started."""

    kills: bool

    def fill(self) -> None:
        """Leave not a byte; again while it is full: of what was freed meanwhile."""

    def free(self) -> None:
        """Free the space."""

    def close(self) -> None:
        """Let go of it."""


class Small:
    """A small file system of its own at ``place``. Only where one may be mounted: as root of a mount namespace."""

    kills = True

    def __init__(self, place: Path) -> None:
        self._place = place
        self._filler = place / "filler"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "small", place], check=True)

    def fill(self) -> None:
        with open(self._filler, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", self._place], check=True)


class Limit:
    """Where nothing can be mounted: the files of the daemon, and of it alone, may not grow. One cannot start that way."""

    kills = False

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def fill(self) -> None:
        self._set(LIMIT)

    def free(self) -> None:
        self._set(resource.RLIM_INFINITY)

    def close(self) -> None:
        pass

    def _set(self, soft: int) -> None:
        process = self._daemon.process
        assert process is not None
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard if soft == resource.RLIM_INFINITY else soft, hard))


def mountable() -> list[str] | None:
    """Return what to put before a program that is to mount a ``Small``; empty: nothing, it may. None: it cannot be done
    here.
    """
    way = ["unshare", "--user", "--map-root-user", "--mount"]
    tried = [*way, "sh", "-c", 'mount -t tmpfs -o size=1m small "$0"', os.path.dirname(__file__)]
    return way if subprocess.run(tried, capture_output=True, check=False).returncode == 0 else None
