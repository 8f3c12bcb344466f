"""``issues.jsonl``, the file by which bd and this store exchange beads: a tolerant reader and a strict writer.

The reader passes over empty lines, a byte order mark, header lines (``_schema``), memories and tombstones, fills in
what may be missing, mends what can be kept (``tolerant.py``) with a note, and refuses the whole file, naming the line,
at the first one that cannot be understood. The
writer writes records in bd's form and order, unknown keys kept, whole or not at all.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from anvilsrv.beads import graph, tolerant
from anvilsrv.beads.record import BLOCKING, COUNTS, Record, normal, unix_ns
from anvilsrv.errors import AnvilError, Invalid, NotFound, NotPermitted, Unavailable
from anvilsrv.strict_json import dumps, loads

LARGEST = 64 << 20  # bytes of a file


class File(NamedTuple):
    """Every bead of a file, and whether bd's counts came with it; what was not as it should be, line by line."""

    records: list[tuple[Record, bool]]
    notes: list[str]


def read(file: Path) -> File:
    """Read the file, whole. Raises AnvilError."""
    notes: list[str] = []
    return File(list(_records(file, notes)), notes)


def _records(file: Path, notes: list[str]) -> Iterator[tuple[Record, bool]]:
    data = _content(file)
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            tolerant.refuse_conflict(line)
            found = loads(line)
            if not isinstance(found, dict):
                raise Invalid("not a JSON object")
            if "_schema" in found or found.get("_type", "issue") != "issue" or found.get("status") == "tombstone":
                continue
            whole, odd = tolerant.mended(found)
            record = normal(whole)
            dumps(record)
        except AnvilError as error:
            raise Invalid(f"{file.name} line {number}: {error}") from None
        notes += [f"{file.name} line {number}: {record['id']}: {one}" for one in odd]
        yield record, COUNTS[0] in found


def _content(file: Path) -> bytes:
    """Open a file that a client names: never block, and read at most a bound."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as opened:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Invalid(f"invalid file: {file} is not a regular file")
            data = opened.read(LARGEST + 1)
    except FileNotFoundError:
        raise NotFound(f"no such file {file}") from None
    except OSError as error:
        raise Unavailable(f"{file}: {(error.strerror or str(error)).lower()}") from error
    if len(data) > LARGEST:
        raise Invalid(f"invalid file: {file} has more than {LARGEST >> 20} MiB")
    return data


def load(db: sqlite3.Connection, records: Iterable[tuple[Record, bool]], rev: int) -> int:
    """Put what `read` gave into the store, a newer `updated_at` there kept. Returns how many beads changed."""
    changed = 0
    for record, counted in records:
        stored = graph.get(db, record["id"])
        if stored and (stored == record or unix_ns(stored["updated_at"]) > unix_ns(record["updated_at"])):
            continue
        graph.put(db, record, rev, counted)
        changed += 1
    if changed:
        _refuse_cycles(db)
        graph.settle_all(db)
    return changed


def _refuse_cycles(db: sqlite3.Connection) -> None:
    # bd lets a parent wait for its own child, so blockers and parents are looked at apart.
    for kinds in (BLOCKING, ("parent-child",)):
        marks = ",".join("?" * len(kinds))
        found = graph.find_cycle(db.execute(f"SELECT bead, target FROM edge WHERE type IN ({marks})", kinds))
        if found:
            raise NotPermitted(f"nothing imported: a cycle through '{found[0]}' and '{found[1]}'")


def save(db: sqlite3.Connection | None, file: Path) -> int:
    """Write every bead to the file, replacing it whole. Returns how many."""
    rows: Iterator[Any] = iter(())
    if db is not None:
        rows = iter(db.execute("SELECT id, doc, counted FROM bead ORDER BY id"))
    return _replace(file, (_line(db, *row) for row in rows))


def _line(db: sqlite3.Connection | None, bead_id: str, doc: str, counted: int) -> str:
    if not counted or db is None:
        return f'{{"_type":"issue",{doc[1:]}\n'
    record = json.loads(doc)
    waiting = db.execute("SELECT count(*) FROM edge WHERE target = ? AND type = 'blocks'", (bead_id,)).fetchone()[0]
    blockers = sum(row["type"] == "blocks" for row in record.get("dependencies", []))
    counts = zip(COUNTS, (blockers, waiting, len(record.get("comments", []))), strict=True)
    return dumps({"_type": "issue", **record, **dict(counts)}) + "\n"


def _replace(file: Path, lines: Iterator[str]) -> int:
    fresh = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}")
    count = 0
    try:
        with open(fresh, "x", encoding="utf-8") as out:
            for line in lines:
                out.write(line)
                count += 1
            out.flush()
            os.fsync(out.fileno())
        os.replace(fresh, file)
    except OSError as error:
        raise Unavailable(f"{file}: {(error.strerror or str(error)).lower()}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return count
