"""What is said to the person: one line for a while, the same words once with their number, and how many others came meanwhile."""

from tui.text import one_line

LASTS = 8.0  # s


class Saying:
    """What was said last, while it is new. On the loop."""

    def __init__(self) -> None:
        self._said: list[tuple[str, bool, int, float]] = []  # words, whether an error, how often, when last

    def add(self, text: str, error: bool, now: float) -> None:
        """Add something to be said."""
        self.forget(now)
        words = one_line(text)
        before = next((one for one in self._said if one[:2] == (words, error)), None)
        if before is not None:
            self._said.remove(before)
        self._said.append((words, error, (before[2] if before else 0) + 1, now))

    def forget(self, now: float) -> None:
        """Forget what is not new any more: it is not said again."""
        self._said = [one for one in self._said if now - one[3] < LASTS]

    @property
    def line(self) -> tuple[str, bool]:
        """The words for the line, and whether they tell an error. Errors come before news."""
        if not self._said:
            return "", False
        words, error, count, _ = max(self._said, key=lambda one: (one[1], one[3]))
        more = [f"{count} times"] if count > 1 else []
        more += [f"{len(self._said) - 1} more"] if self._said[1:] else []
        return (f"({', '.join(more)}) {words}" if more else words), error
