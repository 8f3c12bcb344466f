"""What an agent shows in its terminal, as its file describes it: dialogs, titles, the lines of its input. Pure."""

import re
from dataclasses import dataclass

from anvilsrv.backends.typed import bounded

BOXES = re.compile("[─-▟]")


@dataclass(frozen=True)
class Dialog:
    """A question on the screen, and the keys that answer it, at most ``times``.

    It comes up ``at`` the start, in a turn, or stands there after one, seen when a prompt is to be typed. A turn in which it came
    up with a ``reason`` has failed: that is what ``reason`` matches, and when the limit ends is looked for in the whole screen.
    One without ``keys`` is the user's to answer; ``says`` is what it means.
    """

    screen: re.Pattern[str]
    keys: tuple[str, ...]
    times: int = 1
    at: str = "start"
    reason: re.Pattern[str] | None = None
    says: str = ""

    def why(self, text: str) -> str:
        """Return the reason that the screen gives, as a line, without box-drawing characters."""
        found = self.reason.search(bounded(text)) if self.reason is not None else None
        return " ".join(BOXES.sub(" ", found[0]).split()) if found is not None else ""


@dataclass(frozen=True)
class Title:
    """What the terminal's title looks like in a turn, and outside of one."""

    busy: re.Pattern[str] | None
    idle: re.Pattern[str] | None


def found_lines(pattern: re.Pattern[str], text: str) -> str | None:
    """Return the whole lines of the last place that matches; None if there is none."""
    last = max(pattern.finditer(text), key=re.Match.start, default=None)
    if last is None:
        return None
    end = text.find("\n", max(last.start(), last.end() - 1))
    return text[text.rfind("\n", 0, last.start()) + 1 : end if end >= 0 else len(text)]
