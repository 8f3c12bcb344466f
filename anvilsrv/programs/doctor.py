"""``anvilsrv doctor``: everything that AnviLLM needs or can use on this machine, tried, one line each.

A line is a verdict, what was looked at, and a sentence, parted by tabs. ``ok``: it is fine. ``note``: something that one
can do without, and what to do to have it. ``do``: something that is needed, and what to do. Nothing is changed, and no
daemon is started.
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from anvilsrv import __version__, paths
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError
from sandbox import outside

if TYPE_CHECKING:
    from anvilsrv.backends.backend import Backend
    from anvilsrv.backends.registry import Backends
    from sandbox.policy import Policy

OK, NOTE, DO = "ok", "note", "do"
PATIENCE = 20.0  # s for any program that is asked for its version
TMUX = (3, 2)  # the oldest with what anvilsrv.tmux uses
TRIED = (3, 8)  # the newest with which the tests were run, while it was called next-3.8
EMACS = (28, 1)
ROOM = 64 << 20  # bytes that the state's file system should have
TERMINALS = (
    "foot",
    "kitty",
    "alacritty",
    "wezterm",
    "ghostty",
    "urxvt",
    "st",
    "xterm",
    "rxvt",
    "gnome-terminal",
    "konsole",
)


class Line(NamedTuple):
    """One finding."""

    verdict: str
    subject: str
    words: str


def examine(say: Callable[[str], None]) -> int:
    """Say each finding as it is made; 1 if something that is needed is missing, else 0."""
    worst = 0
    for look in LOOKS:
        for line in findings(look):
            say("\t".join(line))
            worst |= line.verdict == DO
    return worst


def findings(look: Callable[[], Iterator[Line]]) -> Iterator[Line]:
    """Of one look; what keeps it from looking is a finding too."""
    try:
        yield from look()
    except (OSError, AnvilError) as error:
        yield Line(DO, look.__name__, f"cannot be looked at: {error}")


def program() -> Iterator[Line]:
    """This program, and whether a shell finds it."""
    yield Line(OK, "anvilsrv", f"{__version__} in {sys.prefix}, Python {sys.version.split()[0]}")
    found = shutil.which("anvilsrv")
    if found is None:
        yield Line(NOTE, "PATH", f"no anvilsrv in it: add {Path(sys.prefix) / 'bin'}, or where ./install put the links")
    elif Path(found).resolve().parent != (Path(sys.prefix) / "bin").resolve():
        yield Line(NOTE, "PATH", f"finds another one first: {found}")
    else:
        yield Line(OK, "PATH", f"finds {found}")


def namespace() -> Iterator[Line]:
    """The directory of the socket, as plan9port demands it."""
    path = Path(paths.namespace())
    try:
        found = path.lstat()
    except FileNotFoundError:
        above = next(one for one in path.absolute().parents if one.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield Line(OK, "namespace", f"{path} (anvilsrv makes it)")
        else:
            yield Line(DO, "namespace", f"cannot make {path}: {above} cannot be written; set NAMESPACE")
        return
    except OSError as error:
        yield Line(DO, "namespace", f"cannot look at {path}: {error.strerror}; set NAMESPACE")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Line(DO, "namespace", f"{path} is not a directory: remove it, or set NAMESPACE")
    elif found.st_uid != os.getuid():
        yield Line(DO, "namespace", f"{path} belongs to another user: set NAMESPACE")
    elif found.st_mode & 0o077:
        yield Line(DO, "namespace", f"{path} is open to others: chmod 700 {path}")
    else:
        yield Line(OK, "namespace", str(path))


def daemon() -> Iterator[Line]:
    """Whether it runs, and answers."""
    from anvilsrv.p9.client import Client
    from anvilsrv.programs.daemon import Place
    from anvilsrv.tmux.lost import listeners

    place = Place()
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


def state() -> Iterator[Line]:
    """Where the daemon keeps what must not be lost."""
    path = paths.state_dir()
    there = next(one for one in (path, *path.parents) if one.exists())
    free = shutil.disk_usage(there).free
    if not os.access(there, os.W_OK | os.X_OK):
        yield Line(DO, "state", f"cannot write in {there}: set XDG_STATE_HOME")
    elif free < ROOM:
        yield Line(DO, "state", f"{free >> 20} MB free below {there}: make room")
    else:
        yield Line(OK, "state", f"{path}, {free >> 20} MB free")


def configuration() -> Iterator[Line]:
    """That every layer can be read; what waits to be merged."""
    from sandbox import policy
    from sandbox.errors import SandboxError

    mine, shipped = paths.config_dir(), paths.share() / "cfg"
    if not (shipped / "global.yaml").is_file():
        yield Line(DO, "configuration", f"no {shipped}: install again")
        return
    names = {
        one: sorted({p.stem for d in (mine, shipped) for p in (d / one).glob("*.yaml")}) for one in ("roles", "tasks")
    }
    trials: list[tuple[str | None, list[str]]] = [(role, []) for role in names["roles"]]
    trials += [(None, [task]) for task in names["tasks"]]
    wrong = 0
    for role, tasks in trials:
        try:
            policy.load(
                config=[mine, shipped], backend="", role=role, tasks=tasks, cwd=str(Path.home()),
                namespace=paths.namespace(), env=os.environ,
            )  # fmt: skip
        except SandboxError as error:
            wrong += 1
            yield Line(DO, "configuration", str(error))
    if not wrong:
        yield Line(OK, "configuration", f"{mine if mine.is_dir() else shipped}: {len(trials)} roles and tasks")
    for new in sorted(mine.rglob("*.new")):
        yield Line(NOTE, "configuration", f"compare {new} with yours, then remove it")


def tmux() -> Iterator[Line]:
    """That it is here, new enough, and gets terminals."""
    said = version("tmux", "-V")
    tried = " to ".join(".".join(map(str, one)) for one in (TMUX, TRIED))
    if said is None:
        yield Line(DO, "tmux", f"missing: install it{packages('tmux')}")
    elif numbers(said) < TMUX and any(c.isdigit() for c in said):
        yield Line(DO, "tmux", f"{said} is too old: {'.'.join(map(str, TMUX))} or newer")
    elif said.startswith("tmux ") and numbers(said) > TRIED and "openbsd" not in said:
        yield Line(
            NOTE, "tmux", f"{said} is newer than those that were tried: {tried}; if prompts are not taken, report it"
        )
    else:
        yield Line(OK, "tmux", f"{said} (tried: {tried})")
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError as error:
        mode = stat.S_IMODE(os.stat("/dev/ptmx").st_mode)
        yield Line(
            DO,
            "tmux",
            f"no pseudo-terminal can be opened: {error.strerror} (/dev/ptmx has mode {mode:04o}, usual is 0666)",
        )


def sandbox() -> Iterator[Line]:
    """What this kernel gives, by trying."""
    from sandbox import tiers
    from sandbox.text import TIERS

    report = tiers.probe()
    kernel = f"Linux {os.uname().release}, Landlock ABI {report.abi}"
    yield (Line(OK, "kernel", kernel) if report.abi else Line(DO, "kernel", f"{kernel}: {tiers.landlock_advice()}"))
    verdict = OK if report.tier in ("full", "ll9") else DO
    yield Line(verdict, "sandbox", f"{report.tier}: {TIERS[report.tier].removeprefix(f'{report.tier.upper()}: ')}")
    if report.tier != "full" and report.abi:
        yield from (Line(NOTE, "sandbox", reason) for reason in report.reasons)
        yield from (Line(verdict if verdict == DO else NOTE, "sandbox", advice) for advice in report.advice)


def backends() -> Iterator[Line]:
    """Which agents are here, and their versions; at least one must be."""
    from anvilsrv.backends.registry import Backends

    found = Backends()
    usable = 0
    for name, title, words in found.listing():
        if words == "ok":
            usable += 1
            yield from _tried(found, name, title)
        else:
            yield Line(NOTE, f"backend {name}", words)
    if not usable:
        yield Line(DO, "backends", "none can run: see the lines above")


def _tried(found: "Backends", name: str, title: str) -> Iterator[Line]:
    """One that can run: what it says of its version, inside the sandbox as a session runs it."""
    from anvilsrv.agents.trial import trial
    from anvilsrv.programs import ways
    from sandbox.errors import SandboxError

    backend = found.get(name)
    if backend.program is None or not backend.version_args:
        yield Line(OK, f"backend {name}", title)
        return
    with tempfile.TemporaryDirectory(prefix="anvil-doctor-", ignore_cleanup_errors=True) as top:
        try:
            made = trial(found, name, backend.version_args, Path(top))
            done = subprocess.run(made.argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            yield Line(NOTE, f"backend {name}", f"inside the sandbox it does not tell its version in {PATIENCE:g} s")
            return
        except (SandboxError, AnvilError) as error:
            yield Line(NOTE, f"backend {name}", f"cannot run in the sandbox: {error}")
            return
    for line in made.lacks.splitlines():
        _, what, grant = line.split("\t")
        yield Line(NOTE, f"backend {name}", f"{what} is not granted: {grant}")
    if not done.returncode:
        said = next(iter(done.stdout.decode(errors="replace").strip().splitlines()), "")
        yield Line(OK, f"backend {name}", f"{title}{f': {one_line(said)}' if said else ''}")
        for why in ways.refused(made.policy.network.hosts, PATIENCE):
            yield Line(NOTE, f"backend {name}", f"from this machine, {why}")
        return
    words = one_line(last(done.stderr.strip() or done.stdout))
    yield Line(
        NOTE,
        f"backend {name}",
        f"fails inside the sandbox, with status {done.returncode}: {words}{_lacks(backend, made.policy)}",
    )


def _lacks(backend: "Backend", policy: "Policy") -> str:
    """What its program runs, outside, that is not granted; how to grant it. Nothing where that cannot be told."""
    from anvilsrv.programs.executed import executed

    path = outside.which(backend.program or "")
    ran = executed([path, *backend.version_args], PATIENCE) if path is not None else None
    missing = [one for one in ran or [] if "x" not in policy.rights(os.path.realpath(one))]
    if not missing:
        return ""
    tops = sorted({_around(os.path.realpath(one)) for one in missing})
    return (
        f"; {path} runs {' and '.join(missing)}, which no layer grants: put 'filesystem: {{rox: [{', '.join(tops)}]}}' into "
        f"{paths.config_dir() / 'global.yaml'}, or the directory of the program itself first into the daemon's PATH"
    )


def _around(path: str) -> str:
    """What is to be granted for a program: what it was installed with where that is a directory of its own, else the file alone."""
    packages = [one for one in Path(path).parents if one.name == "node_modules"]
    top = packages[-1] if packages else Path(path).parent.parent if Path(path).parent.name == "bin" else Path(path)
    shared = (Path.home(), Path.home() / ".local", Path("/"), Path("/usr"), Path("/usr/local"), Path("/opt"))
    return path if top in shared else str(top)


def hooks() -> Iterator[Line]:
    """That the hook program runs as an agent starts it: isolated, by path, and that it need not be compiled each time."""
    from importlib.util import cache_from_source

    here = Path(__file__).parent.parent
    hook = here / "inside/hook.py"
    env = {name: value for name, value in os.environ.items() if name not in ("ANVILLM_SESSION", "NAMESPACE")}
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(hook), "Stop"], env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Line(DO, "hooks", f"the hook program does not run: {error}")
        return
    if done.returncode or done.stderr:
        yield Line(DO, "hooks", f"the hook program fails: {last(done.stderr)}")
    elif not Path(cache_from_source(str(here / "p9/client.py"))).exists():
        yield Line(NOTE, "hooks", f"start slower than they need: {sys.executable} -m compileall -q {here}")
    else:
        yield Line(OK, "hooks", f"{hook} runs")


def plan9port() -> Iterator[Line]:
    """Its 9p and acme; anvil9p does without."""
    if shutil.which("9p") is None:
        yield Line(NOTE, "plan9port", "no 9p in PATH: anvil9p does the same; acme needs plan9port")
        return
    yield Line(OK, "plan9port", f"{shutil.which('9p')}, PLAN9={os.environ.get('PLAN9') or '(not set)'}")
    place = Path(paths.namespace())
    rules = [Path.home() / "lib/plumbing"]
    if (place / "plumb").exists() and not any(
        "anvil" in one.read_text(errors="replace") for one in rules if one.is_file()
    ):
        plumbing = paths.share() / "acme/anvil.plumbing"
        yield Line(NOTE, "plumber", f"does not know anvil: put 'include {plumbing}' first in {rules[0]}")


def emacs() -> Iterator[Line]:
    """That it is new enough, and where the package is."""
    said = version("emacs", "--version")
    if said is None:
        yield Line(NOTE, "Emacs", f"not here{packages('emacs')}")
    elif numbers(said) < EMACS:
        yield Line(NOTE, "Emacs", f"{said} is too old for the package: {'.'.join(map(str, EMACS))} or newer")
    else:
        yield Line(OK, "Emacs", f"{said}; the package is in {paths.share() / 'emacs'}")


def terminal() -> Iterator[Line]:
    """What `Attach` opens."""
    wanted = os.environ.get("ANVILLM_TERMINAL", "").split()
    if wanted:
        there = shutil.which(wanted[0])
        yield (
            Line(OK, "terminal", there)
            if there
            else Line(DO, "terminal", f"ANVILLM_TERMINAL: no program '{wanted[0]}'")
        )
        return
    found = next((one for one in TERMINALS if shutil.which(one)), None)
    if found is None:
        yield Line(NOTE, "terminal", "none found: set ANVILLM_TERMINAL, or attach by what <id>/tmux says")
    else:
        yield Line(OK, "terminal", found)


LOOKS: tuple[Callable[[], Iterator[Line]], ...] = (
    program, namespace, daemon, state, configuration, tmux, sandbox, backends, hooks, plan9port, emacs, terminal,
)  # fmt: skip


def version(name: str, *argv: str) -> str | None:
    """The first line that a program says of itself; None if it is not here or says nothing."""
    path = outside.which(name)
    if path is None:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="anvil-doctor-") as home:  # some make files in their first second
            done = subprocess.run(
                [path, *argv], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
                env=os.environ | {"HOME": home},
            )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter(done.stdout.strip().splitlines()), None)


def numbers(said: str) -> tuple[int, ...]:
    """The first dotted number in a text: ``tmux 3.3a`` gives (3, 3)."""
    import re

    found = re.search(r"\d+(?:\.\d+)*", said)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def packages(name: str) -> str:
    """How to install a package here, in brackets; nothing on a system we do not know."""
    ways = {"apt-get": "apt-get install", "dnf": "dnf install", "pacman": "pacman -S"}
    return next((f" ({words} {name})" for tool, words in ways.items() if shutil.which(tool)), "")


def last(output: bytes) -> str:
    """The last line of a program's words."""
    return next(iter(output.decode(errors="replace").strip().splitlines()[-1:]), "it said nothing")
