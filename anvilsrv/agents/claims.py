"""The tasks for which sessions were made (``bead=``): claimed with the session, completed by a merge, given back when it is killed.

Beads have a database of their own, so what a daemon that died had not done there is done at the next start, from the rows.

Threads: ``prompt``, ``claim`` and ``merged`` are called on 9P workers, ``follow`` on the store's; a task is given back on a thread of
its own (``following.py``). ``_held`` is replaced, never changed, by jobs. ``close`` joins the threads.
"""

from collections.abc import Callable

from anvilsrv.agents.eye import Until
from anvilsrv.agents.following import Following
from anvilsrv.beads.beads import Beads
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError, Conflict, NotFound
from anvilsrv.sessions import claims, worktrees
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Need, Store, Tx


class Claims:
    """Those of all sessions. A follower."""

    def __init__(
        self, store: Store, registry: Registry, beads: Beads, on_error: Callable[[BaseException], None]
    ) -> None:
        self._store = store
        self._registry = registry
        self._beads = beads
        self._on_error = on_error
        self._held: dict[str, str] = {}
        self._following = Following[str]("claims", self._run)

    # -- claimed -----------------------------------------------------------------------------------------------------------

    def prompt(self, bead: str) -> str:
        """Return the first prompt of a session that is to do that task. Raises NotFound, and Conflict if it cannot be
        claimed.
        """
        found = self._beads.get(bead)
        if found is None:
            raise NotFound(f"no such bead '{one_line(bead)[:80]}'")
        if found["status"] != "open":
            raise Conflict(f"'{bead}' is not open: {found['status']}")
        return f"{found['title']}\n\n{found.get('description', '')}".strip()

    def add(self, tx: Tx, session: str, bead: str) -> None:
        """Record that this session is made for the task."""
        claims.add(tx, session, bead)
        self._held = {**self._held, session: bead}

    def claim(self, session: str, bead: str) -> None:
        """Claim it. Raises AnvilError."""
        self._beads.command(["claim", bead], session, user=False)

    # -- done, or given back -----------------------------------------------------------------------------------------------

    def merged(self, session: str) -> str:
        """Complete the task of a session whose work is merged. Returns what that came to, in words; empty for a session
        without one.
        """
        bead = self._held.get(session)
        if bead is None:
            return ""
        try:
            if not self._has(session, bead):
                return ""
            self._beads.command(["complete", bead, "merged"], session, user=True)
        except AnvilError as error:
            return f"{bead} is not completed: {error}"
        return f"{bead} is completed"

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if after is None and before is not None and (bead := self._held.get(before.id)) is not None:
            self._held = {session: one for session, one in self._held.items() if session != before.id}
            self._following.want(before.id, bead)

    def close(self) -> None:
        """Join the threads."""
        self._following.close()

    def sweep(self) -> None:
        """Do what a daemon that died had left to do. Once, at start."""
        self._held = held = self._store.call(claims.every)
        done = {one.session for one in self._store.call(worktrees.every) if one.merged}
        for session, bead in held.items():
            try:
                if session not in self._registry.views:
                    self._following.want(session, bead)
                elif session in done:
                    self.merged(session)
                elif (found := self._beads.get(bead)) is not None and found["status"] == "open":
                    self.claim(session, bead)
            except AnvilError as error:
                self._on_error(error)

    def _has(self, session: str, bead: str) -> bool:
        found = self._beads.get(bead)
        return found is not None and found["status"] == "in_progress" and found.get("assignee") == session

    def _run(self, session: str, bead: str, until: Until) -> None:
        """Give back the task of a session that is gone. What was completed by it or by others stays as it is."""
        try:
            if self._has(session, bead):
                self._beads.command(["unclaim", bead], session, user=False)
            self._store.call(lambda tx: claims.forget(tx, session), need=Need.OWN)
        except AnvilError as error:  # the next daemon tries again
            self._on_error(error)
        self._following.want(session, None)
