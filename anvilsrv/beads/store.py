"""Where beads are kept: one SQLite file that several threads, daemons and namespaces use at once.

Each bead is its whole record as JSON, which is the truth, beside columns derived from it for the graph. Every change
also writes a row into the journal `change`, so that each process can tell its listeners what another one did.

Locks: each of the three connections (the writer, one for quick reads, one for reading everything) has one of its own;
none is held while another is taken. Waiting for other processes is bounded by BUSY seconds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from anvilsrv.errors import AnvilError, Unavailable

FILE = "anvillm.db"
BELL = "anvillm.bell"
BUSY = 5.0
JOURNAL = 10_000
"""Changes that the journal remembers."""
_VERSION = 1
_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE bead(
  id TEXT PRIMARY KEY,
  doc TEXT NOT NULL,
  status TEXT NOT NULL,
  done INTEGER NOT NULL,          -- closed or pinned: in nobody's way
  work INTEGER NOT NULL,          -- may be offered at all: not pinned, not ephemeral, a type of work
  priority INTEGER NOT NULL,
  created INTEGER NOT NULL,       -- unix nanoseconds, like defer
  defer INTEGER,
  counted INTEGER NOT NULL,       -- came with bd's counts, leaves with them
  stuck INTEGER NOT NULL DEFAULT 0, -- by a dependency or an ancestor; kept by beads_graph
  rev INTEGER NOT NULL            -- change.seq of the last change
);
CREATE INDEX bead_order ON bead(created, id);
CREATE INDEX bead_ready ON bead(priority, created, id) WHERE status = 'open' AND work = 1 AND stuck = 0;
CREATE INDEX bead_defer ON bead(defer) WHERE defer IS NOT NULL;
CREATE TABLE edge(bead TEXT NOT NULL, target TEXT NOT NULL, type TEXT NOT NULL, gate TEXT,
  PRIMARY KEY(bead, type, target)) WITHOUT ROWID;
CREATE INDEX edge_target ON edge(target, type, bead);
CREATE TABLE change(seq INTEGER PRIMARY KEY AUTOINCREMENT, bead_id TEXT NOT NULL, op TEXT NOT NULL,
  actor TEXT NOT NULL, more TEXT NOT NULL);
"""


class Store:
    """The file `anvillm.db` in the directory `path`, opened when first needed, and reopened when it was replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / FILE
        self._writer = _Place(self.file)
        self._quick = _Place(self.file)
        self._bulk = _Place(self.file)

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Begin a transaction immediately (BEGIN IMMEDIATE), committed at the end of the block, or else rolled back."""
        with self._writer.lock, self._translated():
            db = self._writer.opened(create=True)
            assert db is not None
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            self._ring()

    @contextlib.contextmanager
    def read(self, *, bulk: bool = False) -> Iterator[sqlite3.Connection | None]:
        """Yield a connection for reading, or None if nothing was stored yet; `bulk` for what would keep others waiting."""
        place = self._bulk if bulk else self._quick
        with place.lock, self._translated():
            yield place.opened(create=False)

    def close(self) -> None:
        """Close the connections; a later use opens them again."""
        for place in (self._writer, self._quick, self._bulk):
            with place.lock:
                place.forget()

    def _ring(self) -> None:
        # Other daemons watch this file's times: the WAL file itself changes before the commit can be seen.
        with contextlib.suppress(OSError):
            os.close(os.open(self.path / BELL, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            os.utime(self.path / BELL)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._sentence(error) from error
        except OSError as error:
            raise Unavailable(f"beads in {self.path}: {(error.strerror or str(error)).lower()}") from error

    def _sentence(self, error: sqlite3.Error) -> AnvilError:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return Unavailable(f"beads are locked by another process: {self.file}")
        if name.startswith("SQLITE_READONLY"):
            return Unavailable(f"beads are read-only: {self.file}")
        if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return Unavailable(f"beads store is damaged: {self.file}")
        return Unavailable(f"beads store failed: {error}: {self.file}")


class _Place:
    """One connection to the file, if it is open, and the lock under which alone it may be used."""

    def __init__(self, file: Path) -> None:
        self.lock = threading.Lock()
        self._file = file
        self._db: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    def opened(self, *, create: bool) -> sqlite3.Connection | None:
        """Return the connection, reopened if the file was replaced; None if it is not there, or still being made."""
        found = _inode(self._file)
        if self._db is None or found is None or found != self._inode:
            self.forget()
            if create:
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif found is None:
                return None
            db = _connect(self._file, create)
            try:
                version = _prepare(db, self._file, create)
            except BaseException:
                db.close()
                raise
            if not version:
                db.close()
                return None
            self._db, self._inode = db, _inode(self._file)
        return self._db

    def forget(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def _connect(file: Path, create: bool) -> sqlite3.Connection:
    uri = f"file:{_quoted(file)}?mode={'rwc' if create else 'rw'}"
    db = sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None, check_same_thread=False)
    if not create:
        try:
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            db.close()
            if not str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
                raise
            # A directory we may not write: no WAL can be there that we could take part in.
            uri = f"file:{_quoted(file)}?immutable=1"
            db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    return db


def _prepare(db: sqlite3.Connection, file: Path, create: bool) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise Unavailable(f"beads store was written by a newer anvilsrv: {file}")
    if create:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if version < _VERSION:
            db.execute("BEGIN IMMEDIATE")
            # Another process may have been first.
            if db.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                for statement in _SCHEMA.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
            db.execute("COMMIT")
    db.execute("PRAGMA cache_size = -32000")
    db.execute("PRAGMA temp_store = MEMORY")
    return _VERSION if create else version


def _inode(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _quoted(file: Path) -> str:
    return str(file).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
