"""What sets a new work tree of a branch up (``git: {setup: COMMAND}`` of a layer): run before its agent, in the agent's own sandbox.

What it prints is seen in the pane, and told in the conversation when the agent is ready. Until then the queue is held.

Threads: ``wrapped`` is called where a start is prepared; ``follow`` on the store's; files are read on the reactor of the agents.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from anvilsrv.errors import AnvilError
from anvilsrv.linux import beneath
from anvilsrv.linux.reactor import Reactor
from anvilsrv.sessions import remarks, session_rows
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.store.topics import conversation_of

LOG = "setup.log"
MOST = 256 << 10  # bytes of what it printed, that are told: the last
# $1 is the file for what is printed, $2 how many commands follow; the agent's command line comes after them.
SCRIPT = """
log=$1 commands=$2
shift 2
run() {
    printf '%% %s\\n' "$1"
    sh -c "$1" </dev/null && return
    echo "setup: ended with status $?"
}
: >"$log"
while [ "$commands" -gt 0 ]; do
    run "$1" 2>&1 | tee -a "$log"
    shift
    commands=$((commands - 1))
done
exec "$@"
"""


def wrapped(commands: Sequence[str], argv: list[str], data: Path) -> list[str]:
    """Return the command line that runs these, and then the agent."""
    return ["/bin/sh", "-c", SCRIPT, "setup", str(data / LOG), str(len(commands)), *commands, *argv]


class Setups:
    """Tells what came of them. A follower."""

    def __init__(
        self, reactor: Reactor, store: Store, registry: Registry, data: Callable[[str], Path],
        on_error: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._store = store
        self._registry = registry
        self._data = data
        self._on_error = on_error

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if (
            before is not None
            and after is not None
            and By.SETUP in before.gate.holders
            and By.SETUP not in after.gate.holders
        ):
            self._reactor.do(lambda: self._tell(after.id))

    def close(self) -> None:
        """Do nothing."""

    def _tell(self, session: str) -> None:
        try:
            with open(beneath.read(self._data(session), LOG), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - MOST))
                text = file.read(MOST).decode("utf-8", "replace").strip()
        except (AnvilError, OSError) as error:
            self._on_error(error)
            return

        def job(tx: Tx) -> None:
            if session_rows.there(tx, session):
                remarks.add(tx, session, f"its work tree was set up:\n{text}\n")
                self._registry.topics.notify(tx, conversation_of(session))

        self._store.post(job, need=Need.HAPPENED)
