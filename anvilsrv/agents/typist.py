"""The typist: brings prompts into agents' panes.

It follows the rows: a prompt that is on its way has a delivery (``delivery.py``), any other has none.

Threads: one for each delivery (``following.py``). ``close`` ends and joins them all; what was under way is resumed by the next daemon.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.agents.delivery import Delivery
from anvilsrv.agents.evidence import Evidence
from anvilsrv.agents.eye import Until
from anvilsrv.agents.following import Following
from anvilsrv.backends.registry import Backends
from anvilsrv.desk.post import Post
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Store
from anvilsrv.tmux.tmux import Tmux


@dataclass(frozen=True)
class Wanted:
    """A prompt that is to be brought to a process: which, and for the how manyth time."""

    prompt: int
    tries: int
    pid: int
    pane: str


class Typist:
    """Deliveries of all sessions."""

    def __init__(
        self, store: Store, registry: Registry, turns: Turns, post: Post, tmux: Tmux, backends: Backends, evidence: Evidence,
        on_error: Callable[[BaseException], None], first: Callable[[str], None] = lambda session: None,
    ) -> None:  # fmt: skip
        self._parts = (store, registry, turns, post, tmux, backends, evidence, on_error, first)
        self._backends = backends
        self._following = Following[Wanted]("typist", self._run)

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        session = after.id if after is not None else before.id if before is not None else ""
        wanted = None
        if (
            after is not None
            and self._typed(after)
            and after.on_its_way
            and not after.handed_over
            and after.pane
            and after.pid
        ):
            wanted = Wanted(after.prompt, after.tries, after.pid, after.pane)
        self._following.want(session, wanted)

    def _typed(self, view: View) -> bool:
        """Return whether its kind of agent gets prompts by keys. No I/O."""
        backend = self._backends.last(view.backend)
        return backend is None or not backend.by_message

    def close(self) -> None:
        """End every delivery and join its thread."""
        self._following.close()

    def _run(self, session: str, wanted: Wanted, until: Until) -> None:
        Delivery(session, wanted.prompt, wanted.tries, wanted.pane, until, *self._parts).run()
