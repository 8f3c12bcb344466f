"""The store: one SQLite database per namespace, owned by one thread.

Everything that must survive is a row here, and the rows are the only truth: what the rest of the daemon keeps in
memory is derived from them after they are on disk. All changes are *jobs*, functions of a :class:`Tx`, which the
store's thread runs one after the other; so no domain code needs a lock. Jobs that wait together are committed
together (one fsync for all), each in a savepoint of its own, so that a refused one changes nothing and costs the
others nothing. After the commit ``settle`` gets what was touched and the effects of the jobs, in order; then the callers are answered.

A job does no I/O but SQL: what must be read is read before and handed in, and what a job found out is used after its commit.

A full disk: what a client asks for is refused. What the daemon does of its own accord may use the room that is kept for it
(``reserve.py``); a job about what *has happened* (a report, the end of a process) is tried again until it is on disk, in its order.

What is raised anywhere but in a job or an answer ends the thread: what the daemon shows would not be what is on disk any more.

Threads: ``post`` and ``call`` may be called from any thread; jobs, answers and ``settle`` run on the store's thread and
must not block.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from anvilsrv.clock import Clock, Now
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.errors import Full as Full
from anvilsrv.store.effects import Effect
from anvilsrv.store.reserve import Reserve
from anvilsrv.store.schema import MIGRATIONS
from anvilsrv.store.turn import Jobs

log = logging.getLogger("anvilsrv")

T = TypeVar("T")
Outcome = Callable[[Any, BaseException | None], None]

BATCH = 64  # jobs in one commit at most
PAGE = 4096  # bytes, SQLite's own
SLACK = 1024  # pages that a store may keep without using them
PIECE = 1024  # of them given back at a time: others get their turn between
INCREMENTAL = 2  # of PRAGMA auto_vacuum
AGAIN = 1.0  # s between tries while the disk is full
KEPT = 10_000  # jobs that wait for space at most
# What is wrong with the store, and not with one statement of one job.
STORE = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL,
)  # fmt: skip
NO_SPACE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)  # SQLite calls a quota and a limit of a file's size an I/O error


class Need(IntEnum):
    """What becomes of a job while the disk is full."""

    ASKED = 0  # from a client, which can be refused
    OWN = 1  # it may use the room that is kept, and is refused when that is gone
    HAPPENED = 2  # the same; then it waits for space: it is told Full, and done later; its outcome then is the log's


class Job(NamedTuple):
    """One job, who hears of its outcome, and what becomes of it while the disk is full.

    ``key``: of those with the same, which is a client that retries, one waits for space.
    """

    run: "Callable[[Tx], Any]"
    done: Outcome
    need: Need
    key: str = ""
    late: bool = False  # it was kept: who waited for it was told Full
    durable: bool = True
    by: str = ""  # which session it is for; empty: the daemon or the user


class Tx:
    """One job's view of the database, and its time (``now``). Valid only while the job runs, on the store's thread.

    ``late``: it waited for space on the disk, and its result is no longer awaited.
    """

    def __init__(self, db: sqlite3.Connection, now: Now, late: bool = False) -> None:
        self._db = db
        self.now = now
        self.late = late
        self.effects: list[Effect] = []
        self.touched: set[str] = set()

    def run(self, sql: str, *args: Any) -> sqlite3.Cursor:
        """Execute one statement."""
        return self._db.execute(sql, args)

    def one(self, sql: str, *args: Any) -> sqlite3.Row | None:
        """Return the first row, or None."""
        row: sqlite3.Row | None = self._db.execute(sql, args).fetchone()
        return row

    def all(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        """Return every row."""
        return self._db.execute(sql, args).fetchall()

    def touch(self, what: str) -> None:
        """Mark a session (its id) or a box (``mail <owner>``) as changed."""
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
        self._jobs: Jobs[Job] = Jobs()
        self._thread = threading.Thread(target=self._serve, name="store")
        self._db: sqlite3.Connection
        self._opened: Future[None] = Future()
        self._closed = threading.Event()
        self._reserve = Reserve(path.with_name("reserve"))
        self._kept: list[Job] = []  # they wait for space; the thread's, as what follows
        self._waits = True  # a commit, until it is on disk
        self._full = False  # the room is not there: nothing but reads for who asks
        self._next_try = 0.0  # s, monotonic

    def start(self) -> None:
        """Open the database, bring it to the current version, start the thread. Raises Unavailable."""
        self._thread.start()
        self._opened.result()

    def stop(self) -> None:
        """Finish what is queued, close the database, join the thread."""
        self._closed.set()
        self._jobs.end()
        if self._thread.is_alive():
            self._thread.join()

    def post(
        self,
        job: Callable[[Tx], Any],
        done: Outcome | None = None,
        need: Need = Need.ASKED,
        key: str = "",
        durable: bool = True,
        by: str = "",
    ) -> None:
        """Queue ``job``; ``done(result, error)`` is called when it is on disk, refused, or kept until there is space (Full).

        ``by`` the session whose turn it is; empty: it is the daemon's own or the user's, and comes first.

        Not ``durable``: it outlasts the end of the daemon, but perhaps not that of the machine, before the next that is.
        """
        if self._closed.is_set():
            if done:
                done(None, Unavailable("the daemon is stopping"))
            return
        self._jobs.put(Job(job, done or self._report, need, key, durable=durable, by=by), by)

    def call(
        self,
        job: Callable[[Tx], T],
        timeout: float = 60.0,
        need: Need = Need.ASKED,
        key: str = "",
        durable: bool = True,
        by: str = "",
    ) -> T:
        """Run ``job`` and wait until it is on disk. Raises what it raised; never call it on the store's thread."""
        future: Future[T] = Future()
        done: Outcome = lambda result, error: future.set_exception(error) if error else future.set_result(result)  # noqa: E731
        self.post(job, done, need, key, durable, by)
        try:
            return future.result(timeout)
        except TimeoutError:
            raise Unavailable("the store does not answer") from None

    def waiting(self, by: str) -> int:
        """Return how many jobs of that session are waiting."""
        return self._jobs.waiting(by)

    def _tx(self, late: bool = False) -> Tx:
        return Tx(self._db, Now.of(self._clock), late)

    def _report(self, result: Any, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, Full):
            self._on_error(error)

    def _serve(self) -> None:
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            self._opened.set_exception(Unavailable(f"cannot open store '{self._path}': {error}"))
            return
        self._full = not self._reserve.keep()
        self._opened.set_result(None)
        going = True
        while going:
            jobs, going = self._waiting()
            self._batch(jobs, due=self._look_for_space())
            while going and self._jobs.empty() and self._give_back():
                pass
        self._close()

    def _open(self) -> None:
        try:
            self._connect()
        except sqlite3.OperationalError as error:
            if not no_space(error) or not self._reserve.give():
                raise
            self._connect()

    def _connect(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None, cached_statements=256)
        self._db.row_factory = sqlite3.Row
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if not version:
            self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before anything is in it
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(f"PRAGMA journal_size_limit={SLACK * PAGE}")
        if version > len(MIGRATIONS):
            raise sqlite3.DatabaseError(f"it was written by a newer anvilsrv (version {version})")
        for number in range(version, len(MIGRATIONS)):
            self._db.executescript(f"BEGIN; {MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;")
        if self._db.execute("PRAGMA auto_vacuum").fetchone()[0] != INCREMENTAL:
            self._convert()

    def _convert(self) -> None:
        """Rewrite a store from before 0.2, which never shrank, once; then it can."""
        size = self._path.stat().st_size >> 20
        log.info("the store, %d MB, is rewritten so that it can return free space", size)
        try:
            self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            self._db.execute("VACUUM")
        except sqlite3.OperationalError as error:
            log.warning("the store stays as large as it is until the next start: %s", error)

    def _give_back(self) -> bool:
        """Give one piece of the space that the store does not use back to the disk; False: there is no more to give."""
        if self._db.execute("PRAGMA freelist_count").fetchone()[0] <= SLACK:
            return False
        try:
            self._db.execute(f"PRAGMA incremental_vacuum({PIECE})").fetchall()
            if self._db.execute("PRAGMA freelist_count").fetchone()[0] > SLACK:
                return True
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError as error:
            log.warning("the store does not become smaller: %s", error)
        return False

    def _close(self) -> None:
        if self._kept:
            log.error("%d changes are lost: the disk is full", len(self._kept))
        self._db.close()

    # -- batches -----------------------------------------------------------------------------------------------------------

    def _waiting(self) -> tuple[list[Job], bool]:
        """Return the jobs that wait, after a moment at least an empty list while the disk is full; False when the last
        one was the end.
        """
        jobs, going = self._jobs.batch(BATCH, AGAIN if self._full else None)
        if not going:
            self._next_try = 0.0  # the last one, for those that are kept
        return jobs, going

    def _batch(self, jobs: list[Job], due: bool) -> None:
        """Run these jobs in one transaction; ``due``: with those that were kept for want of space."""
        if self._kept and due:
            jobs, self._kept = [*self._kept, *jobs], []
        elif self._kept:
            self._keep([job for job in jobs if job.need == Need.HAPPENED])
            jobs = [job for job in jobs if job.need != Need.HAPPENED]
        error = self._commit(jobs) if jobs else None
        if error is None:
            return
        own = [job for job in jobs if job.need != Need.ASKED] if no_space(error) else []
        self._refuse([job for job in jobs if not own or job.need == Need.ASKED], error)
        if own:
            self._full = True
            if self._reserve.give():
                log.warning("the disk is full: the room that was kept is used")
                error = self._commit(own)
        if own and error is not None:
            self._refuse([job for job in own if job.need == Need.OWN], error)
            self._keep([job for job in own if job.need == Need.HAPPENED])

    def _commit(self, jobs: list[Job]) -> sqlite3.Error | None:
        """Run the jobs in one transaction and answer them; or nothing of them is on disk, for the reason returned."""
        outcomes: list[tuple[Outcome, Any, BaseException | None]] = []
        whole, light = self._tx(), not any(job.durable for job in jobs)
        try:
            self._wait_for_disk(not light)
            self._db.execute("BEGIN IMMEDIATE")
            for job in jobs:
                began = time.thread_time()
                outcomes.append(self._one(whole, job))
                if job.by:
                    self._jobs.spent(job.by, time.thread_time() - began)
            began = time.thread_time()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            return error
        self._settle(whole, outcomes)
        each = (time.thread_time() - began) / len(jobs)  # what follows from a change costs more than the change
        for job in jobs:
            if job.by:
                self._jobs.spent(job.by, each)
        return None

    def _wait_for_disk(self, wait: bool) -> None:
        """Set whether a commit waits until it is on disk. It is set only if it was otherwise: while texts grow it never is."""
        if wait != self._waits:
            self._db.execute(f"PRAGMA synchronous={'FULL' if wait else 'NORMAL'}")
            self._waits = wait

    def _one(self, whole: Tx, job: Job) -> tuple[Outcome, Any, BaseException | None]:
        """Run one job in its savepoint. What it raises belongs to its caller; only what is wrong with the store itself
        ends the batch.
        """
        tx, before = self._tx(job.late), self._db.total_changes
        self._db.execute("SAVEPOINT job")
        try:
            result = job.run(tx)
            if self._full and job.need == Need.ASKED and self._db.total_changes != before:
                raise Full(f"cannot save: {Full.WORDS}")  # what room there is, is for what has happened
        except BaseException as error:
            if isinstance(error, sqlite3.Error) and (of_the_store(error) or not self._db.in_transaction):
                raise  # SQLite may have rolled everything back already
            self._db.execute("ROLLBACK TO job")
            self._db.execute("RELEASE job")
            if not isinstance(error, AnvilError):
                self._on_error(error)
            return job.done, None, Unavailable(f"cannot save: {error}") if isinstance(error, sqlite3.Error) else error
        self._db.execute("RELEASE job")
        whole.touched |= tx.touched
        whole.effects += tx.effects
        return job.done, result, None

    def _settle(self, whole: Tx, outcomes: list[tuple[Outcome, Any, BaseException | None]]) -> None:
        self._settled(self._tx(), whole.touched, whole.effects)
        for done, result, error in outcomes:
            self._guard(partial(done, result, error))

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except MemoryError:
            raise
        except Exception as error:
            self._on_error(error)

    # -- a full disk -------------------------------------------------------------------------------------------------------

    def _look_for_space(self) -> bool:
        """While the disk is full, return whether it is time to try again. A file system does not report that there is
        space.
        """
        now = self._clock.monotonic()
        if not self._full or now < self._next_try:
            return False
        self._next_try = now + AGAIN
        if self._reserve.keep():
            log.warning("there is space on the disk again")
            self._full = False
        return True

    def _refuse(self, jobs: list[Job], error: sqlite3.Error) -> None:
        """Refuse jobs of which nothing is on disk."""
        if not jobs:
            return
        failure = (
            Full(f"cannot save: {Full.WORDS} ({error})") if no_space(error) else Unavailable(f"cannot save: {error}")
        )
        self._on_error(failure)
        for job in jobs:
            self._guard(partial(job.done, None, failure))

    def _keep(self, jobs: list[Job]) -> None:
        """Try these again when there is space; who waits for them is told."""
        if any(not job.late for job in jobs) and not self._kept:
            log.error("the disk is full: what happens is kept in memory until there is space")
        known = {job.key for job in self._kept}
        for job in jobs:
            if not job.late:
                self._guard(partial(job.done, None, Full(f"cannot save yet: {Full.WORDS}")))
            if job.key and job.key in known:
                continue
            known.add(job.key)
            if len(self._kept) < KEPT:
                self._kept.append(job._replace(done=self._report, late=True))
            else:
                self._on_error(Unavailable("cannot save: the disk is full, and so is the list of what waits for it"))


def no_space(error: sqlite3.Error) -> bool:
    """Return True if SQLite failed because the disk is full."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in NO_SPACE


def of_the_store(error: sqlite3.Error) -> bool:
    """Return True if no other job of the batch can be saved either."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in STORE
