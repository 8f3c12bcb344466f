"""The store: one SQLite database per namespace, owned by one thread.

Everything that must survive is a row here, and the rows are the only truth: what the rest of the daemon keeps in
memory is derived from them after they are on disk. All changes are *jobs*, functions of a :class:`Tx`, which the
store's thread runs one after the other; so no domain code needs a lock. Jobs that wait together are committed
together (one fsync for all), each in a savepoint of its own, so that a refused one changes nothing and costs the
others nothing. After the commit ``settle`` gets what was touched and the effects of the jobs, in order; then the callers are answered.

A job does no I/O but SQL: what must be read is read before and handed in, and what a job found out is used after its commit.

Threads: ``post`` and ``call`` may be called from any thread; jobs, answers and ``settle`` run on the store's thread and
must not block.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from anvilsrv.clock import Clock, Now
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.store.effects import Effect
from anvilsrv.store.schema import MIGRATIONS

T = TypeVar("T")
Outcome = Callable[[Any, BaseException | None], None]

BATCH = 64  # jobs in one commit at most


class Tx:
    """One job's view of the database, and its time (``now``). Valid only while the job runs, on the store's thread."""

    def __init__(self, db: sqlite3.Connection, now: Now) -> None:
        self._db = db
        self.now = now
        self.effects: list[Effect] = []
        self.touched: set[str] = set()

    def run(self, sql: str, *args: Any) -> sqlite3.Cursor:
        """Execute one statement."""
        return self._db.execute(sql, args)

    def one(self, sql: str, *args: Any) -> sqlite3.Row | None:
        """The first row, or None."""
        row: sqlite3.Row | None = self._db.execute(sql, args).fetchone()
        return row

    def all(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        """Every row."""
        return self._db.execute(sql, args).fetchall()

    def touch(self, what: str) -> None:
        """Say that what is shown of a session (its id) or of a box (``mail <owner>``) changed."""
        self.touched.add(what)

    def after(self, effect: Effect) -> None:
        """Perform ``effect`` once this job is on disk; never if it is refused or lost."""
        self.effects.append(effect)


Settle = Callable[[Tx, set[str], list[Effect]], None]


class Store:
    """The database and its thread. ``settle(tx, touched, effects)`` runs after each commit, before its callers are answered."""

    def __init__(
        self, path: Path, settle: Settle, on_error: Callable[[BaseException], None], clock: Clock | None = None
    ) -> None:
        self._path = path
        self._settled = settle
        self._on_error = on_error
        self._clock = clock or Clock()
        self._jobs: queue.SimpleQueue[tuple[Callable[[Tx], Any], Outcome] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store")
        self._db: sqlite3.Connection
        self._opened: Future[None] = Future()
        self._closed = threading.Event()

    def start(self) -> None:
        """Open the database, bring it to the current version, start the thread. Raises Unavailable."""
        self._thread.start()
        self._opened.result()

    def stop(self) -> None:
        """Finish what is queued, close the database, join the thread."""
        self._closed.set()
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def post(self, job: Callable[[Tx], Any], done: Outcome | None = None) -> None:
        """Queue ``job``; ``done(result, error)`` is called when it is on disk or refused."""
        if self._closed.is_set():
            if done:
                done(None, Unavailable("the daemon is stopping"))
            return
        self._jobs.put((job, done or self._report))

    def call(self, job: Callable[[Tx], T], timeout: float = 60.0) -> T:
        """Run ``job`` and wait until it is on disk. Raises what it raised; never call it on the store's thread."""
        future: Future[T] = Future()
        self.post(job, lambda result, error: future.set_exception(error) if error else future.set_result(result))
        try:
            return future.result(timeout)
        except TimeoutError:
            raise Unavailable("the store does not answer") from None

    def _tx(self) -> Tx:
        return Tx(self._db, Now.of(self._clock))

    def _report(self, result: Any, error: BaseException | None) -> None:
        if error is not None:
            self._on_error(error)

    def _serve(self) -> None:
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            self._opened.set_exception(Unavailable(f"cannot open store '{self._path}': {error}"))
            return
        self._opened.set_result(None)
        while self._batch():
            pass
        self._db.close()

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None, cached_statements=256)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"it was written by a newer anvilsrv (version {version})")
        for number in range(version, len(MIGRATIONS)):
            self._db.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;")

    def _batch(self) -> bool:
        """Run the jobs that wait in one transaction; False when the last one was the end."""
        item = self._jobs.get()
        if item is None:
            return False
        taken: list[Outcome] = []
        outcomes: list[tuple[Outcome, Any, BaseException | None]] = []
        whole = self._tx()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            while item is not None:
                taken.append(item[1])
                outcomes.append(self._one(whole, *item))
                if len(taken) >= BATCH or self._jobs.empty():
                    break
                item = self._jobs.get()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._lost(taken or [item[1]] if item else taken, error)
        else:
            self._settle(whole, outcomes)
        return item is not None

    def _one(self, whole: Tx, job: Callable[[Tx], Any], done: Outcome) -> tuple[Outcome, Any, BaseException | None]:
        """One job in its savepoint. What it raises is its caller's; only SQLite's own trouble ends the batch."""
        tx = self._tx()
        self._db.execute("SAVEPOINT job")
        try:
            result = job(tx)
        except sqlite3.OperationalError:
            raise  # disk full, I/O error: SQLite may have rolled everything back already
        except BaseException as error:
            self._db.execute("ROLLBACK TO job")
            self._db.execute("RELEASE job")
            if not isinstance(error, AnvilError):
                self._on_error(error)
            return done, None, error
        self._db.execute("RELEASE job")
        whole.touched |= tx.touched
        whole.effects += tx.effects
        return done, result, None

    def _lost(self, taken: list[Outcome], error: sqlite3.Error) -> None:
        """Nothing of the batch is on disk: everybody in it is told so."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        failure = Unavailable(f"cannot save: {error}")
        self._on_error(failure)
        for done in taken:
            self._guard(partial(done, None, failure))

    def _settle(self, whole: Tx, outcomes: list[tuple[Outcome, Any, BaseException | None]]) -> None:
        self._guard(lambda: self._settled(self._tx(), whole.touched, whole.effects))
        for done, result, error in outcomes:
            self._guard(partial(done, result, error))

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._on_error(error)
