"""The roles and the tasks that there are: layers of the sandbox, the user's before those that ship with the program.

A file is read again when it changed. A broken one is listed with its error.

Threads: any; one lock guards the cache.
"""

import threading
from pathlib import Path

from anvilsrv.display import one_line
from sandbox import layers, policy
from sandbox.errors import SandboxError

Stamp = tuple[int, int, int]


class Layers:
    """The layers in ``folder`` of ``config``; of two files with one name that in the earlier directory counts."""

    def __init__(self, folder: str, *config: Path) -> None:
        self._folder = folder
        self._config = config
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[Stamp, str]] = {}

    def listing(self) -> list[tuple[str, str, str]]:
        """Name, what it is for (or what is wrong with it), and file of each; sorted by name."""
        found = []
        for name in policy.names(self._config, self._folder):
            paths = (directory / self._folder / f"{name}.yaml" for directory in self._config)
            path = next((one for one in paths if one.is_file()), None)
            if path is not None and layers.NAME.fullmatch(name):
                found.append((name, self._label(path), one_line(str(path))))
        return found

    def _label(self, path: Path) -> str:
        try:
            status = path.stat()
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._lock:
            known = self._read.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            label = layers.read(f"{self._folder[:-1]} {path.stem}", path).description
        except SandboxError as error:
            label = str(error)
        label = " ".join(one_line(label).split())
        with self._lock:
            self._read[path] = (stamp, label)
        return label


def offered(*config: Path) -> tuple[Layers, Layers]:
    """Return the roles and the tasks."""
    return Layers("roles", *config), Layers("tasks", *config)
