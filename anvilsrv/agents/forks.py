"""``fork``: a session that goes on with the conversation of another, in the same directory or on a branch that begins as it is there.

What the agent keeps is copied to ``fork-<id>`` before there is a session of that id; its first start puts it in its place.

Threads: called on 9P workers, ``sweep`` at the start.
"""

import json
import os
from typing import NamedTuple

from anvilsrv.agents.branches import Branches, Wanted
from anvilsrv.agents.directories import Directories
from anvilsrv.agents.landing import Landing
from anvilsrv.agents.plans import Plans
from anvilsrv.agents.spawn import Spawn
from anvilsrv.backends.registry import Backends
from anvilsrv.errors import Conflict, Invalid, NotPermitted
from anvilsrv.linux import beneath, duplicate
from anvilsrv.sessions import session_rows
from anvilsrv.sessions.new import parse_new
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Tx
from sandbox.git_branch import Branch

USAGE = "fork [alias=N] [branch=B]"
MOST = 2 << 30  # bytes of what an agent keeps


class Asked(NamedTuple):
    """The words of the command."""

    alias: str
    branch: str


def parse(words: list[str]) -> Asked:
    """Parse the words after ``fork``. Raises Invalid."""
    found = dict.fromkeys(Asked._fields, "")
    for word in words:
        name, equals, value = word.partition("=")
        if name not in found or not equals or not value:
            raise Invalid(f"fork: unknown argument '{word[:80]}': {USAGE}")
        found[name] = value
    return Asked(**found)


class Forks:
    """Makes them."""

    def __init__(
        self, registry: Registry, backends: Backends, directories: Directories, plans: Plans, landing: Landing, spawn: Spawn,
        branches: Branches,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._backends = backends
        self._directories = directories
        self._plans = plans
        self._landing = landing
        self._spawn = spawn
        self._branches = branches

    def fork(self, session: str, words: list[str]) -> str:
        """Make one of that session; its id. Raises AnvilError."""
        asked, view = parse(words), self._registry.get(session)
        backend = self._backends.get(view.backend)
        if backend.fork is None:
            raise NotPermitted(f"backend '{backend.name}' cannot fork a conversation")
        if not self._directories.can_resume(view):
            raise NotPermitted(f"session '{view.id}' has no conversation yet: 'new' makes another")
        if view.in_turn or view.on_its_way:
            raise Conflict(f"busy: session '{view.id}' is in a turn; try again when it is over")
        if not asked.branch:
            return self._made(view, asked, view.cwd, None)
        own = self._branches.of(view.id)
        on = own.on if own is not None else None
        at = view.cwd if on is None else os.path.normpath(os.path.join(on.top, os.path.relpath(view.cwd, on.path)))
        if on is not None:
            self._landing.settle(view.id)
        wanted = Wanted(
            view.backend, view.role, list(view.tasks), asked.branch, on.branch if on is not None else "", True,
            on.path if on is not None else "",
        )  # fmt: skip
        elsewhere = self._plans.make(view.backend, view.role, view.tasks, view.cwd).policy.worktrees
        return self._branches.make(at, wanted, elsewhere, lambda branch, inner: self._made(view, asked, inner, branch))

    def _made(self, view: View, asked: Asked, cwd: str, branch: Branch | None) -> str:
        new = os.urandom(4).hex()
        staged = self._directories.staged(new)
        backend = self._backends.get(view.backend)
        like = parse_new([view.backend, cwd]) | {
            "role": view.role, "tasks": list(view.tasks), "alias": asked.alias, "chosen": dict(view.chosen),
            "words": list(view.command), "id": new,
        }  # fmt: skip

        def more(tx: Tx, made: str) -> None:
            limits, forked = json.dumps(dict(view.limits)), view.conversation
            session_rows.put(tx, made, forked=forked, limits=limits, context=view.context)

        try:
            duplicate.copy(
                self._directories.data(view.id), staged, lambda path: backend.kept(path, view.cwd, cwd), MOST
            )  # fmt: skip
            return self._spawn.made(view.backend, cwd, like, None, branch, more)
        except BaseException:
            beneath.remove(staged.parent)
            raise

    def sweep(self) -> None:
        """Remove what a daemon that died left of them. Once, at start."""
        for name in self._directories.there():
            if name.startswith("fork-") and name.removeprefix("fork-") not in self._registry.views:
                beneath.remove(self._directories.of(name))
