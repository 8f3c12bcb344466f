"""What is asked of the world around the store when reports come: who listens, a session's own directory, a look at its screen.

These are shapes alone; who fits them is below ``agents``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from anvilsrv.sessions.happened import Seen

Line = dict[str, Any]


class Listener:
    """Who hears what reports tell besides (agents/activity.py); this one does not."""

    def heard(self, session: str, hook: str, payload: Mapping[str, Any]) -> None:
        """Note that a hook has reported something."""

    def catch_up(self, session: str) -> None:
        """Wait until what was told so far in a turn that is about to end is recorded."""


class Kept(Protocol):
    """What a session has in its own directory (agents/spool.py and agents/transcript.py)."""

    def spooled(self, session: str) -> list[tuple[object, dict[str, Any]]]:
        """Return the reports that hooks left while no daemon answered, oldest first, each with its place."""

    def take(self, place: object) -> None:
        """Remove that report, which is on disk elsewhere now."""

    def lines(self, session: str, transcript: str) -> Iterator[Line]:
        """Yield every line of a transcript from its beginning. Raises AnvilError."""

    def text(self, session: str, path: str, most: int) -> str:
        """Return a text in its directory, at most that many bytes of it. Raises AnvilError."""


class Eyes(Protocol):
    """Looks for what decides about a prompt on its way (agents/evidence.py). Not in a job."""

    def seen(self, session: str) -> Seen: ...
