"""The login in a session's own directory: the agent gets a copy of it alone, and what it renews there goes to all that share the login.

What an agent writes is hostile: its copy is read without following links, bounded, and of it only those values are taken over that
the backend's file names, and only from a copy that the agent has changed since it got it while no one else renewed the login. So an
old copy, a broken one, or none never takes the login from the others. ``login.json`` in the session's directory, out of the agent's
sight, says what its copy was given.

Threads: ``sync`` from any, kept apart by the vault's lock; :class:`Logins` has one of its own, which watches the copies and the vault.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anvilsrv.agents import transcript
from anvilsrv.backends.registry import Backends
from anvilsrv.backends.vault import Login, Vault, loaded, mark, renewed, with_renewed
from anvilsrv.errors import AnvilError
from anvilsrv.linux import beneath
from anvilsrv.linux.inotify import IN_CLOSE_WRITE, IN_MOVED_TO, Inotify
from anvilsrv.linux.reactor import Deadline, Reactor
from anvilsrv.linux.replace import write
from anvilsrv.sessions.state import View
from anvilsrv.strict_json import dumps, loads_object

GIVEN = "login.json"
REST = 0.05  # s between two looks at what has happened
SETTLE = 0.2  # s from the first news of a copy to its reading


def give(vault: Vault, backend: str, login: Login, top: Path) -> None:
    """Give the agent the login at a start, after taking over what the agent of the session in ``top`` has renewed.
    Raises AnvilError.
    """
    if vault.has(backend, login.files):
        _all(vault, backend, login, top, start=True)


def sync(vault: Vault, backend: str, login: Login, top: Path) -> None:
    """Do the same while it runs, for what it was given. Raises AnvilError."""
    if (top / GIVEN).exists() and vault.has(backend, login.files):
        _all(vault, backend, login, top, start=False)


def withhold(top: Path) -> None:
    """Withhold the login: the agent uses another way to log in."""
    (top / GIVEN).unlink(missing_ok=True)


def _all(vault: Vault, backend: str, login: Login, top: Path, start: bool) -> None:
    with vault.locked(backend):
        given = _given(top)
        after = {name: _one(vault, backend, login, top, name, given.get(name)) for name in login.files}
        marks = {name: one for name, one in after.items() if one}
        if start or marks != given:
            write(top / GIVEN, dumps(marks))


def _given(top: Path) -> dict[str, str]:
    try:
        return {name: str(one) for name, one in loads_object((top / GIVEN).read_bytes()).items()}
    except (OSError, AnvilError):
        return {}


def _one(vault: Vault, backend: str, login: Login, top: Path, name: str, given: str | None) -> str:
    """Bring one file and its copy together; the mark of what both are then."""
    known = vault.get(backend, name)
    if known is None:
        return ""
    ours = renewed(login, known, known) or {}
    try:
        copy: dict[str, Any] = loaded(top / "data", name)
    except AnvilError:
        copy = {}
    theirs = renewed(login, known, copy) if copy else None
    if theirs is not None and mark(theirs) == mark(ours):
        return mark(ours)
    if theirs is not None and given == mark(ours):
        vault.put(backend, name, with_renewed(known, theirs))
        return mark(theirs)
    beneath.write(top / "data", name, dumps({**copy, **known}, indent=2) + "\n")
    return mark(ours)


class Logins:
    """Follows the rows: the copy of each session is watched, and the vault, in which a login may be renewed."""

    def __init__(
        self,
        directory: Callable[[str], Path],
        backends: Backends,
        vault: Vault,
        on_error: Callable[[BaseException], None],
    ) -> None:
        self._directory, self._backends, self._vault, self._on_error = directory, backends, vault, on_error
        self._sessions: dict[str, str] = {}  # -> backend; this and what follows is the thread's own
        self._watches: dict[int, str] = {}  # number of the watch -> session, or backend with a / before it
        self._next: dict[str, Deadline] = {}
        self._inotify = Inotify()
        self._reactor = Reactor("logins", on_error)
        self._reactor.watch(self._inotify.fileno(), self._changed)
        self._reactor.start()

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if after is None and before is not None:
            self._reactor.do(lambda: self._leave(before.id))
        elif after is not None and (before is None or before.state != after.state):
            self._reactor.do(lambda: self._watch(after.id, after.backend))

    def close(self) -> None:
        """End and join the thread."""
        self._reactor.close()
        self._inotify.close()

    def _login(self, backend: str) -> Login | None:
        found = self._backends.last(backend)
        return None if found is None else found.login

    def _watch(self, session: str, backend: str) -> None:
        login = self._login(backend)
        if login is None:
            return
        self._sessions[session] = backend
        known = set(self._watches.values())
        if f"/{backend}" not in known and self._vault.directory(backend).is_dir():
            self._add(str(self._vault.directory(backend)), f"/{backend}")
        for name in login.files:  # again at each start: the agent may have put another directory there
            fd = transcript.directory(self._directory(session) / "data", name.split("/")[:-1])
            if fd is not None:
                try:
                    self._add(f"/proc/self/fd/{fd}", session)
                finally:
                    os.close(fd)
        self._soon(session)

    def _add(self, path: str, who: str) -> None:
        try:
            self._watches[self._inotify.add(path, IN_CLOSE_WRITE | IN_MOVED_TO)] = who
        except OSError as error:
            self._on_error(error)

    def _changed(self) -> None:
        self._reactor.unwatch(self._inotify.fileno())  # what comes soon is looked at with what comes after it
        self._reactor.at(REST, lambda: self._reactor.watch(self._inotify.fileno(), self._changed))
        for who in {self._watches[number] for number in self._inotify.read() if number in self._watches}:
            for session, backend in self._sessions.items():
                if who in (session, f"/{backend}"):
                    self._soon(session)

    def _soon(self, session: str) -> None:
        if session not in self._next:
            self._next[session] = self._reactor.at(SETTLE, lambda: self._look(session))

    def _look(self, session: str) -> None:
        self._next.pop(session, None)
        backend = self._sessions.get(session, "")
        login = self._login(backend)
        if login is None:
            return
        try:
            sync(self._vault, backend, login, self._directory(session))
        except Exception as error:
            self._on_error(error)

    def _leave(self, session: str) -> None:
        self._sessions.pop(session, None)
        deadline = self._next.pop(session, None)
        if deadline is not None:
            deadline.cancel()
        for number in [number for number, one in self._watches.items() if one == session]:
            del self._watches[number]
            self._inotify.remove(number)
