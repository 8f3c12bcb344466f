"""The store: one SQLite database per namespace, owned by one thread.

Everything that must survive is a row here, and the rows are the only truth: what the rest of the daemon keeps in
memory is derived from them after they are on disk. All changes are *jobs*, functions of a :class:`Tx`, which the
store's thread runs one after the other; so no domain code needs a lock. Jobs that wait together are committed
together (one fsync for all), each in a savepoint of its own, so that a refused one changes nothing and costs the
others nothing. Only after the commit are callers answered and the effects registered with ``Tx.after`` run, in order.

Threads: ``post`` and ``call`` may be called from any thread; jobs, answers and effects run on the store's thread and
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

from anvilsrv.errors import AnvilError, Unavailable

T = TypeVar("T")
Outcome = Callable[[Any, BaseException | None], None]

BATCH = 64  # jobs in one commit at most

SCHEMA = """
CREATE TABLE sessions(
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL, alias TEXT UNIQUE, backend TEXT NOT NULL, cwd TEXT NOT NULL,
    role TEXT NOT NULL DEFAULT '', tasks TEXT NOT NULL DEFAULT '[]', parent TEXT,
    state TEXT NOT NULL, wanted TEXT NOT NULL DEFAULT 'run', error TEXT NOT NULL DEFAULT '',
    context BLOB NOT NULL DEFAULT x'', conversation TEXT, transcript TEXT,
    pane TEXT, pid INTEGER NOT NULL DEFAULT 0, tier TEXT NOT NULL DEFAULT '', policy TEXT NOT NULL DEFAULT '',
    crashes INTEGER NOT NULL DEFAULT 0, handed INTEGER NOT NULL DEFAULT 0, held TEXT NOT NULL DEFAULT '', held_until REAL,
    ask TEXT, usage TEXT NOT NULL DEFAULT '{}', created REAL NOT NULL, changed REAL NOT NULL, started REAL);
CREATE TABLE prompts(
    id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, origin TEXT NOT NULL, message TEXT, text TEXT NOT NULL,
    status TEXT NOT NULL, pasted INTEGER NOT NULL DEFAULT 0, turn INTEGER,
    response BLOB, error TEXT, created REAL NOT NULL, started REAL, ended REAL);
CREATE INDEX prompts_by_session ON prompts(session, status);
CREATE INDEX prompts_by_turn ON prompts(session, turn);
CREATE TABLE drafts(id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, file TEXT NOT NULL, last INTEGER NOT NULL DEFAULT 0);
CREATE TABLE chunks(draft INTEGER NOT NULL, offset INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX chunks_by_draft ON chunks(draft);
CREATE TABLE messages(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL,
    type TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL, ts REAL NOT NULL, json TEXT NOT NULL, box TEXT NOT NULL);
CREATE INDEX messages_by_box ON messages(recipient, box);
CREATE TABLE events(seq INTEGER PRIMARY KEY AUTOINCREMENT, sessions TEXT NOT NULL, line TEXT NOT NULL);
CREATE TABLE reports(id TEXT PRIMARY KEY, ts REAL NOT NULL);
"""

# So that neither ``out`` nor a change of a session's row costs more the longer the session has lived: ``boxes`` has the number
# of messages in each box and their bytes as lines of an array, and is kept true by the triggers alone.
TOTALS = """
CREATE INDEX prompts_by_end ON prompts(session, ended);
CREATE TABLE boxes(
    owner TEXT NOT NULL, box TEXT NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY(owner, box)) WITHOUT ROWID;
INSERT INTO boxes SELECT recipient, box, count(*), sum(length(CAST(json AS BLOB)) + 2) FROM messages GROUP BY recipient, box;
CREATE TRIGGER message_comes AFTER INSERT ON messages BEGIN
    INSERT INTO boxes VALUES(NEW.recipient, NEW.box, 1, length(CAST(NEW.json AS BLOB)) + 2)
        ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER message_goes AFTER DELETE ON messages BEGIN
    UPDATE boxes SET messages = messages - 1, bytes = bytes - length(CAST(OLD.json AS BLOB)) - 2
        WHERE owner = OLD.recipient AND box = OLD.box;
END;
CREATE TRIGGER message_moves AFTER UPDATE OF recipient, box, json ON messages BEGIN
    UPDATE boxes SET messages = messages - 1, bytes = bytes - length(CAST(OLD.json AS BLOB)) - 2
        WHERE owner = OLD.recipient AND box = OLD.box;
    INSERT INTO boxes VALUES(NEW.recipient, NEW.box, 1, length(CAST(NEW.json AS BLOB)) + 2)
        ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;
"""

# ``reply_type`` of messages composed before there was one (``mail.message.reply_type``). Put in as text: a writer's metadata may
# hold what is not JSON to SQLite (NaN).
REPLY_TYPES = """
UPDATE messages SET json = '{"reply_type":"' || CASE WHEN type LIKE '%!_REQUEST' ESCAPE '!'
    THEN replace(type, '_REQUEST', '_RESPONSE') ELSE 'QUERY_REQUEST' END || '",' || substr(json, 2)
    WHERE json LIKE '{"%';
"""

# Each entry brings a database from version n to n + 1 (``PRAGMA user_version``); the first makes an empty one.
MIGRATIONS: tuple[str, ...] = (SCHEMA, TOTALS, REPLY_TYPES)


class Tx:
    """One job's view of the database. Valid only while the job runs, on the store's thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.effects: list[Callable[[], None]] = []
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

    def touch(self, session: str) -> None:
        """Say that what is shown of ``session`` changed."""
        self.touched.add(session)

    def after(self, effect: Callable[[], None]) -> None:
        """Run ``effect`` on the store's thread once this job is on disk; never if it is refused or lost."""
        self.effects.append(effect)


class Store:
    """The database and its thread. ``on_touched(tx, ids)`` runs after each commit, before the effects of its jobs."""

    def __init__(self, path: Path, on_error: Callable[[BaseException], None]) -> None:
        self._path = path
        self._on_error = on_error
        self._jobs: queue.SimpleQueue[tuple[Callable[[Tx], Any], Outcome] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store")
        self._db: sqlite3.Connection
        self._opened: Future[None] = Future()
        self._closed = threading.Event()
        self.on_touched: Callable[[Tx, set[str]], None] = lambda tx, ids: None

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
        whole = Tx(self._db)
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
        tx = Tx(self._db)
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
        if whole.touched:
            self._guard(lambda: self.on_touched(Tx(self._db), whole.touched))
        for effect in whole.effects:
            self._guard(effect)
        for done, result, error in outcomes:
            self._guard(partial(done, result, error))

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._on_error(error)
