"""A login that an agent keeps in a table of its SQLite database: that as the JSON file which sessions share, and back.

As a program, FILE DATABASE TABLE COMMAND..., it stands before the agent: it puts the login into the database and becomes the agent. A
process that it leaves beside it brings what is changed on one side to the other, until the agent has ended. The agent may write both,
so nothing here is trusted: it runs inside the sandbox, and what leaves it is the JSON file, which is checked outside.

Threads: none. In the process beside the agent whatever fails is tried again with the next change.
"""

import base64
import hashlib
import json
import os
import select
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from anvilsrv.errors import AnvilError, Invalid
from anvilsrv.linux.inotify import IN_MODIFY, IN_MOVED_TO, Inotify
from anvilsrv.strict_json import loads_object

BUSY = 5.0  # s to wait for the agent's own writing
MOST = 1 << 18  # bytes of the JSON file
TEXT = ""  # the key of a value that is no object
Rows = dict[str, Any]


def dump(database: Path, table: str) -> dict[str, Any]:
    """Return all of a database that holds a login and nothing else: ``rows`` of that table by their keys, ``schema``
    and ``rest``.

    Raises sqlite3.Error."""
    with closing(_opened(database)) as db:
        found = db.execute(
            "SELECT name, sql, type = 'table' FROM sqlite_master"
            " WHERE sql NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type != 'table'"
        ).fetchall()
        tables = [name for name, _, is_table in found if is_table and name != table]
        rest = {
            name: [[_packed(one) for one in row] for row in db.execute(f"SELECT * FROM {_quoted(name)}")]
            for name in tables
        }
        return {"rows": _rows(db, table), "schema": [sql for _, sql, _ in found], "rest": rest}


class Sides:
    """The JSON file and the database of one agent, and what both were when they were last the same."""

    def __init__(self, file: Path, database: Path, table: str) -> None:
        self.file, self.database, self.table = file, database, table
        self._mark = file.with_name(f".{file.name}.mark")
        try:
            self._same = self._mark.read_text()
        except OSError:
            self._same = ""

    def bring(self) -> None:
        """Bring the one that was changed to the other; of two changes that of the file counts. Raises AnvilError, OSError,
        sqlite3.Error."""
        login = self._login()
        if not self.database.exists():
            _fill(self.database, login)
        with closing(_opened(self.database)) as db:
            known, theirs = login["rows"], _rows(db, self.table)
            if _digest(known) != self._same and known != theirs:
                with db:
                    db.executemany(
                        f"INSERT OR REPLACE INTO {_quoted(self.table)} (key, value) VALUES (?, ?)",
                        [(key, _value(value)) for key, value in known.items()],
                    )
            elif known != theirs:
                known = theirs
                _replace(self.file, json.dumps({**login, "rows": theirs}, indent=2) + "\n")
        self._remember(_digest(known))

    def _login(self) -> dict[str, Any]:
        with self.file.open("rb") as opened:
            found = loads_object(opened.read(MOST), MOST)
        if not isinstance(found.get("rows"), dict):
            raise Invalid("no login")
        return found

    def _remember(self, text: str) -> None:
        if text != self._same:
            _replace(self._mark, text)
            self._same = text


def _opened(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(database, timeout=BUSY)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _rows(db: sqlite3.Connection, table: str) -> Rows:
    found: Rows = {}
    for key, value in db.execute(f"SELECT key, value FROM {_quoted(table)}"):
        if isinstance(key, str) and isinstance(value, str):
            found[key] = _object(value)
    return found


def _object(value: str) -> Any:
    try:
        return loads_object(value, MOST)
    except Invalid:
        return {TEXT: value}


def _value(made: Any) -> str:
    return str(made[TEXT]) if isinstance(made, dict) and list(made) == [TEXT] else json.dumps(made)


def _packed(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _unpacked(value: Any) -> Any:
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value


def _digest(rows: Rows) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def _fill(database: Path, login: dict[str, Any]) -> None:
    """Make the database as it was when the login was made, without the login."""
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = database.with_name(f".{database.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(_opened(fresh)) as db, db:
        for sql in login["schema"]:
            db.execute(sql)
        for table, rows in login["rest"].items():
            for row in rows:
                marks = ", ".join("?" * len(row))
                db.execute(f"INSERT INTO {_quoted(table)} VALUES ({marks})", [_unpacked(one) for one in row])
    os.replace(fresh, database)


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)


def _tried(sides: Sides) -> str:
    """Bring what was changed. Returns why that failed, if it did. A broken copy is replaced from outside: that is the
    next change.
    """
    try:
        sides.bring()
    except (AnvilError, OSError, ValueError, LookupError, TypeError, sqlite3.Error) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _beside(sides: Sides, agent: int) -> None:
    """Wait until that process has ended, and act once more then."""
    inotify = Inotify()
    for directory in {sides.file.parent, sides.database.parent}:
        inotify.add(str(directory), IN_MODIFY | IN_MOVED_TO)
    _tried(sides)  # what was changed before we watched
    names = {sides.file.name, sides.database.name, f"{sides.database.name}-wal"}
    waiting = select.poll()
    waiting.register(inotify.fileno(), select.POLLIN)
    waiting.register(agent, select.POLLIN)
    while True:
        ready = {fd for fd, _ in waiting.poll()}
        if any(event.name in names for event in inotify.events()) or agent in ready:
            _tried(sides)
        if agent in ready:
            return


def _leave_beside(sides: Sides) -> None:
    """Have a process that is no child of the agent's, and holds nothing of its terminal, do that."""
    agent = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os.close(agent)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            _beside(sides, agent)
    finally:
        os._exit(0)


def main(argv: Sequence[str]) -> None:
    """Become the agent, with the login in its database if there is one."""
    file, database, table, *command = argv
    if os.path.exists(file):
        sides = Sides(Path(file), Path(database), table)
        if why := _tried(sides):
            print(f"the login was not put into {database}: {why}", file=sys.stderr)
        _leave_beside(sides)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
