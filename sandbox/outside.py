"""Programs that are started outside of every sandbox, as the user: never one that an agent or another account may have put there.

``PATH`` is often longer than it should be: it has ``.``, ``node_modules/.bin``, directories in which agents work. And Python takes
modules from the directory that it is started in.

Threads: any.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from sandbox.errors import SandboxRefused
from sandbox.pathnames import beneath_any
from sandbox.written import Written


def search() -> list[str]:
    """Return the directories of ``PATH`` from which we start programs: absolute, not world-writable, and closed to agents."""
    try:
        written = Written.of(os.environ).known()
    except SandboxRefused:
        return ["/usr/local/bin", "/usr/bin", "/bin"]
    found = []
    for entry in os.get_exec_path():
        real = os.path.realpath(entry)
        if entry.startswith("/") and not beneath_any(real, written) and not _open_to_others(real):
            found.append(entry)
    return found


def which(program: str) -> str | None:
    """Return the absolute path of a program that may be started; None if there is none, or only one that someone else
    may have put there.
    """
    found = shutil.which(program, path=os.pathsep.join(search()))
    if found is None or not found.startswith("/"):
        return None
    real = os.path.realpath(found)
    try:
        return None if beneath_any(real, Written.of(os.environ).known()) else found
    except SandboxRefused:
        return found if _system(real) else None


def environment(source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return ``source`` for a program that starts others by name."""
    return {**source, "PATH": os.pathsep.join(search())}


def python(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module of ours; nothing is imported from the directory in which it is
    started.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def _open_to_others(directory: str) -> bool:
    try:
        return bool(os.stat(directory).st_mode & 0o002)
    except OSError:
        return True


def _system(path: str) -> bool:
    return beneath_any(path, ("/usr", "/bin", "/sbin"))
