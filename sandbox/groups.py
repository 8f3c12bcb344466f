"""The launcher's part of the limits: the control group (cgroup v2) of the agent, and the limits that each process holds for itself.

The keeper stays outside of the group: it sees when the kernel ended everything inside since the memory was used up, and says so.
"""

from __future__ import annotations

import os
import resource

from sandbox.errors import SandboxRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

CONTROLLERS = ("memory", "cpu", "pids")
PERIOD = 100_000  # µs, of cpu.max
_KEEPER = "keeper"


def size(value: int) -> str:
    """Return bytes as a person writes them: the largest unit that gives a whole number."""
    for unit, shift in (("T", 40), ("G", 30), ("M", 20), ("K", 10)):
        if value and value % (1 << shift) == 0:
            return f"{value >> shift}{unit}"
    return str(value)


def settings(values: Mapping[str, int | None]) -> list[tuple[str, str]]:
    """Return the files of a group and what is written to each; None is no limit. Swap is none, or memory would not be
    what it says.
    """
    found = []
    for name, value in values.items():
        if name == "memory":
            found += [("memory.oom.group", "1"), ("memory.swap.max", "max" if value is None else "0")]
            found.append(("memory.max", "max" if value is None else str(value)))
        elif name == "cpu":
            found.append(("cpu.max", f"max {PERIOD}" if value is None else f"{value * PERIOD // 100} {PERIOD}"))
        elif name == "pids":
            found.append(("pids.max", "max" if value is None else str(value)))
    return found


def write(path: str, text: str) -> None:
    """Write to a file of a control group, unbuffered: a buffer would hide what the kernel says."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read(path: str) -> str:
    """Read a file of a control group."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16).decode()
    finally:
        os.close(fd)


def put(top: str, values: Mapping[str, int | None]) -> None:
    """Limit a group. What its controllers do not know is left out: swap, where the kernel has none. Raises OSError."""
    for name, text in settings(values):
        path = f"{top}/{name}"
        if os.path.exists(path):
            write(path, text)


def own(mount: str) -> str:
    """Return the group in which this process is. Raises OSError."""
    for line in read("/proc/self/cgroup").splitlines():
        if line.startswith("0::"):
            return mount + line[3:].rstrip("/")
    raise OSError(2, "no control group", "/proc/self/cgroup")


def enable(top: str) -> list[str]:
    """Have the controllers in the groups below; those that are there. Raises OSError."""
    there = read(f"{top}/cgroup.controllers").split()
    for name in CONTROLLERS:
        if name in there:
            write(f"{top}/cgroup.subtree_control", f"+{name}")
    return [name for name in CONTROLLERS if name in read(f"{top}/cgroup.subtree_control").split()]


def kills(top: str) -> int:
    """Return how many processes of a group the kernel ended for want of memory; 0 if they are not counted."""
    try:
        lines = read(f"{top}/memory.events").splitlines()
    except OSError:
        return 0
    return next((int(line[9:]) for line in lines if line.startswith("oom_kill ")), 0)


def reason(top: str, before: int = 0) -> str:
    """Return why the kernel ended what was in a group, if that was the memory; ``before`` were ended earlier."""
    if kills(top) <= before:
        return ""
    most = read(f"{top}/memory.max").strip()
    return (
        f"out of memory: its limit of {size(int(most))} was reached"
        if most.isdigit()
        else "the machine is out of memory"
    )


class Group:
    """The group of one launch, made before anything of the sandbox."""

    def __init__(self, limits: Mapping[str, Any] | None) -> None:
        self.path, self._procs, self._before = "", -1, 0
        self.limits = limits or {}
        if self.limits.get("group"):
            try:
                self._make(self.limits["group"])
            except OSError as error:
                raise SandboxRefused(
                    f"no control group for the limits: {error.filename or ''} {error.strerror}"
                ) from None

    def _make(self, wanted: Mapping[str, str]) -> None:
        parent = wanted["parent"]
        if not parent:  # of a scope that is ours: no process may stay where groups are limited
            parent = own(wanted["mount"])
            os.makedirs(f"{parent}/{_KEEPER}", exist_ok=True)
            write(f"{parent}/{_KEEPER}/cgroup.procs", "0")
            enable(parent)
        self.path = f"{parent}/{wanted['name']}"
        os.makedirs(self.path, exist_ok=True)
        put(self.path, {name: self.limits[name] for name in CONTROLLERS})
        self._procs = os.open(f"{self.path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        self._before = kills(self.path)

    def enter(self) -> None:
        """Enter a group, with all that this process starts."""
        if self._procs >= 0:
            try:
                os.write(self._procs, b"0")
            except OSError as error:
                raise SandboxRefused(f"{self.path}: {error.strerror}; nothing was started") from None
            os.close(self._procs)

    def end(self) -> str:
        """End the group, by the keeper, when nothing is left inside. Returns why the kernel ended it, if that was the
        memory.
        """
        if not self.path:
            return ""
        said = reason(self.path, self._before)
        try:
            os.rmdir(self.path)
        except OSError:  # someone else of the session is in it
            pass
        return said

    def alone(self) -> None:
        """Set what each process holds for itself, by the agent, before its exec."""
        kinds = {"memory": resource.RLIMIT_DATA, "pids": resource.RLIMIT_NPROC}
        for name, value in self.limits.get("process", {}).items():
            if value:
                hard = resource.getrlimit(kinds[name])[1]
                most = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(kinds[name], (most, most))
