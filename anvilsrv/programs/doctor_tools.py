"""What `anvilsrv doctor` says of the programs around AnviLLM: tmux, what hooks need, plan9port, Emacs, terminals.

Threads: the main thread of the command. Nothing is changed.
"""

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from anvilsrv import paths
from anvilsrv.programs.finding import DO, NOTE, OK, PATIENCE, Line, last, numbers, packages, version

TMUX = (3, 2)  # the oldest with what anvilsrv.tmux uses
TRIED = (3, 8)  # the newest with which the tests were run, while it was called next-3.8
EMACS = (28, 1)
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
GIT = (2, 38)  # merges without a work tree


def tmux() -> Iterator[Line]:
    """Check that it is here, and new enough."""
    said, why = version("tmux", "-V")
    tried = " to ".join(".".join(map(str, one)) for one in (TMUX, TRIED))
    if why:
        yield Line(DO, "tmux", f"{why}: install it{packages('tmux')}")
    elif numbers(said) < TMUX and any(c.isdigit() for c in said):
        yield Line(DO, "tmux", f"{said} is too old: {'.'.join(map(str, TMUX))} or newer")
    elif said.startswith("tmux ") and numbers(said) > TRIED and "openbsd" not in said:
        yield Line(
            NOTE, "tmux", f"{said} is newer than those that were tried: {tried}; if prompts are not taken, report it"
        )
    else:
        yield Line(OK, "tmux", f"{said} (tried: {tried})")


def git() -> Iterator[Line]:
    """Check that it is new enough for work trees of sessions, if there is one."""
    said, why = version("git", "--version")
    if why:
        yield Line(
            NOTE, "git", f"{why}: repositories are read-only for agents, and there are no diffs{packages('git')}"
        )
    elif numbers(said) < GIT:
        yield Line(DO, "git", f"{said} is too old: {'.'.join(map(str, GIT))} or newer")
    else:
        yield Line(OK, "git", said)


def pty() -> Iterator[Line]:
    """Check that it can give agents terminals."""
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError as error:
        yield Line(DO, "pty", f"no pseudo-terminal can be opened: {error.strerror} ({_pty_advice(error.errno)})")
    else:
        yield Line(OK, "pty", "pseudo-terminals can be opened")


def _pty_advice(number: int | None) -> str:
    """Return what is to be done about it."""
    if not os.path.exists("/dev/ptmx"):
        return "there is no /dev/ptmx: mount -t devpts devpts /dev/pts, and link /dev/ptmx to pts/ptmx"
    if number == errno.ENOSPC:
        return "all are in use: see /proc/sys/kernel/pty/max"
    if not os.path.ismount("/dev/pts"):
        return "/dev/pts is not mounted: mount -t devpts devpts /dev/pts"
    mode = stat.S_IMODE(os.stat("/dev/ptmx").st_mode)
    return f"/dev/ptmx has mode {mode:04o}, usual is 0666"


def hooks() -> Iterator[Line]:
    """Check that the hook program runs as an agent starts it: isolated, by path, and that it need not be compiled each
    time.
    """
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
    """Check for its 9p and acme; anvil9p does without."""
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
    """Check that it is new enough, and where the package is."""
    said, why = version("emacs", "--version")
    if why:
        yield Line(NOTE, "Emacs", f"{why}: the package for it needs it{packages('emacs')}")
    elif numbers(said) < EMACS:
        yield Line(NOTE, "Emacs", f"{said} is too old for the package: {'.'.join(map(str, EMACS))} or newer")
    else:
        yield Line(OK, "Emacs", f"{said}; the package is in {paths.share() / 'emacs'}")


def terminal() -> Iterator[Line]:
    """Check what `Attach` opens."""
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
