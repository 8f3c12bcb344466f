"""What is done to the daemon, and when: a list that follows from the seed and the length of the run."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.chaos.disk import Disk
from tests.conftest import Daemon

HOUR = 3600.0
REFILL = 0.5  # s between looks at what was freed while the disk is to be full


class Accident(NamedTuple):
    """``value``: seconds of a frozen daemon or a full disk, or those by which the clock is moved."""

    at: float
    what: str
    value: float = 0.0

    def __str__(self) -> str:
        return f"{self.at:.1f} s {self.what}" + (f" {self.value:g} s" if self.value else "")


def plan(seconds: float, seed: int) -> list[Accident]:
    """Return a plan: the disk full twice, the clock moved twice, and a kill and a silence every few minutes; all of it
    closer in a short run.
    """
    rng = random.Random(seed)
    full = min(30.0, seconds / 10)
    made = [Accident(seconds * rng.uniform(*when), "full disk", full) for when in ((0.1, 0.3), (0.55, 0.7))]
    made += [Accident(seconds * 0.4, "clock", -HOUR), Accident(seconds * 0.8, "clock", 2 * HOUR)]
    made += [Accident(made[1].at + full / 2, "kill")]
    for _ in range(2 + int(seconds / 150)):
        made.append(Accident(rng.uniform(1.0, seconds), "kill"))
    for _ in range(2 + int(seconds / 240)):
        made.append(Accident(rng.uniform(1.0, seconds), "silence", min(rng.uniform(6.0, 20.0), seconds / 8)))
    return sorted(made)


class Accidents:
    """Does what the plan says. ``told`` hears of each. One thread fills the disk up again while it is to be full."""

    def __init__(self, daemon: Daemon, disk: Disk, offset: Path, told: Callable[[str], None]) -> None:
        self._daemon = daemon
        self._disk = disk
        self._offset = offset
        self._told = told
        self._moved = 0.0
        self._free_at: float | None = None  # monotonic
        self.starts: list[float] = []  # s until a new daemon served

    def run(self, planned: list[Accident], seconds: float) -> None:
        """Run all of them, each as soon as it is due and those before are over."""
        began = time.monotonic()
        for one in [*planned, Accident(seconds, "end")]:
            self._wait(began + one.at)
            self._told(f"{time.monotonic() - began:6.1f} s: {one}")
            self._do(one)
        self._free()

    def _do(self, one: Accident) -> None:
        match one.what:
            case "full disk":
                self._disk.fill()
                self._free_at = time.monotonic() + one.value
            case "clock":
                self._moved += one.value
                with open(self._offset, "r+b", buffering=0) as file:
                    file.write(b"%-31.1f\n" % self._moved)  # in one piece: the daemon reads it all the time
            case "kill":
                self._kill()
            case "silence":
                self._signal(signal.SIGSTOP)
                self._wait(time.monotonic() + one.value)
                self._signal(signal.SIGCONT)

    def _kill(self) -> None:
        if not self._disk.kills:
            self._free()
        self._daemon.kill()
        began = time.monotonic()
        self._daemon.start()
        self.starts.append(time.monotonic() - began)

    def _signal(self, number: signal.Signals) -> None:
        assert self._daemon.process is not None
        os.kill(self._daemon.process.pid, number)

    def _wait(self, until: float) -> None:
        """Wait until that moment; meanwhile the disk stays full for as long as it is to be."""
        while (now := time.monotonic()) < until:
            threading.Event().wait(min(until - now, REFILL if self._free_at else until - now))
            if self._free_at is None:
                continue
            if time.monotonic() < self._free_at:
                self._disk.fill()
            else:
                self._free()

    def _free(self) -> None:
        if self._free_at is not None:
            self._disk.free()
            self._free_at = None
