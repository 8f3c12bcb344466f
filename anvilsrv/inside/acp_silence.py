"""How long the agent has told nothing in a turn: said after 10 s, and then ever more seldom. A service that is asked again is silent
for half a minute with most agents, so nothing else is done about it. Pure.

Threads: that of the front.
"""

from collections.abc import Callable

STEPS = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)  # s after which it is said; then each hour
HOUR = 3600.0
NEVER = float("inf")


class Silence:
    """``say`` gets the seconds; 0: something has come since they were said. Times are monotonic, in s."""

    def __init__(self, say: Callable[[float], None]) -> None:
        self._say = say
        self._since = NEVER  # outside of turns
        self._said = 0  # how often
        self._asks = False

    def begin(self, now: float) -> None:
        """Begin a turn."""
        self._since, self._said = now, 0

    def end(self) -> None:
        """End it; what it did is said no longer."""
        self._since, self._said = NEVER, 0

    def heard(self, now: float) -> None:
        """Note that the agent reports something."""
        if self._since == NEVER:
            return
        if self._said:
            self._say(0.0)
        self._since, self._said = now, 0

    def asks(self, waits: bool, now: float) -> None:
        """Record whether it waits for an answer of the user, and not we for it."""
        if self._asks and not waits:
            self.heard(now)
        self._asks = waits

    @property
    def deadline(self) -> float:
        """When ``tick`` is due."""
        return NEVER if self._asks else self._since + self._step

    @property
    def _step(self) -> float:
        return STEPS[self._said] if self._said < len(STEPS) else HOUR * (self._said - len(STEPS) + 1)

    def tick(self, now: float) -> None:
        """Say it, if it is time."""
        if now >= self.deadline:
            while now >= self.deadline:
                step, self._said = self._step, self._said + 1
            self._say(step)
