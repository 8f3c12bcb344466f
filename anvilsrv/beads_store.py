"""Where beads are kept: one SQLite file that several threads, daemons and namespaces use at once.

Each bead is its whole record as JSON, which is the truth, beside columns derived from it for the graph. Every change
also writes a row into the journal `change`, so that each process can tell its listeners what another one did.

Locks: `_writing` guards the connection that writes, `_reading` the one that reads; neither is held while another is
taken. Waiting for other processes is bounded by BUSY seconds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from .errors import AnvilError, Unavailable

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
    """The file `anvillm.db` in the directory `path`, opened when first needed and opened anew when it was replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / FILE
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._writer: _Open | None = None
        self._reader: _Open | None = None

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, begun at once (BEGIN IMMEDIATE), committed at the end of the block, else rolled back."""
        with self._writing, self._translated():
            if self._writer is None or not self._writer.current():
                self._forget_writer()
                self._writer = _Open(self.file, create=True)
            db = self._writer.db
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
    def read(self) -> Iterator[sqlite3.Connection | None]:
        """A connection for reading, or None where nothing was stored yet."""
        with self._reading, self._translated():
            if self._reader is None or not self._reader.current():
                self._forget_reader()
                self._reader = _Open(self.file, create=False) if self.file.exists() else None
                if self._reader and not self._reader.version:  # another process is just making it
                    self._forget_reader()
            yield self._reader.db if self._reader else None

    def close(self) -> None:
        """Closes both connections; a later use opens them again."""
        with self._writing:
            self._forget_writer()
        with self._reading:
            self._forget_reader()

    def _forget_writer(self) -> None:
        opened, self._writer = self._writer, None
        if opened:
            opened.db.close()

    def _forget_reader(self) -> None:
        opened, self._reader = self._reader, None
        if opened:
            opened.db.close()

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


class _Open:
    """One connection, and which file it belongs to."""

    def __init__(self, file: Path, *, create: bool) -> None:
        if create:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.file = file
        self.db = _connect(file, create)
        try:
            self.version = _prepare(self.db, file, create)
        except BaseException:
            self.db.close()
            raise
        self._inode = _inode(file)

    def current(self) -> bool:
        return self._inode is not None and _inode(self.file) == self._inode


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
