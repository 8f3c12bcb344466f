"""What `anvilsrv doctor` says of directories and of the daemon in them: home, namespace, state, beads.

Threads: the main thread of the command. Nothing is made or changed.
"""

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from anvilsrv import paths
from anvilsrv.errors import AnvilError
from anvilsrv.programs.finding import DO, NOTE, OK, Line

if TYPE_CHECKING:
    from anvilsrv.programs.place import Place

ROOM = 64 << 20  # bytes that the state's file system should have
FILES = 256  # descriptors, the fewest with which a daemon is of use
XDG = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
HEADER = b"SQLite format 3\0"
VERSION_AT = 60  # of an SQLite file: four bytes, user_version


def home() -> Iterator[Line]:
    """Check the variables by which everything else is found."""
    given = os.environ.get("HOME")
    path = Path(given) if given else Path.home()
    if given == "":
        yield Line(DO, "home", "HOME is empty: set it to your home directory")
    elif not path.is_absolute():
        yield Line(DO, "home", f"HOME={given} is not an absolute path: set it to your home directory")
    elif not path.exists():
        yield Line(DO, "home", f"HOME={path} does not exist: make it, or set HOME to your home directory")
    elif not path.is_dir():
        yield Line(DO, "home", f"HOME={path} is not a directory: set HOME to your home directory")
    else:
        yield Line(OK, "home", str(path))
    for name in XDG:
        value = os.environ.get(name, "")
        if value and not value.startswith("/"):
            yield Line(NOTE, "home", f"{name}={value} is not an absolute path, and is ignored: unset it")


def descriptors() -> Iterator[Line]:
    """Check how many files one process may have open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        yield Line(DO, "limits", f"a process may open only {hard} files: raise the limit (ulimit -H -n 4096)")
    else:
        yield Line(OK, "limits", f"a process may open {hard} files")


def namespace() -> Iterator[Line]:
    """Check the directory of the socket, as the daemon demands it."""
    from anvilsrv.programs.place import Place

    place = Place()
    path = Path(place.namespace)
    try:
        place.check()
        unfit = paths.unfit(path)
    except AnvilError as error:
        yield Line(DO, "namespace", f"{error}; set another NAMESPACE")
        return
    except OSError as error:
        yield Line(DO, "namespace", f"cannot look at {path}: {error.strerror}; set NAMESPACE")
        return
    if unfit is not None:
        yield Line(DO, "namespace", f"{path} {unfit.why}: {unfit.remedy.format(path)}, or set NAMESPACE")
    elif path.exists():
        yield Line(OK, "namespace", str(path))
    elif why := _cannot_make(path):
        yield Line(DO, "namespace", f"cannot make {path}: {why}; set NAMESPACE")
    else:
        yield Line(OK, "namespace", f"{path} (anvilsrv makes it)")


def _cannot_make(path: Path) -> str:
    """Return why a directory cannot be made; empty if it can."""
    above = next(one for one in path.absolute().parents if one.exists() or one.is_symlink())
    if not above.is_dir():
        return f"{above} is not a directory"
    return "" if os.access(above, os.W_OK | os.X_OK) else f"{above} cannot be written"


def daemon() -> Iterator[Line]:
    """Check whether it runs, and answers."""
    from anvilsrv.p9.client import Client
    from anvilsrv.programs import elsewhere
    from anvilsrv.programs.place import Place
    from anvilsrv.tmux.lost import listeners

    place = Place()
    yield from (Line(NOTE, "daemon", one) for one in elsewhere.lines(place))
    pid = place.holder()
    if pid is None:
        stale = " (the socket there is left over, and does no harm)" if os.path.exists(place.socket) else ""
        yield Line(NOTE, "daemon", f"does not run: anvilsrv start{stale}")
        return
    if place.deleted:
        yield Line(
            DO, "daemon", f"{pid} runs, but its socket {place.socket} was deleted: anvilsrv restart makes it again"
        )
        return
    if not os.path.lexists(place.tmux) and listeners(place.tmux):
        yield Line(DO, "daemon", f"the socket of its tmux {place.tmux} was deleted: anvilsrv restart makes it again")
    try:
        with Client(str(place.socket), timeout=5) as client:
            sessions = len(client.read("list").splitlines())
    except AnvilError as error:
        yield Line(DO, "daemon", f"{pid} runs but does not answer ({error}): see {place.log}, then kill {pid}")
        return
    yield Line(OK, "daemon", f"{pid} serves {place.socket}, {sessions} session(s)")
    yield from _against(place, pid)


def _against(place: "Place", pid: int) -> Iterator[Line]:
    """Check how the daemon differs from this program and this environment."""
    from anvilsrv.programs import successor

    theirs, ours = successor.program_of(place.state), successor.Program.own()
    if theirs is not None and theirs.missing:
        yield Line(DO, "daemon", f"its program {theirs.missing} is gone, and no session starts: anvilsrv restart")
    elif theirs is not None and theirs != ours:
        yield Line(NOTE, "daemon", f"runs from {theirs.package}, not {ours.package}: anvilsrv restart takes this one")
    if names := successor.differing(pid):
        differ = ", ".join(names)
        yield Line(NOTE, "daemon", f"{differ}: not as in this shell; anvilsrv restart gives agents this shell's")


def state() -> Iterator[Line]:
    """Check where the daemon keeps what must not be lost."""
    from anvilsrv.store.schema import MIGRATIONS

    path = paths.state_dir()
    there = next(one for one in (path, *path.parents) if one.exists())
    if not os.path.lexists(path) and (why := _cannot_make(path)):
        yield Line(DO, "state", f"cannot make {path}: {why}; set XDG_STATE_HOME")
    elif (unfit := paths.unfit(path)) is not None:
        yield Line(DO, "state", f"{path} {unfit.why}: {unfit.remedy.format(path)}, or set XDG_STATE_HOME")
    elif not os.access(there, os.W_OK | os.X_OK):
        yield Line(DO, "state", f"cannot write in {there}: set XDG_STATE_HOME")
    elif (free := shutil.disk_usage(there).free) < ROOM:
        yield Line(DO, "state", f"{free >> 20} MB free below {there}: make room")
    elif wrong := _broken(path / "store.db", len(MIGRATIONS)):
        yield Line(DO, "state", wrong)
    else:
        yield Line(OK, "state", f"{path}, {free >> 20} MB free")


def beads() -> Iterator[Line]:
    """Check the graph of tasks."""
    from anvilsrv.beads.store import FILE

    path = paths.beads_dir()
    if not path.is_absolute():
        yield Line(DO, "beads", f"ANVILLM_BEADS_PATH={path} is not an absolute path: set it to one, or unset it")
    elif path.is_symlink() and not path.exists():
        yield Line(DO, "beads", f"{path} is a link to nothing: remove it, or make {os.readlink(path)}")
    elif path.exists() and not path.is_dir():
        yield Line(DO, "beads", f"{path} is not a directory: move it away, or set ANVILLM_BEADS_PATH")
    elif not path.exists() and (why := _cannot_make(path)):
        yield Line(NOTE, "beads", f"cannot make {path}: {why}; set ANVILLM_BEADS_PATH")
    elif path.exists() and not os.access(path, os.W_OK | os.X_OK):
        yield Line(DO, "beads", f"cannot write in {path}: chmod u+rwx {path}, or set ANVILLM_BEADS_PATH")
    elif wrong := _broken(path / FILE):
        yield Line(DO, "beads", wrong)
    else:
        yield Line(OK, "beads", str(path))


def _broken(file: Path, newest: int | None = None) -> str:
    """Return what is wrong with a database, by its header (to open it would make files beside it); empty if nothing is,
    or there is no file.
    """
    try:
        with open(file, "rb") as opened:
            head = opened.read(100)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    if head and not head.startswith(HEADER):
        return f"{file} is not a database: put back a copy of it, or move it away and lose what it held"
    version = int.from_bytes(head[VERSION_AT : VERSION_AT + 4], "big")
    if newest is not None and version > newest:
        return f"{file} was written by a newer anvilsrv: install that, or move the file away"
    return ""
