"""How often the errors of one session are told: an agent that makes mistakes without end fills neither the log nor the list of events.

Threads: used on the store's thread.
"""

AT_ONCE = 20
EVERY = 1.0  # s for each that comes after them


class Errors:
    """Of all sessions, since the start of the daemon."""

    def __init__(self) -> None:
        self._told: dict[
            str, tuple[float, float, int]
        ] = {}  # how many may be told, since when (s), how many were left out

    def left_out(self, session: str, now: float) -> int | None:
        """Count an error. Returns how many before it were left out; None: this one is, too."""
        may, since, left_out = self._told.get(session, (AT_ONCE, now, 0))
        may = min(AT_ONCE, may + (now - since) / EVERY)
        if may < 1:
            self._told[session] = may, now, left_out + 1
            return None
        self._told[session] = may - 1, now, 0
        return left_out

    def forget(self, session: str) -> None:
        """Forget one that is gone."""
        self._told.pop(session, None)
