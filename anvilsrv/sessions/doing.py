"""What sessions do at the moment, in words, as it is announced: a few times a second at most for each.

It has the recorder of their activity, which tells when that changes, and keeps what an agent tells of itself there.

Threads: everything runs on the store's thread, in a job. What is put off comes back as ``catch_up``, by the effect ``Later``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anvilsrv.activity.doing import ANSWERING, MODEL, SILENT
from anvilsrv.activity.recorder import Recorder
from anvilsrv.sessions import session_rows
from anvilsrv.sessions.state import Session, State
from anvilsrv.store.effects import Later
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import dumps

OFTEN = 0.3  # s between two events of what a session does


class Doing:
    """Of all sessions. ``most`` bounds what is kept of each one's activity; ``backend`` tells, without I/O, what a session of
    that backend does in a turn, where there is no model."""

    def __init__(self, stream: Stream, most: int, backend: Callable[[str], str]) -> None:
        self.activity = Recorder(self._does, most, _cwd, self.itself)
        self._stream = stream
        self._backend = backend
        self._told: dict[str, float] = {}  # when it was told last (monotonic, s)
        self._late: set[str] = set()  # sessions of which it is to be told

    def silent(self, tx: Tx, session: str, seconds: float) -> None:
        """Record that the agent of a session has reported nothing for that long; 0: it does again."""
        row = session_rows.maybe(tx, session)
        if row is not None and row.state == State.RUNNING:
            self.activity.silent(tx, session, seconds, row.doing)

    def catch_up(self, tx: Tx, session: str) -> None:
        """Tell what a session does by now, if that was put off (effect ``Later``)."""
        self.activity.catch_up(tx, session)
        if session not in self._late:
            return
        self._late.discard(session)
        self._told.pop(session, None)
        row, words = session_rows.maybe(tx, session), self.activity.doing(session)
        if row is not None and row.doing != self._words(row, words):
            self._does(tx, session, words)

    def itself(self, tx: Tx, session: str, told: Mapping[str, Any]) -> None:
        """Keep what an agent tells of itself, and announce what is shown of that."""
        row = session_rows.get(tx, session)
        if (now := {**row.itself, **told}) != row.itself:
            session_rows.put(tx, session, itself=dumps(now))
            self._stream.emit(tx, "session_update", session, **session_rows.get(tx, session).agent())

    def _does(self, tx: Tx, session: str, words: str) -> None:
        """Announce, now or soon, that what a session does has changed, with what it does then."""
        row = session_rows.get(tx, session)
        if words == ANSWERING and row.doing and row.doing == self._backend(row.backend):
            return  # it does what it did before
        words = self._words(row, words)
        since = tx.now.monotonic - self._told.get(session, -OFTEN)
        if 0 <= since < OFTEN:
            if session not in self._late:
                self._late.add(session)
                tx.after(Later(session, OFTEN))
            return
        self._told[session] = tx.now.monotonic
        same = words.partition(SILENT)[0] == row.doing.partition(SILENT)[0]
        began = (row.doing_since if same else None) or tx.now.wall
        session_rows.put(tx, session, doing=words, doing_since=began)
        self._stream.emit(tx, "session_update", session, doing=words, since=round(began, 3))

    def _words(self, row: Session, words: str) -> str:
        return (self._backend(row.backend) or words) if words in (MODEL, ANSWERING) else words


def _cwd(tx: Tx, session: str) -> str:
    found = session_rows.maybe(tx, session)
    return found.cwd if found is not None else ""
