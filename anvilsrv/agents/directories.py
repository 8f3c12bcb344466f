"""The directories of sessions: what is where in them, and what they say of the agent that was started there.

A session owns ``<state>/sessions/<id>/``::

    ns/     bound as the agent's $NAMESPACE: the socket ``agent`` (the only one it can reach) and ``spool/`` of its hooks
    data/   what the agent keeps as long as the session lives: its own configuration and conversations
    run/    what is generated for one launch: settings files, the sandbox's specification, a copy of our code; read-only inside
    tmp/    the agent's private $TMPDIR and /tmp
    status  how the last agent ended, from the launcher
    git/    git directories of the session's own, which lie over those of repositories in its grants, and their checkpoints
    seen.json   what there was at the last look that runs something outside
    rights.json, bound.json   what the last start gave it, and what the session had that spawned it; out of its sight
    process  which process it is (see ``birth``)

Threads: any; nothing is kept.
"""

from pathlib import Path

from anvilsrv import paths
from anvilsrv.agents import birth, limited
from anvilsrv.agents.bounds import SPEC
from anvilsrv.errors import AnvilError
from anvilsrv.linux import beneath
from anvilsrv.sessions.state import View


class Directories:
    """Those of all sessions, below ``state``, the daemon's state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def of(self, session: str) -> Path:
        """Return the session's own directory."""
        return self.state / "sessions" / session

    def data(self, session: str) -> Path:
        """Return what the agent keeps there: its own configuration and conversations."""
        return self.of(session) / "data"

    def specification(self, session: str) -> Path:
        """Return where the specification of its sandbox is."""
        return self.of(session) / "run" / SPEC

    def staged(self, session: str) -> Path:
        """Return where the files are that a session to be made begins with."""
        return self.state / "sessions" / f"fork-{session}" / "data"

    def unstage(self, session: str) -> None:
        """Put them in their place, before the first start. Raises OSError."""
        staged = self.staged(session)
        if staged.is_dir():
            staged.rename(self.data(session))
            staged.parent.rmdir()

    def make(self, session: str) -> Path:
        """Make them; returns the socket's path. Raises OSError."""
        top = self.of(session)
        for name in ("ns/spool", "data", "run", "tmp"):
            (top / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        return top / "ns" / paths.SERVICE

    def there(self) -> list[str]:
        """Return the sessions that have a directory."""
        return sorted(path.name for path in self.state.glob("sessions/*") if path.is_dir())

    # -- its agent ---------------------------------------------------------------------------------------------------

    def started(self, session: str, pid: int) -> None:
        """Record the process of its agent."""
        if self.living(session) != pid:
            birth.note(self.of(session) / "process", pid)

    def living(self, session: str) -> int:
        """Return the process of its agent, wherever it may run, as long as it does; else 0."""
        return birth.living(self.of(session) / "process")

    def ended(self, session: str) -> tuple[int, str] | None:
        """Return what the launcher wrote at the end: the exit status (128 and more: a signal) and its sentence; None if
        it was killed.
        """
        try:
            code, _, sentence = (self.of(session) / "status").read_text().partition("\n")
            return int(code), sentence.strip()
        except (OSError, ValueError):
            return limited.out_of_memory(self.specification(session))

    def can_resume(self, view: View) -> bool:
        """Return whether there is a conversation to go on with: agents refuse to resume one that never had a prompt."""
        if not view.conversation:
            return False
        if not view.transcript:
            return view.turns > view.since
        data = self.data(view.id)
        try:
            return beneath.exists(data, beneath.relative(data, view.transcript))
        except AnvilError:
            return False
