"""Notes about a session, as a person reads them. Which there are, and in which order, the daemon says (``notes`` of ``sessions``)."""

from collections.abc import Callable
from typing import Any, NamedTuple

from anvilsrv.front.follow import Row


class Note(NamedTuple):
    """``text`` is a few words, ``why`` what is behind them (maybe nothing); ``loud`` what needs a person."""

    text: str
    why: str = ""
    loud: bool = False

    @property
    def line(self) -> str:
        """The words, and the reason behind them."""
        return f"{self.text}: {self.why}" if self.why else self.text


# the daemon's word -> what is shown of it
SHOWN: dict[str, Callable[[Row], Note]] = {
    "ask": lambda row: Note(asking(row), row["ask"]["text"], loud=True),
    "nosandbox": lambda row: Note("NO SANDBOX", loud=True),
    "weak": lambda row: Note("weak sandbox", "; ".join(row["sandbox_gaps"]), loud=True),
    "held": lambda row: Note("held", row["held"]),
    "error": lambda row: Note("error", row["error"], loud=True),
    "mail": lambda row: Note(f"{row['unread']} mail"),
    "queued": lambda row: Note(f"{row['queued']} queued"),
}


def asks(row: Row) -> list[dict[str, Any]]:
    """Return the open questions of a session, oldest first; an older daemon has at most one."""
    return list(row.get("asks") or filter(None, [row["ask"]]))


def asking(row: Row) -> str:
    """Return in words how many questions wait."""
    count = len(asks(row))
    return f"asks ({count})" if count > 1 else "asks"


def notes(row: Row) -> list[Note]:
    """Return what a list says of the session with that row of ``sessions`` beside its state, the most urgent first."""
    found = [SHOWN[word](row) if word in SHOWN else Note(word) for word in row["notes"]]
    return [*found, Note("new answer")] if row.get("needs") == "done" else found


def label(row: Row) -> str:
    """Return the name by which a person calls a session: its alias, or its id."""
    return str(row["alias"] or row["id"])
