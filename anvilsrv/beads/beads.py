"""Beads: a graph of tasks that outlives sessions, namespaces and daemons, in the interchange format of bd.

`Beads` is what the rest of AnviLLM uses. Its methods may be called from any thread and by several processes on the same
directory at once. Every change, from any process, is told to `on_change` once, in order, in each process. `on_error` gets what a
listener raises when another process made the change.

Locks: `_telling` orders what is told and is held while `on_change` runs, so a listener must not call back into Beads.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from anvilsrv.beads import graph
from anvilsrv.beads.commands import Call, export, file_of, run
from anvilsrv.beads.record import Record
from anvilsrv.beads.store import BELL, JOURNAL, Store
from anvilsrv.beads.watch import Watch
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError, NotFound
from anvilsrv.strict_json import dumps

Change = dict[str, Any]
SOME = 200  # ids read at a time
_BETWEEN = ",\n"
FILES = ("status", "title", "description", "assignee", "json")


class Beads:
    """The beads in the directory `path` (``~/.beads``), which is made by the first command, not before."""

    def __init__(
        self, path: Path, on_change: Callable[[Change], None], on_error: Callable[[BaseException], None]
    ) -> None:
        self._store = Store(path)
        self._on_change = on_change
        self._telling = threading.Lock()
        self._told = self._seq_or_zero()
        self._data_version = -1
        self._sizes: dict[str, tuple[int, int | None, int]] = {}  # version, unix ns of the end, bytes
        try:
            self._watch: Watch | None = Watch(path / BELL, self._rung, on_error)
        except OSError:
            self._watch = None  # no inotify left for us: changes of others are noticed at the next use
        self._follow()

    def command(self, words: list[str], actor: str, user: bool) -> str | None:
        """Run one command of ``beads/ctl``. Returns the id that it created or touched, None if there is none.

        `user` says that it came from the user, who alone may import and export and change what another has claimed.
        """
        if words[:1] == ["export"]:
            with self._store.read(bulk=True) as reader:
                export(reader, words, user)
            return None
        file = file_of(words, user)
        with self._store.write() as db:
            call = Call(db, actor, user, _seq(db) + 1, "".join(words[:1]), file)
            bead_id = run(call, words)
            more = dumps(call.more)
            db.execute("INSERT INTO change VALUES (?, ?, ?, ?, ?)", (call.rev, bead_id or "", call.op, actor, more))
            db.execute("DELETE FROM change WHERE seq <= ?", (call.rev - JOURNAL,))
        self._follow()
        self._tell()
        return bead_id

    def list_json(self) -> bytes:
        """Return every bead, oldest first, as a JSON array."""
        return _array(self._rows("SELECT doc FROM bead ORDER BY created, id"))

    def ready_json(self) -> bytes:
        """Return what may be claimed now, most urgent first, then oldest, as a JSON array."""
        self._notice()
        with self._store.read() as db:
            return _array(graph.ready(db, time.time_ns()) if db else [])

    def list_size(self) -> int:
        """Return the bytes of ``list_json``."""
        return self._size("list", graph.size, lambda db: None)

    def ready_size(self) -> int:
        """Return the bytes of ``ready_json``."""
        now = time.time_ns()
        return self._size("ready", lambda db: graph.ready_size(db, now), lambda db: graph.next_due(db, now))

    def _size(
        self,
        name: str,
        measure: Callable[[sqlite3.Connection], tuple[int, int]],
        until: Callable[[sqlite3.Connection], int | None],
    ) -> int:
        """Return a size, measured once until a bead changes or is no longer put off."""
        version = self.version()
        known, end, size = self._sizes.get(name, (-1, None, 0))
        if known == version and (end is None or time.time_ns() < end):
            return size
        with self._store.read(bulk=True) as db:
            count, total = measure(db) if db else (0, 0)
            end = until(db) if db else None
        size = len(_array([])) + total + len(_BETWEEN) * max(0, count - 1)
        self._sizes[name] = (version, end, size)
        return size

    def ids(self) -> list[str]:
        """Return every id, oldest bead first."""
        return self._rows("SELECT id FROM bead ORDER BY created, id")

    def each_id(self) -> Iterator[str]:
        """Yield the same, a few at a time, as they are asked for: beads of now, not of one moment."""
        self._notice()
        after = (-(1 << 63), "")
        while True:
            with self._store.read() as db:
                query = "SELECT created, id FROM bead WHERE (created, id) > (?, ?) ORDER BY created, id LIMIT ?"
                rows = db.execute(query, (*after, SOME)).fetchall() if db else []
            if not rows:
                return
            yield from (row[1] for row in rows)
            after = rows[-1]

    def get(self, bead_id: str) -> Record | None:
        """Return the record of one bead, None if there is none."""
        self._notice()
        with self._store.read() as db:
            return graph.get(db, bead_id) if db else None

    def has(self, bead_id: str) -> bool:
        """Return whether there is such a bead."""
        return self.version(bead_id) > 0

    def file(self, bead_id: str, name: str) -> bytes:
        """Return the contents of one of FILES in the bead's directory. Raises NotFound for another name or bead."""
        record = self.get(bead_id)
        if record is None:
            raise NotFound(f"no such bead '{bead_id}'")
        if name not in FILES:
            raise NotFound(f"no such file '{name}' in bead '{bead_id}'")
        if name == "json":
            return dumps(record).encode() + b"\n"
        text: str = record.get(name, "")
        text = text if name == "description" else one_line(text)
        return text.encode() if name == "description" and (text.endswith("\n") or not text) else text.encode() + b"\n"

    def version(self, bead_id: str | None = None) -> int:
        """Return a number that rises with every change: of this bead, or of any. 0 for what is not there."""
        self._notice()
        with self._store.read() as db:
            if db is None:
                return 0
            if bead_id is None:
                return _seq(db)
            row = db.execute("SELECT rev FROM bead WHERE id = ?", (bead_id,)).fetchone()
            return row[0] if row else 0

    def close(self) -> None:
        """End the watching thread and close the file."""
        with self._telling:
            watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        self._store.close()

    def _rows(self, query: str) -> list[str]:
        self._notice()
        with self._store.read(bulk=True) as db:
            return [row[0] for row in db.execute(query)] if db else []

    def _notice(self) -> None:
        """Report what other processes did, if SQLite says that they did something."""
        with self._store.read() as db:
            version = db.execute("PRAGMA data_version").fetchone()[0] if db else self._data_version
        if version != self._data_version:
            self._data_version = version
            self._follow()
            self._tell()

    def _tell(self) -> None:
        with self._telling:
            with self._store.read() as db:
                if db is None:
                    return
                # Less than before: the file is another one now, and its old records are not reported.
                self._told = min(self._told, _seq(db))
                found = db.execute("SELECT * FROM change WHERE seq > ? ORDER BY seq", (self._told,)).fetchall()
            for seq, bead_id, op, actor, more in found:
                self._told = seq
                self._on_change({"type": "bead", "bead_id": bead_id, "op": op, "actor": actor, **json.loads(more)})

    def _follow(self) -> None:
        with self._telling:
            if self._watch is not None:
                try:
                    self._watch.follow()
                except OSError:
                    pass  # as above

    def _rung(self) -> None:
        try:
            self._tell()
        except AnvilError:
            # Whoever uses the beads next is told what is wrong with them.
            pass

    def _seq_or_zero(self) -> int:
        try:
            with self._store.read() as db:
                return _seq(db) if db else 0
        except AnvilError:
            return 0


def _seq(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'change'").fetchone()
    return row[0] if row else 0


def _array(docs: Sequence[str]) -> bytes:
    return ("[" + _BETWEEN.join(docs) + "]\n").encode()
