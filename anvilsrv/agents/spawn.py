"""``new``: from the words of the command to a session that listens.

Threads: runs on a 9P worker.
"""

import logging
import os
import shlex
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from anvilsrv.agents.branches import Branches, Wanted
from anvilsrv.agents.claims import Claims
from anvilsrv.agents.plans import Plans
from anvilsrv.agents.sockets import Sockets
from anvilsrv.allowance import BOUNDS
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.desk.life import Life
from anvilsrv.errors import AnvilError, Denied, Invalid, NotFound, NotPermitted, Unavailable
from anvilsrv.mail.message import as_comment
from anvilsrv.sessions import offers, session_rows, worktrees
from anvilsrv.sessions.new import parse_new
from anvilsrv.sessions.registry import Registry
from anvilsrv.store.store import Store, Tx
from sandbox import outside
from sandbox.errors import SandboxError
from sandbox.git_branch import Branch
from sandbox.pathnames import resolve

log = logging.getLogger("anvilsrv")

First = Callable[[Tx, str, str], None]  # session and its first prompt


class Spawn:
    """Makes sessions."""

    def __init__(
        self, store: Store, registry: Registry, life: Life, backends: Backends, plans: Plans, sockets: Sockets,
        branches: Branches, claims: Claims,
    ) -> None:  # fmt: skip
        self._claims = claims
        self._branches = branches
        self._store = store
        self._registry = registry
        self._life = life
        self._backends = backends
        self._plans = plans
        self._sockets = sockets

    def new(self, words: list[str], parent: str | None, first: First) -> str:
        """Create the session that the words after ``new`` describe, for the user or for session ``parent``. Returns the
        id; ``first`` queues a prompt.

        Raises AnvilError with the reason if it cannot run here, or would get more than its parent has.
        """
        asked = parse_new(words)
        backend = self._backends.get(asked["backend"])
        why = backend.available()
        if why != "ok":
            raise NotPermitted(f"backend '{backend.name}' cannot run here: {why}")
        if not backend.by_message:  # others tell what can be chosen when they run
            for name, value in asked["chosen"].items():
                offers.check(backend.declared_options({}), name, value)
        asked["words"] = what_runs(backend, asked["command"], parent)
        if parent is not None and (asked["branch"] or asked["same"]):
            raise Denied(f"permission denied: only the user may give {'same' if asked['same'] else 'branch'}=")
        if asked["same"]:
            return self._beside(backend.name, asked)
        cwd = self._directory(asked["cwd"])
        if not asked["branch"]:
            return self.made(backend.name, cwd, asked, parent, None)
        return self._on_a_branch(backend.name, cwd, asked, first)

    def _beside(self, backend: str, asked: dict[str, Any]) -> str:
        """Create a session in the sandbox of another, or in that beside which this one works."""
        agent = self._registry.get(asked["same"])
        agent = self._registry.get(agent.beside or agent.id)
        parent = agent.parent if agent.parent in self._registry.views else None
        like = asked | {"role": agent.role, "tasks": list(agent.tasks), "same": agent.id}
        return self.made(backend, agent.cwd, like, parent, None)

    def _on_a_branch(self, backend: str, cwd: str, asked: dict[str, Any], first: First) -> str:
        bead = asked["bead"]
        words = self._claims.prompt(bead) if bead else ""
        if words and self._backends.get(backend).mail == "comment":
            words = as_comment(words)  # any agent may have written it
        elsewhere = self._plans.make(backend, asked["role"], asked["tasks"], cwd).policy.worktrees
        wanted = Wanted(backend, asked["role"], asked["tasks"], asked["branch"], asked["base"], bool(asked["from"]))

        def claim(tx: Tx, made: str) -> None:
            if bead:
                self._claims.add(tx, made, bead)
                first(tx, made, words)

        def create(branch: Branch, at: str) -> str:
            made = self.made(backend, at, asked, None, branch, claim)
            try:
                if bead:
                    self._claims.claim(made, bead)
            except AnvilError:
                self._store.call(lambda tx: self._life.kill(tx, made))
                raise
            return made

        return self._branches.make(cwd, wanted, elsewhere, create)

    def made(
        self, backend: str, cwd: str, asked: dict[str, Any], parent: str | None, branch: Branch | None,
        more: Callable[[Tx, str], None] = lambda tx, made: None,
    ) -> str:  # fmt: skip
        """Create a session as asked for; ``more`` is done in the same job. Raises AnvilError."""
        plan = self._plans.make(backend, asked["role"], asked["tasks"], cwd, parent=parent)
        if parent is not None:
            self._plans.within(plan, self._registry.get(parent))
            self._few(parent)

        def job(tx: Tx) -> str:
            made = self._life.create(
                tx, gaps=plan.gaps, backend=backend, cwd=cwd, role=asked["role"], tasks=asked["tasks"], alias=asked["alias"],
                parent=parent, tier=plan.tier, policy=plan.text, chosen=asked["chosen"], command=asked["words"],
                id=asked.get("id", ""),
            )  # fmt: skip
            if branch is not None:
                worktrees.add(tx, made, asdict(branch))
                session_rows.put(tx, made, branch=branch.branch)
                if plan.policy.setup:
                    self._life.to_set_up(tx, made)
            if asked["same"]:
                agent = session_rows.get(tx, asked["same"])
                session_rows.put(tx, made, beside=agent.id, branch=agent.branch)
            more(tx, made)
            return made

        made = self._store.call(job)
        for gap in plan.gaps:
            log.warning("session %s: sandbox: %s", made, gap)
        self._sockets.settled()
        return made

    def _few(self, parent: str) -> None:
        """Raise Conflict if the sessions that this one started, or those started, are as many as they may be."""
        family = sum(self._registry.descends(one, parent) for one in self._registry.views)
        if family >= BOUNDS["sessions"].most:
            raise BOUNDS["sessions"].refusal()

    def _directory(self, path: str) -> str:
        """Return where an agent can work: ``path`` without links, looked at once, as one that is put there later is
        refused at the launch.

        Raises Invalid, NotFound or Denied.
        """
        if not path.startswith("/"):
            raise Invalid(f"invalid path '{path[:200]}': not absolute")
        if "\n" in path or "\t" in path:
            raise Invalid("invalid path: it cannot contain a tab or a newline")
        if not os.path.isdir(path):
            raise NotFound(f"no such directory '{path[:200]}'")
        if not os.access(path, os.R_OK | os.X_OK):
            raise Denied(f"permission denied: cannot enter '{path[:200]}'")
        try:
            real = resolve(path, self._plans.written.known()).path
        except PermissionError as error:
            raise Denied(
                f"permission denied: an agent may have made the link '{error.filename}': name the directory that is meant"
            ) from None
        except SandboxError as error:
            raise Unavailable(str(error)) from None
        if any("\ud800" <= char <= "\udfff" for char in real):  # as Python writes bytes that are none
            raise Invalid(f"invalid path '{path[:200]}': its real path is not UTF-8")
        return real


def what_runs(backend: Backend, text: str, parent: str | None) -> list[str]:
    """Return the words of ``command=``, with the path of the program, for a backend that takes any; only the user may
    give them.

    Raises Invalid, Denied and NotPermitted.
    """
    if not backend.takes_command:
        if text:
            raise Invalid(f"new: unknown argument 'command=': backend '{backend.name}' has its own command")
        return []
    if parent is not None:
        raise Denied(f"permission denied: only the user may start backend '{backend.name}', which runs any command")
    try:
        words = shlex.split(text)
    except ValueError:
        raise Invalid("new: command: unterminated quote") from None
    if not words:
        raise Invalid(f"new: backend '{backend.name}' needs command=")
    program = outside.which(words[0])
    if program is None:
        raise NotPermitted(f"new: no program '{words[0][:200]}'")
    return [program, *words[1:]]
