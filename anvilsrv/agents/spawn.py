"""``new``: from the words of the command to a session that listens.

Threads: runs on a 9P worker.
"""

import logging

from anvilsrv.agents.launch import Launch
from anvilsrv.agents.sockets import Sockets
from anvilsrv.backends.registry import Backends
from anvilsrv.desk.life import Life
from anvilsrv.errors import NotPermitted
from anvilsrv.sessions.registry import Registry, check_cwd, parse_new
from anvilsrv.store.store import Store

log = logging.getLogger("anvilsrv")


class Spawn:
    """Makes sessions."""

    def __init__(
        self, store: Store, registry: Registry, life: Life, backends: Backends, launch: Launch, sockets: Sockets
    ) -> None:
        self._store = store
        self._registry = registry
        self._life = life
        self._backends = backends
        self._launch = launch
        self._sockets = sockets

    def new(self, words: list[str], parent: str | None) -> str:
        """``<backend> <cwd> [role=R] [tasks=a,b] [alias=N]``, asked by the user or by session ``parent``. Returns the id.

        Raises AnvilError with the reason if it cannot run here, or would get more than its parent has.
        """
        asked = parse_new(words)
        backend = self._backends.get(asked["backend"])
        why = backend.available()
        if why != "ok":
            raise NotPermitted(f"backend '{backend.name}' cannot run here: {why}")
        cwd = check_cwd(asked["cwd"])
        plan = self._launch.plan(backend.name, asked["role"], asked["tasks"], cwd)
        if parent is not None:
            self._launch.within(plan, self._registry.get(parent))
        made = self._store.call(
            lambda tx: self._life.create(
                tx, gaps=plan.gaps, backend=backend.name, cwd=cwd, role=asked["role"], tasks=asked["tasks"],
                alias=asked["alias"], parent=parent, tier=plan.tier, policy=plan.text,
            )
        )  # fmt: skip
        for gap in plan.gaps:
            log.warning("session %s: sandbox: %s", made, gap)
        self._sockets.settled()
        return made
