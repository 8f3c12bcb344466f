"""The backends that there are: YAML files, the user's before those that ship with the program.

A file is read again when it changed, so a new backend needs no restart. A broken file breaks nothing else: it is
listed with its error.

Threads: any; one lock guards the cache.
"""

import os
import threading
from pathlib import Path

from anvilsrv import paths
from anvilsrv.backends import load as backend_yaml
from anvilsrv.backends.backend import Backend
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError, Invalid, NotFound

Stamp = tuple[int, int, int]


def default_dirs() -> tuple[Path, Path]:
    """Return the user's directory and the shipped one."""
    return paths.config_dir() / "backends", paths.share() / "cfg" / "backends"


class Backends:
    """The backends in ``dirs``; of two files with one name that in the earlier directory counts."""

    def __init__(self, *dirs: Path) -> None:
        self._dirs = dirs or default_dirs()
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[Stamp, Backend | Invalid]] = {}
        self._last: dict[str, Backend] = {}
        self._there = frozenset(self._files())  # when the daemon began

    def names(self) -> list[str]:
        """Return their names, sorted."""
        return sorted(self._files())

    def get(self, name: str) -> Backend:
        """Return the backend of that name or alias. Raises NotFound, or Invalid when its file is wrong."""
        found = self._named(name)
        if isinstance(found, Invalid):
            raise found
        if found is not None:
            return found
        for path in self._files().values():
            other = self._load(path)
            if isinstance(other, Backend) and name in other.aliases:
                return other
        if not self._dirs[-1].is_dir():
            raise NotFound(
                f"no backends: {self._dirs[-1]} is gone; anvilsrv restart takes another installation of the program"
            )
        raise NotFound(f"no such backend '{name}': the file backends lists them")

    def last(self, name: str) -> Backend | None:
        """Return the backend of that name as it was read last, whatever became of its file; None if it never was. No
        I/O: for jobs.
        """
        return self._last.get(name)

    def known(self) -> set[str]:
        """Return the names of those that existed when the daemon began, or were read since. No I/O: for jobs."""
        return {*self._there, *self._last}

    def doing(self, name: str) -> str:
        """Return what a session of that backend does in a turn, as it was read last. No I/O: for jobs."""
        found = self._last.get(name)
        return found.doing if found is not None else ""

    def listing(self) -> list[tuple[str, str, str]]:
        """Name, title, and ``ok`` or why it cannot run here, of each; sorted by name,
        those last for which ``new`` must be told a command: front-ends offer the first."""
        loaded = [(name, self._load(path)) for name, path in sorted(self._files().items())]
        return [
            self._row(*one)
            for one in sorted(loaded, key=lambda one: isinstance(one[1], Backend) and one[1].takes_command)
        ]

    def _row(self, name: str, found: Backend | Invalid) -> tuple[str, str, str]:
        if isinstance(found, Invalid):
            return name, name, _one_line(str(found))
        try:
            return name, _one_line(found.title), _one_line(found.available())
        except AnvilError as error:
            return name, _one_line(found.title), _one_line(str(error))

    def _named(self, name: str) -> Backend | Invalid | None:
        """Return the backend in the file of this name, without looking at the others: it is asked for at every step of
        a prompt.
        """
        if not name or name.startswith(".") or "/" in name or "\0" in name:
            return None
        for directory in self._dirs:
            path = f"{directory}/{name}.yaml"
            if os.path.lexists(path):
                return self._load(Path(path))
        return None

    def _files(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for directory in self._dirs:
            try:
                names = os.listdir(directory)
            except OSError:
                continue  # not there, as the user's mostly is not
            for name in sorted(names):
                if name.endswith(".yaml") and not name.startswith("."):
                    found.setdefault(name.removesuffix(".yaml"), directory / name)
        return found

    def _load(self, path: Path) -> Backend | Invalid:
        try:
            status = path.stat()
        except OSError as error:
            return Invalid(f"{path}: cannot be read: {error.strerror}")
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._lock:
            known = self._read.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            try:
                made: Backend | Invalid = backend_yaml.load(path)
            except Invalid as error:
                made = error
            self._read[path] = (stamp, made)
            if isinstance(made, Backend):
                self._last[made.name] = made
            return made


def _one_line(text: str) -> str:
    return " ".join(one_line(text).split())
