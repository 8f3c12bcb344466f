"""A session that another spawned gets at most what that one has: looked at when it is asked for, and again at each of its starts.

Kept in the session's directory, out of the agent's sight: ``rights.json``, what its last start gave; and ``bound.json``, what the one
that spawned it had when it was last seen, which holds once that one is gone.

Threads: none of its own; each session's files are written by the thread that starts its agent.
"""

import json
from collections.abc import Callable
from pathlib import Path

from anvilsrv.errors import Denied
from anvilsrv.linux.replace import write
from anvilsrv.sessions.state import View
from sandbox.limit_values import NAMES
from sandbox.rights import Rights, exceeds

SPEC = "sandbox.json"
RIGHTS, BOUND = "rights.json", "bound.json"


class Bounds:
    """Of all sessions; ``directory`` tells each one's own."""

    def __init__(self, directory: Callable[[str], Path]) -> None:
        self._directory = directory

    def of(self, session: str, name: str = RIGHTS) -> Rights | None:
        """Return what a session had at its last start; None if that is not known."""
        try:
            found: Rights = json.loads((self._directory(session) / name).read_text())
        except (OSError, ValueError):
            return None
        return found

    def limits(self, session: str, parent: str | None) -> dict[str, int | None]:
        """Return what the session that spawned this one may use, or could when it was last seen; nothing is known of
        one of an old version.
        """
        bound = (self.of(parent) or self.of(session, BOUND)) if parent else None
        found = bound["spec"].get("limits") if bound is not None else None
        return {name: found.get(name) for name in NAMES} if found else {}

    def start(self, view: View, wanted: Rights) -> None:
        """Keep what a start gives. Raises Denied if that is more than the session has, or last had, that spawned this one."""
        top = self._directory(view.id)
        if view.parent:
            bound = self.of(view.parent) or self.of(view.id, BOUND) or self._before(view.id, wanted)
            refuse_more(wanted, bound)
            write(top / BOUND, json.dumps(bound))
        write(top / RIGHTS, json.dumps(wanted))

    def _before(self, session: str, wanted: Rights) -> Rights:
        """Return the rights for a session of a version that stored none: what it had itself. Raises Denied."""
        try:
            return Rights({**wanted, "spec": json.loads((self._directory(session) / "run" / SPEC).read_text())})
        except (OSError, ValueError):
            raise Denied("permission denied: the session that spawned it is gone, so its rights are unknown") from None


def refuse_more(wanted: Rights, bound: Rights) -> None:
    """Raise Denied if ``wanted`` gives what ``bound`` does not."""
    more = exceeds(wanted, bound)
    if more:
        raise Denied(f"permission denied: policy exceeds the spawning session's: {'; '.join(more[:3])}")
