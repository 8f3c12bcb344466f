"""What a session is doing, in one line, made of what is told of it: ``doing`` in ``sessions``. Pure."""

from collections.abc import Mapping
from typing import Any

MODEL = "waiting for the model"
ANSWERING = "answering"
ASKING = "waiting for you"
SILENT = ", nothing for "  # and how long
OPEN = 100  # tools that may be open at a time; the oldest are forgotten


class Doing:
    """Of one session. What was begun last, and has not ended, is what it does."""

    def __init__(self) -> None:
        self._tools: dict[str, str] = {}
        self._asks: dict[str, None] = {}
        self._words = ""
        self._silent = ""

    @property
    def words(self) -> str:
        """What it does, and for how long nothing came of that."""
        return ASKING if self._asks else self._words + self._silent

    def silent(self, seconds: float, before: str) -> None:
        """Record that it has reported nothing for that long; 0: it does again. ``before``: what it did, if that was not
        reported to us.
        """
        self._words = self._words or before.partition(SILENT)[0] or MODEL
        self._silent = f"{SILENT}{lasted(seconds)}" if seconds else ""

    def hear(self, made: Mapping[str, Any]) -> None:
        """Take an object of activity."""
        kind, ident = made["kind"], str(made.get("id", ""))
        self._silent = ""
        if kind == "end":
            self._tools.clear()
            self._asks.clear()
            self._words = ""
        elif kind == "ask":
            self._asks[ident] = None
            while len(self._asks) > OPEN:
                del self._asks[next(iter(self._asks))]
        elif kind == "decision":
            self._asks.pop(ident, None)
        elif kind == "tool" and made.get("background"):
            self._tools.pop(ident, None)
            self._words = next(reversed(self._tools.values()), MODEL)
        elif kind == "tool":
            self._tools[ident] = tool(made)
            while len(self._tools) > OPEN:
                del self._tools[next(iter(self._tools))]
            self._words = self._tools[ident]
        elif kind == "output" and "end" in made:
            self._tools.pop(ident, None)
            self._words = next(reversed(self._tools.values()), MODEL)
        elif not made.get("parent"):
            self._words = said(made, self._words)


def lasted(seconds: float) -> str:
    """Return a time in words: ``30 s``, ``5 min``, ``2 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.0f} h"


def tool(made: Mapping[str, Any]) -> str:
    """Return a tool in words: ``Bash: make check``."""
    name, title = made.get("name", ""), made.get("title", "")
    return f"{name}: {title}" if title and title != name else str(name)


def said(made: Mapping[str, Any], before: str) -> str:
    """Return what it does after this was reported of it."""
    match made["kind"]:
        case "prompt":
            return MODEL
        case "text" if "part" in made or "grows" in made:
            return ANSWERING
        case "thinking":
            return "thinking" if made.get("on") else MODEL
        case "retry":
            return retrying(made)
        case "compact":
            return "shortening the conversation" if made.get("state") == "begun" else MODEL
    return before


def retrying(made: Mapping[str, Any]) -> str:
    """Return ``retrying 7 of 10: overloaded``, as much of it as is known."""
    many = f" {made['attempt']}" if made.get("attempt") is not None else ""
    most = f" of {made['of']}" if many and made.get("of") is not None else ""
    why = made.get("reason") or made.get("status")
    return f"retrying{many}{most}" + (f": {why}" if why else "")
