"""Which program a daemon runs, and which takes its place.

`anvilsrv restart` leaves a note in the state directory before it signals the daemon: its own installation, and those variables of its
environment that agents may get. The daemon takes the note away and becomes that program. Without a note (a signal from elsewhere) it
becomes its own program again, if that is still there.

Threads: the main thread, of the daemon and of the command.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from anvilsrv import paths
from anvilsrv.errors import Unavailable
from anvilsrv.linux.replace import write

log = logging.getLogger("anvilsrv")

# By these a daemon finds its own files: another value would make it another daemon.
PLACES = {
    "HOME", "USER", "LOGNAME", "ANVILLM_SESSION", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME",
    "NAMESPACE",
}  # fmt: skip
PYTHON = ("PYTHONPATH", "PYTHONHOME")  # belong to the program, not to agents


class Program(NamedTuple):
    """An installation: its Python, and the directory of the package."""

    python: str
    package: str

    @classmethod
    def own(cls) -> "Program":
        return cls(sys.executable, str(Path(__file__).resolve().parents[1]))

    @property
    def missing(self) -> str:
        """What of it is not there any more; empty where all is."""
        for path, wanted in ((self.python, os.X_OK), (f"{self.package}/programs/cli.py", os.R_OK)):
            if not os.access(path, wanted):
                return path
        return ""


class Successor(NamedTuple):
    """The program that takes over, and the variables that it gets (None: not that variable)."""

    program: Program
    env: dict[str, str | None]

    def leave(self, state: Path) -> Path:
        """Note it for the daemon; the note."""
        note = state / "successor"
        write(note, json.dumps({"program": self.program, "env": self.env}))
        return note


def of_caller() -> Successor:
    """Return this installation, and what agents may get of this environment."""
    given: dict[str, str | None] = dict(for_agents(os.environ))
    return Successor(Program.own(), given | {name: os.environ.get(name) for name in PYTHON})


def take(state: Path) -> Successor:
    """Take the one that is noted, and remove the note; without one, this daemon's own program as it is."""
    own = Successor(Program.own(), {})
    note = state / "successor"
    try:
        text = note.read_text()
        note.unlink()
        found = json.loads(text)
        return Successor(Program(*found["program"]), dict(found["env"]))
    except FileNotFoundError:
        return own
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be used: %s", note, error)
        return own


def become(successor: Successor, namespace: str) -> None:
    """Run it in place of this program, with the arguments that this one has; never returns. Raises OSError."""
    for name, value in successor.env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.environ["NAMESPACE"] = namespace  # whatever DISPLAY is now
    program = successor.program
    rest = sys.orig_argv[1:]
    if program != Program.own():
        rest = ["-P", "-m", "anvilsrv.programs.cli", *sys.argv[1:]]
    os.execv(program.python, [program.python, *rest])


def note_program(state: Path) -> None:
    """Say in the state directory which program this daemon is. A full disk keeps no daemon from serving: then nothing says it."""
    for name in ("successor", "program"):
        (state / name).unlink(missing_ok=True)
    try:
        write(state / "program", json.dumps(Program.own()))
    except OSError as error:
        log.warning("cannot say which program this is: %s", error)


def program_of(state: Path) -> Program | None:
    """Return the program of the daemon there; None if it does not say."""
    try:
        return Program(*json.loads((state / "program").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def for_agents(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an environment that some layer of the sandbox lets in, except those by which a daemon
    finds its own files.
    """
    patterns = set(_let_in())
    return {
        name: value
        for name, value in env.items()
        if name not in PLACES and any(fnmatchcase(name, one) for one in patterns)
    }


def _let_in() -> Iterator[str]:
    """Yield their names; ``LC_*`` stands for many."""
    from sandbox import defaults, layers
    from sandbox.errors import SandboxError

    yield from defaults.VARIABLES
    for top in (paths.config_dir(), paths.share() / "cfg"):
        for path in sorted([top / "global.yaml", *top.glob("*/*.yaml")]):
            try:
                kind = "" if path.stem == "global" else f"{path.parent.name.removesuffix('s')} "
                found = layers.read(f"{kind}{path.stem}", path)
            except SandboxError:  # told by doctor; it lets nothing in
                continue
            yield from (said.value[0] for said in found.env if said.value[1] is None)


def differing(pid: int) -> list[str]:
    """Return the names of variables for agents that the daemon has not as this process has them. Raises Unavailable."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError as error:
        raise Unavailable(f"the environment of {pid} cannot be read: {error.strerror}") from None
    theirs = dict(os.fsdecode(one).partition("=")[::2] for one in raw.split(b"\0") if one)
    return sorted(name for name, value in for_agents(os.environ).items() if theirs.get(name) != value)
