"""Who may do what: the letters of a row, and how a caller is related to the session that a file belongs to.

    U  the user                    O  the session itself
    A  any other session           S  a session whose role grants ``spawn``
    C  a session that controls it: it spawned it, directly or through others, and its role grants ``control``
    *  everybody alike; such a file is shown as r--r--r--, any other only with the owner's bits

A file that belongs to no session knows U, A and S. Which socket was connected to is the identity, and nothing else is.

Pure functions; any thread.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from anvilsrv.allowance import Allowance
from anvilsrv.store.events import EVERYBODY, Sees
from anvilsrv.words import USER

Descends = Callable[[str, str], bool]  # whether the first session was spawned by the second, directly or through others


@dataclass(frozen=True)
class Who:
    """An identity: which socket was connected to. ``session`` is None for the user, who has no bounds."""

    session: str | None = None
    spawn: bool = False
    control: bool = False
    family: str = ""  # of the session: what is bounded is bounded for all that belong to it
    allowance: Allowance = field(default_factory=lambda: Allowance(bounded=False), compare=False, repr=False)

    @property
    def by(self) -> str:
        """Whose turn its jobs are; empty: the user's."""
        return self.family or self.session or ""

    @property
    def name(self) -> str:
        """Its name in ``from`` and ``assignee``."""
        return self.session or USER


def letters(who: Who, session: str, descends: Descends) -> str:
    """Return what ``who`` is to a file of ``session``, as letters ("": nothing)."""
    if who.session is None:
        return "U"
    if not session:
        return "AS" if who.spawn else "A"
    if who.session == session:
        return "O"
    return "C" if who.control and descends(session, who.session) else "A"


def allowed(row: str, caller: str) -> bool:
    """Return whether the letters of a row include one of the caller's."""
    return "*" in row or any(letter in row for letter in caller)


@cache
def bits(read: str, write: str, caller: str) -> int:
    """Return the permission bits that the caller has on a file with these letters."""
    readable = 0o444 if "*" in read else 0o400 if allowed(read, caller) else 0
    return readable | (0o200 if allowed(write, caller) else 0)


def concerns(who: Who, session: str, descends: Descends) -> bool:
    """Return whether what happens to ``session`` is shown to ``who``: its own, and what it spawned."""
    return who.session is None or who.session == session or descends(session, who.session)


def sees(who: Who, descends: Descends) -> Sees | None:
    """Return the filter of events for ``who``; None: sees all."""
    if who.session is None:
        return None
    return lambda sessions: EVERYBODY in sessions or any(concerns(who, one, descends) for one in sessions)
