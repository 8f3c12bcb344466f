"""Events: what happened, numbered, kept, and read as JSON lines by any number of readers.

An event is a row first (written by the job that caused it) and is published after the commit, so no reader sees what
a crash can undo. Published events stand in one bounded ring that all readers share; a reader is only a cursor into it,
so a slow one costs nothing and one that falls off the end is told how many it missed.

Threads: ``publish`` runs on the store's thread, readers on the 9P thread; one lock guards ring and waiters, and is never held
while a reader is answered.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from anvilsrv.clock import Clock
from anvilsrv.store.effects import Event, Publish
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import dumps

RING = 10_000  # events that a reader may be behind, and that outlive a restart
BYTES = 16 << 20  # of their lines: fewer, where they are long
LONGEST = 1 << 16  # characters of one
CUT = 4000  # characters of a text in one that would be longer
EVERYBODY = "*"  # among the sessions of an event that concerns them all
# what happens -> what a reader that shows it reads again: `sessions`; the boxes of whom it was sent to; the beads
TYPES = {
    "session_new": ["sessions"],
    "state_change": ["sessions"],
    "session_update": ["sessions"],
    "message": ["sessions", "mail"],
    "archived": ["sessions", "mail"],
    "response": ["sessions"],
    "ask": ["sessions"],
    "bead": ["beads"],
    "error": ["sessions"],
    "git": ["sessions"],  # a turn left commits, or something that runs outside
    "network": ["sessions"],  # a sandbox asked for a host that is not granted
    "session_end": ["sessions"],
    "overflow": ["sessions", "mail", "beads"],
}


Sees = Callable[[frozenset[str]], bool]


class Reader:
    """One open of ``events``: a cursor, and what it may see. Used by one fid; ``take`` never blocks."""

    def __init__(self, stream: "Stream", after: int, sees: Sees | None) -> None:
        self._stream = stream
        self._sees = sees
        self.cursor = after
        self._rest = b""

    def take(self, count: int) -> bytes:
        """Take at most ``count`` bytes, whole lines where they fit; empty when there is nothing new."""
        out = self._rest
        while len(out) < count:
            batch, lost = self._stream.following(self.cursor)
            if lost:
                out += self._stream.overflow(self.cursor + lost, lost)
                self.cursor += lost
            if not batch:
                break
            for event in batch:
                self.cursor = event.seq
                if self._sees is None or self._sees(event.sessions):
                    if out and len(out) + len(event.line) + 1 > count:
                        self.cursor = event.seq - 1
                        return self._cut(out, count)
                    out += event.line + b"\n"
        return self._cut(out, count)

    def mark(self) -> tuple[int, bytes]:
        """Return the position; ``back(mark)`` returns there when what was taken could not be handed over."""
        return self.cursor, self._rest

    def back(self, mark: tuple[int, bytes]) -> None:
        """See ``mark``."""
        self.cursor, self._rest = mark

    def _cut(self, out: bytes, count: int) -> bytes:
        self._rest = out[count:]
        return out[:count]


class Stream:
    """The ring, of ``size`` events and so many ``bytes`` at most, and the readers that wait at its end."""

    def __init__(self, size: int = RING, bytes: int = BYTES) -> None:
        self._size = size
        self._most = bytes
        self._bytes = 0  # in the ring
        self._ring: deque[Event] = deque()
        self._lock = threading.Lock()
        self._waiting: dict[object, Callable[[], bool]] = {}
        self._last = 0

    def load(self, tx: Tx) -> None:
        """Fill the ring from the database, at start."""
        last = tx.one("SELECT max(seq) AS last FROM events")
        self._last = last["last"] or 0 if last else 0
        rows = tx.run("SELECT * FROM events WHERE seq > ? ORDER BY seq", self._last - self._size)
        for row in rows:
            self._add(Event(row["seq"], frozenset(row["sessions"].split()), row["line"].encode()))

    def emit(
        self, tx: Tx, what: str, session: str | None = None, /, *, concerns: tuple[str, ...] = (), **fields: Any
    ) -> None:
        """Record an event in ``tx``; readers get it once it is on disk."""
        now = round(tx.now.wall, 3)
        who = frozenset(s for s in (session, *concerns) if s)
        number = tx.run("INSERT INTO events(sessions, line) VALUES(?, '')", " ".join(sorted(who))).lastrowid or 0
        body = {"seq": number, "ts": now, "type": what, "session_id": session, **fields, "changes": TYPES[what]}
        line = dumps(body)
        if len(line) > LONGEST:
            line = dumps({name: shortened(value) for name, value in body.items()})
        tx.run("UPDATE events SET line = ? WHERE seq = ?", line, number)
        if number % 100 == 0:
            tx.run("DELETE FROM events WHERE seq < ?", self._ring[0].seq if self._ring else number - self._size)
        tx.after(Publish(Event(number, who, line.encode())))

    def publish(self, event: Event) -> None:
        """Append to the ring and wake the readers that wait."""
        with self._lock:
            self._add(event)
            self._last = event.seq
            waiting = list(self._waiting.items())
        for key, wake in waiting:
            if wake():
                with self._lock:
                    if self._waiting.get(key) is wake:
                        del self._waiting[key]

    def _add(self, event: Event) -> None:
        self._ring.append(event)
        self._bytes += len(event.line)
        while len(self._ring) > 1 and (len(self._ring) > self._size or self._bytes > self._most):
            self._bytes -= len(self._ring.popleft().line)

    def wait(self, key: object, wake: Callable[[], bool]) -> None:
        """Call ``wake`` at each event until it returns True (it answered) or ``forget(key)``."""
        with self._lock:
            self._waiting[key] = wake

    def forget(self, key: object) -> None:
        """Stop waking ``key``."""
        with self._lock:
            self._waiting.pop(key, None)

    def reader(self, sees: Sees | None, after: int | None = None) -> Reader:
        """Return a reader that starts now, or after event number ``after``."""
        with self._lock:
            return Reader(self, self._last if after is None else min(after, self._last), sees)

    def following(self, cursor: int) -> tuple[list[Event], int]:
        """Return up to 64 events after ``cursor``, and how many before them are gone."""
        with self._lock:
            if not self._ring or self._ring[-1].seq <= cursor:
                return [], 0
            lost = max(0, self._ring[0].seq - cursor - 1)
            # seq is dense but for refused jobs, so this is near the place; walk back to be exact
            at = min(len(self._ring) - 1, max(0, cursor + lost - self._ring[0].seq + 1))
            while at > 0 and self._ring[at - 1].seq > cursor:
                at -= 1
            return [self._ring[i] for i in range(at, min(at + 64, len(self._ring)))], lost

    @staticmethod
    def overflow(seq: int, lost: int) -> bytes:
        """Return the line that tells a reader how many events it missed."""
        body = {"seq": seq, "ts": round(Clock().wall(), 3), "type": "overflow", "session_id": None, "lost": lost}
        body["changes"] = TYPES["overflow"]
        return dumps(body).encode() + b"\n"


def shortened(value: Any) -> Any:
    """Return a field of an event that is too long as a whole: its texts are cut, other long values are left out."""
    if isinstance(value, str):
        return value if len(value) <= CUT else value[:CUT] + " …"
    return value if len(dumps(value)) <= LONGEST // 4 else None
