"""What survives a daemon and what does not: the database, and the parts that are made anew on it."""

import sqlite3
from collections.abc import Callable
from types import SimpleNamespace
from typing import TypeVar

from anvilsrv.clock import Clock, Now
from anvilsrv.desk.answer import Questions
from anvilsrv.desk.life import Life
from anvilsrv.desk.post import Post
from anvilsrv.desk.send import Send
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.effects import Effect
from anvilsrv.store.events import Stream
from anvilsrv.store.schema import MIGRATIONS
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import Topics

T = TypeVar("T")


class Cut(Exception):
    """The daemon was killed right after a commit."""


class Ticks(Clock):
    """A clock that goes on by a second with each look."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def wall(self) -> float:
        self.now += 1
        return self.now

    def monotonic(self) -> float:
        return self.now


class Ledger:
    """The database, in memory and in the store's schema; a job is run and settled at once."""

    empty: bytes = b""

    def __init__(self, settled: Callable[[Tx, set[str], list[Effect]], None]) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        if not Ledger.empty:
            self._db.executescript("".join(MIGRATIONS))
            Ledger.empty = self._db.serialize()
        else:
            self._db.deserialize(Ledger.empty)
        self._clock = Ticks()
        self._settled = settled
        self.cut = False  # the daemon is killed as soon as the next job is on disk

    def close(self) -> None:
        self._db.close()

    def tick(self) -> float:
        """Let time go on. Returns what it is now (monotonic)."""
        self._clock.wall()
        return self._clock.monotonic()

    def call(self, job: Callable[[Tx], T]) -> T:
        """Run a job. Raises what it raised, or Cut."""
        tx = Tx(self._db, Now.of(self._clock))
        self._db.execute("BEGIN")
        try:
            result = job(tx)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        if self.cut:
            raise Cut
        self._settled(tx, tx.touched, tx.effects)
        return result

    def look(self, question: Callable[[Tx], T]) -> T:
        """Ask the rows, without a step of the daemon's."""
        return question(Tx(self._db, Now(0, 0)))


class Daemon:
    """The parts of a daemon that decide about prompts, turns and mail. Everything in them but the rows is lost with it."""

    def __init__(self, ledger: Ledger) -> None:
        backend = SimpleNamespace(interrupt=("Escape",))
        backends = SimpleNamespace(last=lambda name: backend)
        self.registry = Registry(Stream(), Topics())
        self.turns = Turns(self.registry)
        self.post = Post(self.registry, self.turns, lambda backend: True, lambda session, text: "")
        self.questions = Questions(ledger, self.registry)  # type: ignore[arg-type]
        self.life = Life(ledger, self.registry, self.turns, self.post, self.questions, backends)  # type: ignore[arg-type]
        self.send = Send(self.registry, self.turns, self.post)
