"""What a sandbox may use of the machine: memory, processor, processes, time. How layers are united, and by what a limit is held.

The highest that any layer names holds, and a default only where none names one. ``None`` is no limit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sandbox.layers import Layer, Origin
from sandbox.limit_values import LEAST, NAMES, written

_DEFAULT_PIDS = 2000
_DEFAULT = Origin("default", "", 0)


class Limit(NamedTuple):
    """One of them, and who said so."""

    value: int | None
    origins: tuple[Origin, ...] = ()

    @property
    def named(self) -> bool:
        """True if a layer asks for it."""
        return any(origin != _DEFAULT for origin in self.origins)


Limits = dict[str, Limit]
Figures = dict[str, int | None]


def machine() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def defaults() -> Limits:
    """Return the default limits: three quarters of the machine's memory, so that one session never takes all of it."""
    memory = max(LEAST["memory"], machine() * 3 // 4 >> 20 << 20)
    return {
        "memory": Limit(memory, (_DEFAULT,)), "cpu": Limit(None), "pids": Limit(_DEFAULT_PIDS, (_DEFAULT,)), "time": Limit(None),
    }  # fmt: skip


def united(found: Sequence[Layer]) -> Limits:
    """Return the limits of all layers."""
    made = defaults()
    for name in NAMES:
        said = [layer.limits[name] for layer in found if name in layer.limits]
        if said:
            values = [one.value for one in said]
            most = None if None in values else max(values)
            made[name] = Limit(most, tuple(one.origin for one in said if one.value == most))
    return made


def figures(limits: Limits) -> Figures:
    """Return only the values."""
    return {name: limit.value for name, limit in limits.items()}


def within(limits: Limits, most: Mapping[str, int | None], whose: Origin) -> Limits:
    """Return limits that are no more of anything than ``most``, which is ``whose``."""
    made = dict(limits)
    for name, bound in most.items():
        value = limits[name].value
        if bound is not None and (value is None or value > bound):
            made[name] = Limit(bound, (whose,))
    return made


class Way(NamedTuple):
    """By what limits are held: a control group below ``parent`` (``group``), or below that of a scope of systemd, which the command
    ``prefix`` makes (``scope``), or the limits of each process (``process``). ``mount`` is where control groups are seen."""

    word: str = "process"
    mount: str = ""
    parent: str = ""
    controllers: frozenset[str] = frozenset()
    prefix: tuple[str, ...] = ()

    def holds(self, name: str, limit: Limit, tier: str) -> str:
        """Return by what one of them is held, in words; empty if by nothing. A default for each process alone would
        break what reserves a lot and uses little, as sanitizers do.
        """
        if name in self.controllers:
            return "control group"
        if name == "memory" and limit.named:
            return "each process"
        if name == "pids" and tier == "full" and os.geteuid() != 0:  # root's are not counted
            return "process count"
        return ""


PROCESS = Way()


def specified(limits: Limits, way: Way, tier: str, name: str) -> dict[str, Any]:
    """Return the launcher's part. What is not held by the control group ``name`` each process holds for itself, as far
    as that goes.
    """
    values = figures(limits)
    alone = {name: values[name] or 0 for name in ("memory", "pids") if name not in way.controllers}
    if not limits["memory"].named:
        alone.pop("memory", None)
    if tier != "full":  # where all processes of the user are counted
        alone.pop("pids", None)
    group = {"mount": way.mount, "parent": way.parent, "name": name} if way.controllers else None
    return {**values, "group": group, "process": alone}


def temporary(limits: Limits, in_memory_too: int = 0, kept: str = "") -> str:
    """Return the room of ``/tmp``, as a line of ``sandbox``: in memory, with so many file systems of its kind beside
    it, or in the directory ``kept`` of the host, which nothing bounds.
    """
    if kept:
        where = "in memory, where it counts" if in_memory(kept) else "on disk, not in memory"
        return f"limit\ttmp\tnone ({where})\n"
    size = room(limits, 1 + in_memory_too) >> 20 << 20
    return f"limit\ttmp\t{written('memory', size)} (in memory)\n"


def room(limits: Limits, count: int) -> int:
    """Return the bytes in each of so many file systems in memory: all of them, full, leave half of it to the processes."""
    return (limits["memory"].value or machine()) // 2 // max(1, count)


def in_memory(directory: str) -> bool:
    """Return whether a directory, or the nearest existing one above it, lies in a tmpfs."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    device = os.stat(directory).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        found = [line.partition(" - ")[2].split()[0] for line in file if line.split()[2] == number]
    return "tmpfs" in found


def lines(limits: Limits, way: Way, tier: str, keeper: str = "") -> str:
    """Return them as lines of ``sandbox``; ``keeper`` is who ends the session when its time is over."""
    found = []
    for name, limit in limits.items():
        by = (keeper if name == "time" else way.holds(name, limit, tier)) or "not held here"
        said = written(name, limit.value) + (f" ({by})" if limit.value is not None else "")
        origins = ", ".join(map(str, limit.origins))
        found.append("\t".join(["limit", name, said, *([origins] if origins else [])]) + "\n")
    return "".join(found)
