"""What an agent can read of our own code: what runs inside (``inside/``, the 9P client, inotify, the ground modules), and nothing else.

Each launch gets a copy of that in its ``run/code``. Hooks, servers and agents that we start run from there, so an upgrade of
the installed files, however it is done, never shows a running agent half of one version and half of another.

Programs that are found where they are installed (commands that people and agents type, Kiro's hooks, the user's own MCP
configuration) run there too. With mounts the copy lies over the package, and our other packages are empty. Without mounts
Landlock can only add: everything around our other code is listed. A rule holds a file and not a name, so of the programs that
are found where they are installed, those whose modules an upgrade replaced start again with the session's next launch.

Threads: called on the 9P workers and on the reactor of the agents; nothing is kept between calls.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from anvilsrv import paths
from anvilsrv.agents import commands

HERE = Path(__file__).resolve().parent.parent
PACKAGES = ("acme", "sandbox", "tui", "web")  # ours, beside anvilsrv in an installed environment
CLIENT = ("__init__", "address", "channel", "client", "frames", "fsys", "text", "values", "wire")  # of p9/
OUTSIDE = ("app", "cli")  # of the modules that lie flat: no ground, no program of an agent


class Granted(NamedTuple):
    """``rox`` can be read and executed, ``ro`` read, ``hide`` is empty, ``listed`` shows its names alone."""

    rox: list[str]
    ro: list[str]
    hide: list[str]
    listed: list[str]


def sources() -> Iterator[Path]:
    """Yield the files of what runs inside."""
    for flat in sorted(HERE.glob("*.py")):
        if flat.stem not in OUTSIDE:
            yield flat
    yield from (HERE / "p9" / f"{name}.py" for name in CLIENT)
    yield from (HERE / "linux" / f"{name}.py" for name in ("__init__", "inotify"))
    yield from sorted((HERE / "inside").glob("*.py"))


def copy(code: Path) -> None:
    """Put what runs inside into the directory ``code``, compiled where it is compiled here: an agent cannot write there. Beside it the
    commands that run it."""
    shutil.rmtree(code, ignore_errors=True)
    for source in sources():
        target = code / source.relative_to(HERE.parent)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(source, target)
        compiled = Path(importlib.util.cache_from_source(str(target)))
        compiled.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            _copy(Path(importlib.util.cache_from_source(str(source))), compiled)
        except FileNotFoundError:
            pass  # slower, no more
    commands.put(code.with_name("bin"), code)
    (code / "skills").symlink_to(paths.share() / "skills")  # where they are looked for


def _copy(source: Path, target: Path) -> None:
    """Copy the content and the time of the last change, by which Python tells whether a file was compiled since."""
    target.write_bytes(source.read_bytes())
    status = source.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def shown(code: Path, cwd: str) -> dict[str, str]:
    """Return what is mounted where: the copy over the package, unless that is in the directory that the agent is to
    work in.
    """
    here = str(HERE)
    return {} if _under(here, cwd) or _under(cwd, here) else {here: str(code / HERE.name)}


def granted(tier: str) -> Granted:
    """Return what every agent has of the installed programs in this tier: Python, the libraries, the skills, and of
    ours what runs inside.
    """
    skills = [str(top / "skills") for top in (paths.share(), paths.config_dir())]
    ro = [path for path in skills if os.path.isdir(path)]
    ours = _ours()
    if tier == "full":
        return Granted([sys.base_prefix, sys.prefix], ro, ours, [])
    rox, listed = [str(HERE / "inside")], [str(HERE), str(HERE / "p9"), str(HERE / "linux")]
    for source in sources():
        rox += [str(source), importlib.util.cache_from_source(str(source))]
    for top in (sys.base_prefix, sys.prefix):
        found = _around(os.path.realpath(top), [*ours, str(HERE)])
        rox += found.rox
        listed += found.listed
    return Granted([path for path in rox if os.path.exists(path)], ro, [], listed)


def _ours() -> list[str]:
    """Return what else of ours is in an installed environment; a source tree is not granted in the first place."""
    if paths.share() == HERE.parent:
        return []
    return [*(str(HERE.parent / name) for name in PACKAGES), str(paths.share().resolve())]


def _around(top: str, closed: Iterable[str]) -> Granted:
    """Return everything beneath ``top`` that is not ``closed``, in as few paths as there are."""
    closed = [path for path in closed if _under(path, top)]
    if not closed:
        return Granted([top], [], [], [])
    found = Granted([], [], [], [top])
    with os.scandir(top) as entries:
        for entry in entries:
            if entry.is_symlink() or entry.path in closed:
                continue  # what a link leads to has a name of its own
            more = _around(entry.path, closed) if entry.is_dir() else Granted([entry.path], [], [], [])
            found.rox.extend(more.rox)
            found.listed.extend(more.listed)
    return found


def _under(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")
