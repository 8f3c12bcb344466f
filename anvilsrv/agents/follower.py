"""What every part that acts on running agents is: it follows the rows.

After each commit a follower gets the views of each session that was touched, before and after. It compares what the rows want with
what it does and makes up the difference, on its own thread. A daemon that starts gives it ``follow(None, view)`` for every session:
to adopt an agent that outlived a daemon is the same as to begin with one. Following twice is the same as once.
"""

from typing import Protocol

from anvilsrv.sessions.state import View


class Follower(Protocol):
    """One part that acts on agents."""

    def follow(self, before: View | None, after: View | None) -> None:
        """Follow a session that was touched; None where it was not there yet, or is no longer. Called on the store's
        thread: must not block.
        """

    def close(self) -> None:
        """Stop acting and join what was started; agents live on."""
