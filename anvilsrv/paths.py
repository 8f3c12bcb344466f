"""Where things are: the namespace, the state, the configuration, the files that ship with the program.

The namespace rule is plan9port's ``getns(3)``; the directories are those of the XDG base directory specification.
Nothing here creates anything but :func:`private_dir`.
"""

from __future__ import annotations

import os
import pwd
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # importing pathlib, hashlib and re is slow, and the hook program starts on every event
    from pathlib import Path

from anvilsrv.errors import Unavailable

SERVICE = "agent"
TMUX = "anvillm.tmux"


def user() -> str:
    """Return the login name of the real user, as getpwuid(3) gives it (never ``$USER``, which anyone may set)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def namespace() -> str:
    """Return the namespace directory: ``$NAMESPACE``, else ``/tmp/ns.<user>.<display>``; without a display ``:0``."""
    given = os.environ.get("NAMESPACE")
    if given:
        return given.rstrip("/") or "/"
    display = os.environ.get("DISPLAY") or ":0"
    if display.endswith(".0"):
        display = display[:-2]
    return f"/tmp/ns.{user()}.{display.replace('/', '_')}"


def socket() -> str:
    """Return the daemon's socket in the current namespace."""
    return f"{namespace()}/{SERVICE}"


def private_dir(path: str | Path) -> Path:
    """Make ``path`` (and its parents) a directory of ours alone, mode 0700.

    Raises Unavailable when it exists and belongs to someone else, is open to others, or is a link.
    """
    from pathlib import Path

    path = Path(path)
    try:
        for one in (*reversed(path.parents), path):  # not by ``parents``, which leaves the modes to the umask
            if not one.exists():
                one.mkdir(mode=0o700, exist_ok=True)
        found = unfit(path)
    except OSError as error:
        raise Unavailable(f"cannot make directory '{path}': {error.strerror}") from None
    if found is not None:
        raise Unavailable(f"'{path}' {found.why}")
    return path


class Unfit(NamedTuple):
    """Why a path cannot be a directory of ours alone, and what would mend it (``{}`` stands for the path)."""

    why: str
    remedy: str


def unfit(path: Path) -> Unfit | None:
    """Return why a directory is unfit; None if nothing is there, or a directory that is ours alone. Raises OSError."""
    import stat

    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return Unfit("is not a directory, but a link", "remove it")
    if not stat.S_ISDIR(found.st_mode):
        return Unfit("is not a directory", "remove it")
    if found.st_uid != os.getuid():
        return Unfit("belongs to another user", "have it removed")
    if mode & 0o077:
        return Unfit(f"is open to others: its mode is {mode:04o}, not 0700", "chmod 700 {}")
    return None


def _xdg(variable: str, default: str) -> Path:
    from pathlib import Path

    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default


def config_dir() -> Path:
    """Return the user's configuration, ``~/.config/anvillm``."""
    return _xdg("XDG_CONFIG_HOME", ".config") / "anvillm"


def state_dir(of: str | None = None) -> Path:
    """Return the state of the daemon of one namespace, ``~/.local/state/anvillm/<namespace>``.

    Without links in it, since agents are bound to what lies there.
    The last part is the namespace's path with ``/`` made ``_``; where that could stand for two namespaces
    (the path has an underscore, or is long) a piece of its hash tells them apart.
    """
    import hashlib
    import re

    space = of or namespace()
    name = re.sub(r"[^A-Za-z0-9.:-]", "_", space.strip("/"))
    if name != space.strip("/").replace("/", "_") or "_" in space or len(name) > 80:
        name = f"{name[-80:]}-{hashlib.sha256(space.encode()).hexdigest()[:8]}"
    return _xdg("XDG_STATE_HOME", ".local/state").resolve() / "anvillm" / name


def beads_dir() -> Path:
    """Return the task graph: ``$ANVILLM_BEADS_PATH``, else ``~/.beads``."""
    from pathlib import Path

    return Path(os.environ.get("ANVILLM_BEADS_PATH") or Path.home() / ".beads")


def share() -> Path:
    """Return the directory that holds ``cfg``, ``skills`` and the other files that ship with the program."""
    from pathlib import Path

    beside = Path(__file__).resolve().parent.parent
    if (beside / "skills" / "beads" / "SKILL.md").is_file():  # a source tree; of it, agents see no more than the skills
        return beside
    return Path(sys.prefix) / "share" / "anvillm"
