"""The two clocks: wall time to show, a monotonic one for durations. A parameter wherever time matters, so that tests set it."""

import time
from typing import NamedTuple


class Clock:
    """The machine's clocks; a test passes a subclass."""

    def wall(self) -> float:
        """Return the seconds since the epoch; the clock may be set, also back."""
        return time.time()

    def monotonic(self) -> float:
        """Return the seconds since some point of this boot (CLOCK_MONOTONIC)."""
        return time.monotonic()


class Now(NamedTuple):
    """One moment on both clocks, in seconds."""

    wall: float
    monotonic: float

    @classmethod
    def of(cls, clock: Clock) -> "Now":
        return cls(clock.wall(), clock.monotonic())
