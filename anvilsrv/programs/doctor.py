"""``anvilsrv doctor``: everything that AnviLLM needs or can use on this machine, tried, one line each.

A line is a verdict, what was looked at, and a sentence, separated by tabs. ``ok``: it is fine. ``note``: something that one
can do without, and what to do to have it. ``do``: something that is needed, and what to do. Nothing is changed, and no
daemon is started. One fault is told once: what cannot be judged because of another finding is not looked at.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from anvilsrv import __version__
from anvilsrv.programs.doctor_layers import backends, configuration
from anvilsrv.programs.doctor_places import beads, daemon, descriptors, home, namespace, state
from anvilsrv.programs.doctor_tools import emacs, git, hooks, plan9port, pty, terminal, tmux
from anvilsrv.programs.finding import DO, NOTE, OK, Line

Look = Callable[[], Iterator[Line]]


def examine(say: Callable[[str], None]) -> int:
    """Say each finding as it is made; 1 if something that is needed is missing, else 0."""
    wrong: set[Look] = set()
    for look, needs in LOOKS:
        missing = [one.__name__ for one in needs if one in wrong]
        if missing:
            say("\t".join(Line(NOTE, look.__name__, f"not looked at, since {missing[0]} is wrong")))
            wrong.add(look)
            continue
        for line in findings(look):
            say("\t".join(line))
            if line.verdict == DO:
                wrong.add(look)
    return int(bool(wrong))


def findings(look: Look) -> Iterator[Line]:
    """Yield the findings of one look; what keeps it from looking is a finding too."""
    try:
        yield from look()
    except Exception as error:  # a doctor that falls over tells nothing
        yield Line(DO, look.__name__, f"cannot be looked at: {error or type(error).__name__}")


def program() -> Iterator[Line]:
    """Check this program, and whether a shell finds it."""
    yield Line(OK, "anvilsrv", f"{__version__} in {sys.prefix}, Python {sys.version.split()[0]}")
    found = shutil.which("anvilsrv")
    if found is None:
        yield Line(NOTE, "PATH", f"no anvilsrv in it: add {Path(sys.prefix) / 'bin'}, or where ./install put the links")
    elif Path(found).resolve().parent != (Path(sys.prefix) / "bin").resolve():
        yield Line(NOTE, "PATH", f"finds another one first: {found}")
    else:
        yield Line(OK, "PATH", f"finds {found}")


def sandbox() -> Iterator[Line]:
    """Check what this kernel provides, by trying."""
    from sandbox import tiers
    from sandbox.errors import SandboxError
    from sandbox.text import TIERS

    try:
        report = tiers.probe()
    except SandboxError as error:
        yield Line(DO, "sandbox", str(error))
        return
    kernel = f"Linux {os.uname().release}, Landlock ABI {report.abi}"
    tier = f"{report.tier}: {TIERS[report.tier].removeprefix(f'{report.tier.upper()}: ')}"
    enough = report.tier in ("full", "ll9")
    yield Line(OK if report.abi else NOTE, "kernel", kernel)
    if enough:
        yield Line(OK, "sandbox", tier)
    else:
        yield Line(DO, "sandbox", "; ".join([tier, *(report.advice or report.reasons)]))
    if report.tier != "full" and report.abi:
        yield from (Line(NOTE, "sandbox", reason) for reason in report.reasons)
        yield from (Line(NOTE, "sandbox", advice) for advice in report.advice if enough)


# Each with those without which it cannot be judged.
LOOKS: tuple[tuple[Look, tuple[Look, ...]], ...] = (
    (program, ()),
    (home, ()),
    (descriptors, ()),
    (namespace, ()),
    (state, (home,)),
    (daemon, (home, namespace, state)),
    (beads, (home,)),
    (configuration, (home,)),
    (tmux, ()),
    (git, ()),
    (pty, ()),
    (sandbox, ()),
    (backends, (home, namespace, state, sandbox)),
    (hooks, ()),
    (plan9port, ()),
    (emacs, ()),
    (terminal, ()),
)
