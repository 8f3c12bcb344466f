"""The registry of sessions: making, naming, changing and forgetting them, and the views that readers see.

Threads: methods that take a Tx run on the store's thread. ``views``, ``find`` and ``listing`` are read from any thread:
``views`` is a dictionary that is replaced, never changed.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from anvilsrv.errors import AnvilError, Conflict, Invalid, NotFound
from anvilsrv.sessions import state as s
from anvilsrv.sessions.state import View
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Store, Tx
from anvilsrv.words import USER

log = logging.getLogger("anvilsrv")
Wake = Callable[[], None]


class Sessions:
    """All sessions of one namespace."""

    def __init__(self, store: Store, stream: Stream) -> None:
        self.store = store
        self.stream = stream
        self.views: dict[str, View] = {}
        self._aliases: dict[str, str] = {}
        self._waiting: dict[str, dict[object, Wake]] = {}
        self._list: tuple[object, bytes] = (None, b"")
        self.user_box: dict[str, int] = {"inbox": 3, "archive": 3}
        self.changed = time.time()
        store.on_touched = self._refresh

    # -- views ---------------------------------------------------------------------------------------------------

    def load(self, tx: Tx) -> None:
        """Make every view, at start."""
        self._refresh(tx, {row["id"] for row in tx.all("SELECT id FROM sessions")} | {USER})

    def _refresh(self, tx: Tx, ids: set[str]) -> None:
        views = dict(self.views)
        for one in ids - {USER}:
            made = s.view(tx, one, views.get(one))
            if made is None:
                views.pop(one, None)
            else:
                views[one] = made
        if USER in ids:
            for name in self.user_box:
                row = tx.one("SELECT bytes FROM boxes WHERE owner = ? AND box = ?", USER, name)
                self.user_box[name] = (row["bytes"] if row else 0) + 3
        self._aliases = {v.alias: v.id for v in views.values() if v.alias}
        self.changed = time.time()
        self.views = (
            dict(sorted(views.items(), key=lambda item: item[1].seq)) if len(views) != len(self.views) else views
        )

    def find(self, name: str) -> View | None:
        """The session of that id or alias, or None."""
        views = self.views
        return views.get(name) or views.get(self._aliases.get(name, ""))

    def get(self, name: str) -> View:
        """The session of that id or alias. Raises NotFound."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"no session '{name[:80]}'")
        return found

    def listing(self) -> bytes:
        """The content of ``list``; made once per change."""
        views = self.views
        if self._list[0] is not views:
            self._list = (views, "".join(v.line() for v in views.values()).encode())
        return self._list[1]

    def descends(self, child: str, ancestor: str) -> bool:
        """Whether ``ancestor`` spawned ``child``, directly or through others."""
        seen: set[str] = set()
        while (one := self.views.get(child)) is not None and one.parent and child not in seen:
            if one.parent == ancestor:
                return True
            seen.add(child)
            child = one.parent
        return False

    # -- changes (store's thread) ------------------------------------------------------------------------------------

    def row(self, tx: Tx, session: str) -> Any:
        """The session's row. Raises NotFound."""
        found = tx.one("SELECT * FROM sessions WHERE id = ?", session)
        if found is None:
            raise NotFound(f"no session '{session[:80]}'")
        return found

    def create(
        self,
        tx: Tx,
        *,
        backend: str,
        cwd: str,
        role: str,
        tasks: Iterable[str],
        alias: str,
        parent: str | None,
        tier: str,
        policy: str,
    ) -> str:
        """A new session in state ``starting``. Raises Invalid for a bad alias, Conflict for one that is taken. Returns the id."""
        if alias:
            self._free(tx, s.check_alias(alias), "")
        while tx.one("SELECT 1 FROM sessions WHERE id = ?", made := os.urandom(4).hex()):
            pass
        last = tx.one("SELECT coalesce(max(seq), 0) AS last FROM sessions")
        now = time.time()
        tx.run(
            "INSERT INTO sessions(id, seq, alias, backend, cwd, role, tasks, parent, state, tier, policy, created, changed)"
            " VALUES(?,?,?,?,?,?,?,?,'starting',?,?,?,?)",
            made, (last["last"] if last else 0) + 1, alias or None, backend, cwd, role, json.dumps(list(tasks)), parent,
            tier, policy, now, now,
        )  # fmt: skip
        tx.touch(made)
        self.stream.emit(
            tx, "session_new", made, concerns=(parent or "",), backend=backend, cwd=cwd, alias=alias, state=s.STARTING
        )
        self._log(tx, made, f"new: {backend} in {cwd}", alias=alias)
        return made

    def _free(self, tx: Tx, alias: str, but: str) -> None:
        taken = tx.one("SELECT id FROM sessions WHERE alias = ? AND id != ?", alias, but)
        if taken is not None:
            raise Conflict(f"alias '{alias}' is taken by {taken['id']}")

    def rename(self, tx: Tx, session: str, alias: str) -> None:
        """Give ``session`` an alias; an empty one takes it away."""
        self.row(tx, session)
        if alias:
            self._free(tx, s.check_alias(alias), session)
        tx.run("UPDATE sessions SET alias = ?, changed = ? WHERE id = ?", alias or None, time.time(), session)
        tx.touch(session)
        self.tell(tx, session)

    def set(self, tx: Tx, session: str, **columns: Any) -> None:
        """Change columns of the session's row."""
        names = ", ".join(f"{name} = ?" for name in columns)
        tx.run(f"UPDATE sessions SET {names}, changed = ? WHERE id = ?", *columns.values(), time.time(), session)
        tx.touch(session)

    def change(self, tx: Tx, session: str, state: str, error: str = "") -> None:
        """Go to ``state`` and say so; nothing when it is that already. Raises Conflict for an illegal change."""
        before = self.row(tx, session)
        s.check_change(before["state"], state)
        if before["state"] == state:
            return
        self.set(tx, session, state=state, error=error or (before["error"] if state in (s.STARTING, s.IDLE) else ""))
        if state not in s.LIVE:  # who waits for a response must learn that it does not come now
            for row in tx.all("SELECT id FROM prompts WHERE session = ? AND status = 'queued'", session):
                self.notify(tx, f"out {row['id']}")
        self.tell(tx, session)
        if state not in (s.IDLE, s.RUNNING):  # turns are told by ``<id>/log``
            self._log(tx, session, state, alias=before["alias"])

    def tell(self, tx: Tx, session: str) -> None:
        """A ``state_change`` event with what a list shows of the session."""
        self.notify(tx, "states")
        row = self.row(tx, session)
        extra = {"error": row["error"]} if row["error"] else {}
        self.stream.emit(
            tx, "state_change", session, concerns=(row["parent"] or "",), state=row["state"], alias=row["alias"] or "",
            backend=row["backend"], **extra,
        )  # fmt: skip

    def archived(self, tx: Tx, owner: str, message: str) -> None:
        """An ``archived`` event: a message of ``owner`` left the inbox."""
        session = None if owner == USER else owner
        self.stream.emit(tx, "archived", session, id=message, to=owner)

    def error(self, tx: Tx, session: str | None, text: str) -> None:
        """An ``error`` event, shown in ``sessions`` and in the daemon's log too."""
        row = tx.one("SELECT alias FROM sessions WHERE id = ?", session) if session is not None else None
        if session is not None and row is not None:
            self.set(tx, session, error=text)
        self._log(tx, session, text, logging.WARNING, alias=row["alias"] if row else None)
        self.stream.emit(tx, "error", session, error=text)

    def remove(self, tx: Tx, session: str) -> None:
        """Forget a session: it leaves the tree. Its mail stays in ``log``."""
        row = self.row(tx, session)
        s.check_change(row["state"], s.EXITED)
        tx.run("DELETE FROM chunks WHERE draft IN (SELECT id FROM drafts WHERE session = ?)", session)
        for table, column in (("drafts", "session"), ("prompts", "session"), ("sessions", "id")):
            tx.run(f"DELETE FROM {table} WHERE {column} = ?", session)
        tx.run("UPDATE messages SET box = 'gone' WHERE recipient = ?", session)
        tx.touch(session)
        self.notify(tx, "states")
        self.notify(tx, f"log {session}")
        self.stream.emit(
            tx,
            "state_change",
            session,
            concerns=(row["parent"] or "",),
            state=s.EXITED,
            alias=row["alias"] or "",
            backend=row["backend"],
        )
        self.stream.emit(tx, "session_end", session, concerns=(row["parent"] or "",), alias=row["alias"] or "")
        self._log(tx, session, s.EXITED, alias=row["alias"])

    def _log(self, tx: Tx, session: str | None, text: str, level: int = logging.INFO, *, alias: str | None) -> None:
        """A line in the daemon's log, once the job is on disk. What an agent said cannot make two lines of it."""
        who = " ".join(filter(None, (session or "user", alias)))
        clean = "".join(c if c.isprintable() else " " for c in text)
        tx.after(lambda: log.log(level, "%s: %s", who, clean))

    # -- waiting for rows (store's thread) -------------------------------------------------------------------------------

    def wait(self, topic: str, key: object, wake: Wake) -> None:
        """Call ``wake`` once, after the next commit that notifies ``topic``."""
        self._waiting.setdefault(topic, {})[key] = wake

    def forget(self, topic: str, key: object) -> None:
        """Do not call ``key``'s wake any more."""
        if topic in self._waiting:
            self._waiting[topic].pop(key, None)

    def notify(self, tx: Tx, topic: str) -> None:
        """After the commit wake whoever waits for ``topic``."""
        tx.after(lambda: self._wake(topic))

    def _wake(self, topic: str) -> None:
        for wake in self._waiting.pop(topic, {}).values():
            wake()


def parse_new(words: list[str]) -> dict[str, Any]:
    """The arguments of ``new <backend> <cwd> [role=R] [tasks=a,b] [alias=N]``. Raises Invalid."""
    if len(words) < 2:
        raise Invalid("usage: new <backend> <cwd> [role=R] [tasks=a,b] [alias=N]")
    found: dict[str, Any] = {"backend": words[0], "cwd": words[1], "role": "", "tasks": [], "alias": ""}
    for word in words[2:]:
        key, equals, value = word.partition("=")
        if not equals or key not in ("role", "tasks", "alias"):
            raise Invalid(f"new: what is '{word[:80]}'? (quote a directory with spaces; then role=, tasks=, alias=)")
        found[key] = [t for t in value.split(",") if t] if key == "tasks" else value
    return found


def check_cwd(path: str) -> str:
    """``path`` if an agent can work there: an absolute, existing directory. Raises Invalid or NotFound."""
    if not path.startswith("/"):
        raise Invalid(f"not an absolute directory: '{path[:200]}'")
    if "\n" in path or "\t" in path:
        raise Invalid("a directory's name cannot hold a tab or a newline here")
    if not os.path.isdir(path):
        raise NotFound(f"no directory '{path[:200]}'")
    if not os.access(path, os.R_OK | os.X_OK):
        raise AnvilError(f"cannot enter directory '{path[:200]}'")
    return os.path.realpath(path)  # once: a link that is put there later is refused at the launch
