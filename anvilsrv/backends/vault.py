"""Logins that the sessions of a backend share: files of JSON in ``<state>/anvillm/logins/<backend>/``, out of every agent's sight.

An agent has a copy in its own directory and renews it there as it likes, in place or by a rename. What it may change of the login in
that way its backend's file says (``login: renews``); the rest of what stands in a copy is its own affair.

Threads: any; a lock on a file of each backend's keeps threads and processes apart.
"""

import copy
import fcntl
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anvilsrv import paths
from anvilsrv.errors import AnvilError, Invalid
from anvilsrv.linux import beneath
from anvilsrv.strict_json import dumps, loads_object

LARGEST = 256 << 10  # bytes of a file
LONGEST = 64 << 10  # of one value in it
Key = tuple[str, ...]


@dataclass(frozen=True)
class Login:
    """How a backend logs in: what is run, with ``{DATA_DIR}`` a fresh directory. ``data`` is in it first; ``files`` in it are the
    login, of which ``renews`` are the paths that an agent may change. Where the login stands in a ``database``, the first file is
    what it holds, and ``table`` is that of the login in it."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    files: tuple[str, ...]
    renews: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    database: str = ""
    table: str = ""

    def holds_one(self, content: Mapping[str, Any]) -> bool:
        """Return whether any part of a login that is renewed is there."""
        return any(value is not None for value in (renewed(self, content, content) or {}).values())


class Vault:
    """Of one user; ``top`` is made when the first login is put into it."""

    def __init__(self, top: Path | None = None) -> None:
        self.top = paths.state_dir().parent / "logins" if top is None else top

    def directory(self, backend: str) -> Path:
        """Return the directory of a backend's login, whether it exists or not."""
        return self.top / backend

    def has(self, backend: str, files: Sequence[str]) -> bool:
        """Return whether there is a login."""
        return any(beneath.exists(self.top, f"{backend}/{_flat(name)}") for name in files)

    def get(self, backend: str, name: str) -> dict[str, Any] | None:
        """Return what is in a file of a login; None if there is none that can be read."""
        try:
            return loaded(self.top, f"{backend}/{_flat(name)}")
        except AnvilError:
            return None

    def put(self, backend: str, name: str, content: Mapping[str, Any]) -> None:
        """Replace a file of a login at once. Raises AnvilError."""
        paths.private_dir(self.directory(backend))
        beneath.write(self.top, f"{backend}/{_flat(name)}", dumps(content, indent=2) + "\n")

    @contextmanager
    def locked(self, backend: str) -> Iterator[None]:
        """Lock this login against other readers and writers, briefly."""
        paths.private_dir(self.directory(backend))
        with open(self.directory(backend) / ".lock", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def loaded(top: Path, name: str) -> dict[str, Any]:
    """Return the object in a file beneath ``top``, reached without links. Raises AnvilError."""
    with open(beneath.read(top, name), "rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Invalid(f"invalid login: {name} has more than {LARGEST >> 10} KiB")
    return loads_object(data, LARGEST)


def renewed(login: Login, known: Mapping[str, Any], found: object) -> dict[Key, Any] | None:
    """Return what a copy has of what may be renewed in ``known``; None if it is not that login: a part is missing or
    wrong.
    """
    values: dict[Key, Any] = {}
    for path in login.renews:
        for key, before, after in _walk(path.split("."), known, found, ()):
            if not _plain(after) or (isinstance(before, str) and before and not (isinstance(after, str) and after)):
                return None
            values[key] = after
    return values


def with_renewed(known: Mapping[str, Any], values: Mapping[Key, Any]) -> dict[str, Any]:
    """Return ``known`` with those values in it."""
    made = copy.deepcopy(dict(known))
    for key, value in values.items():
        at = made
        for part in key[:-1]:
            at = at[part]
        if value is not None or key[-1] in at:
            at[key[-1]] = value
    return made


def mark(values: Mapping[Key, Any]) -> str:
    """Return what tells one state of a login from another."""
    said = dumps(sorted(([*key], value) for key, value in values.items() if value is not None))
    return hashlib.sha256(said.encode()).hexdigest()


def _walk(path: list[str], known: object, found: object, key: Key) -> Iterator[tuple[Key, object, object]]:
    """Yield the places that a path with ``*`` in it stands for: those of ``known``, of which only the last part may be
    new.
    """
    if not isinstance(known, Mapping):
        return
    names = list(known) if path[0] == "*" else [path[0]]
    for name in names:
        below = found.get(name) if isinstance(found, Mapping) else None
        if len(path) == 1:
            yield (*key, name), known.get(name), below
        else:
            yield from _walk(path[1:], known.get(name), below, (*key, name))


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST
    if isinstance(value, list):
        return len(value) <= 100 and all(isinstance(one, str) and len(one) <= 1000 for one in value)
    return value is None or isinstance(value, (bool, int, float))


def _flat(name: str) -> str:
    return name.rpartition("/")[2]
