"""The daemon's tree seen from outside: what Assist reads and writes of `agent/`.

`Agent` may be used by several threads. It holds one connection and makes another when the daemon came back; a write
that may have arrived is never repeated.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from anvilsrv import paths, words
from anvilsrv.errors import AnvilError, NotFound, Unavailable
from anvilsrv.front import requests
from anvilsrv.front.follow import Row, read_json
from anvilsrv.front.notes import Note, asks, label, notes
from anvilsrv.p9.client import Client, ConnectionLost, File, P9Error
from anvilsrv.p9.wire import ORDWR, OREAD, OTRUNC, OWRITE
from anvilsrv.strict_json import dumps
from anvilsrv.words import USER

T = TypeVar("T")

_MISSING = re.compile(
    r"file does not exist: '(?:[^/']+/turns/([^/']+)|[^/']+/(?:inbox|archive)/([^/']+)|beads/([^/']+)|([^/']+))'?"
)
_THINGS = ("turn", "message", "task", "session")  # those of its groups

_PATIENCE = 5.0  # s for an answer of the daemon
_LONG = 180.0  # s for one of which git may have to be asked elsewhere


@dataclass(frozen=True, slots=True)
class Ask:
    """What an agent waits for: a permission, an answer. `detail` is what it is about, as a command; `diff` what it changes."""

    text: str
    choices: tuple[str, ...]
    detail: str = ""
    id: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One row of `sessions`. `label` is how a person calls it."""

    id: str
    alias: str
    label: str
    backend: str
    state: str
    cwd: str
    asks: tuple[Ask, ...] = ()
    notes: tuple[Note, ...] = ()
    needs: str = ""  # what it needs the user for
    doing: str = ""
    since: float = 0.0
    answered: int = 0  # the number of its last answer's prompt
    seen: int = 0
    branch: str = ""  # of its own
    usage: dict[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Backend:
    """One line of `backends`; `trouble` says why it cannot run here, and is empty if it can."""

    name: str
    title: str
    trouble: str
    word: str  # what is middle-clicked


def listed(rows: Iterable[tuple[str, str, str]]) -> tuple[Backend, ...]:
    """Return backends of names, titles and troubles. One is known by the word of its title that is its name too
    (``Kiro``), else by the title's first; if another before it has that word (``Claude``, ``claude-acp``), by its name.
    """
    found: dict[str, Backend] = {}
    for name, title, trouble in rows:
        words = title.split() or [name]
        word = next((word for word in words if word.lower() == name.split("-")[0]), words[0])
        word = name if word in found else word
        found[word] = Backend(name, title, trouble, word)
    return tuple(found.values())


@dataclass(frozen=True)
class Roster:
    """The sessions and backends at one moment."""

    sessions: tuple[Session, ...] = ()
    backends: tuple[Backend, ...] = ()
    _by_name: dict[str, Session] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._by_name.update({session.alias: session for session in self.sessions if session.alias})
        self._by_name.update({session.id: session for session in self.sessions})

    @property
    def ids(self) -> Set[str]:
        """Ids and aliases."""
        return self._by_name.keys()

    def find(self, name: str) -> Session | None:
        """Return the session of that id or alias. A word that only looks like an id is not one."""
        return self._by_name.get(name.removeprefix("anvil:"))

    def get(self, name: str) -> Session:
        """Return the session of that id or alias. Raises NotFound."""
        session = self.find(name)
        if session is None:
            raise NotFound(f"no such session '{name}'")
        return session

    def backend(self, word: str) -> Backend | None:
        """Return the backend of that name or word."""
        return next((each for each in self.backends if word in (each.name, each.word)), None)


class Agent:
    """The service `agent` of this namespace. Every method raises Unavailable while the daemon is away."""

    def __init__(self, path: str | None = None) -> None:
        self.path = path or paths.socket()
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._asking: dict[int | None, float] = {}  # since when which thread waits for an answer

    # reading

    def roster(self) -> Roster:
        return roster(self._again(lambda client: read_json(client, "sessions")), self.backends())

    def backends(self) -> tuple[Backend, ...]:
        rows = self._again(requests.backends)
        return listed((row["name"], row["title"], "" if row["status"] == "ok" else row["status"]) for row in rows)

    def box(self, owner: str, name: str) -> list[Row]:
        return self._again(partial(requests.box, owner=owner, name=name))

    def queue(self, session: str) -> list[requests.Queued]:
        return self._again(partial(requests.queue, session=session))

    def roles(self) -> list[dict[str, str]]:
        return self._again(requests.roles)

    def beads(self, name: str) -> list[Row]:
        """Return ``list`` or ``ready``."""
        found: list[Row] = self._again(lambda client: read_json(client, f"beads/{name}"))
        return found

    def read(self, path: str) -> str:
        return self._again(lambda client: client.read(path)).decode("utf-8", "replace")

    def open(self, path: str, mode: int = OREAD) -> File:
        return self._again(lambda client: client.open(path, mode))

    def wait(self) -> None:
        """Wait until a daemon that does not answer does so again, however long that takes."""
        Client(self.path, timeout=None).close()

    def answers(self, seconds: float) -> bool:
        """Return whether the daemon answers at all, within that time: it may only take long to do what another asked."""
        try:
            Client(self.path, timeout=seconds).close()
        except AnvilError:
            return False
        return True

    # writing

    def write(self, path: str, text: str) -> None:
        """Write the whole text at once; what the daemon refuses, at the write or at the close, is raised."""
        with self._writing(path, OWRITE | OTRUNC) as file:
            file.write(text.encode("utf-8", "replace"))

    def prompt(self, id: str, text: str) -> None:
        self.write(f"{id}/in", text)

    def control(self, id: str, command: str) -> None:
        self.write(f"{id}/ctl", command + "\n")

    def new(self, backend: str, cwd: str, options: Iterable[str] = ()) -> str:
        """Start a session in `cwd`; its id. `options` are words like ``role=reviewer``."""
        with self._writing("ctl", ORDWR) as file:
            file.write(f"{words.join(['new', backend, cwd, *options])}\n".encode())
            return file.read(4096, 0).decode().strip()

    def bead(self, *command: str) -> str:
        """Run a command of ``beads/ctl``. Returns the id if it gives one."""
        with self._writing("beads/ctl", ORDWR) as file:
            file.write(f"{words.join(command)}\n".encode())
            return file.read(4096, 0).decode().strip()

    def ask(self, path: str, text: str) -> str:
        """Run a command that is answered in the same open file. It may take long, as a push does."""
        with self._writing(path, ORDWR) as file:
            file.write(f"{text}\n".encode(), timeout=_LONG)
            return file.read(1 << 16, 0).decode("utf-8", "replace").strip()

    def send(self, message: dict[str, Any], sender: str = USER) -> None:
        """Send mail; `message` has to, type, subject, body."""
        self.write(f"{sender}/mail", dumps(message))

    @contextmanager
    def _writing(self, path: str, mode: int) -> Iterator[File]:
        """Yield a file open for one command. Opening is repeated on a new connection if it must be, writing never."""
        file = self.open(path, mode)
        try:
            with self._waiting(), file:
                yield file
        except ConnectionLost as error:
            raise Unavailable(f"the daemon went away while '{path}' was written: {error}") from None

    # connection

    def forget(self) -> None:
        """Drop the connection; the next call makes a new one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def waited(self, thread: threading.Thread) -> float:
        """Return for how many seconds that thread has been waiting for the daemon; 0 if it is not."""
        since = self._asking.get(thread.ident)
        return 0.0 if since is None else time.monotonic() - since

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        me = threading.get_ident()
        self._asking[me] = time.monotonic()
        try:
            yield
        finally:
            del self._asking[me]

    def _dial(self) -> Client:
        try:
            return Client(self.path, timeout=_PATIENCE)
        except Unavailable as error:
            raise Unavailable(f"the daemon is not running: {error}") from None

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._dial()
            return self._client

    def _again(self, ask: Callable[[Client], T]) -> T:
        """Ask; what the daemon does not have is called by its name."""
        try:
            return self._asked(ask)
        except P9Error as error:
            raise P9Error(_named_in(error.ename)) from None

    def _asked(self, ask: Callable[[Client], T]) -> T:
        """Ask; and once more on a new connection when the old one turns out dead (only for what may be repeated)."""
        try:
            with self._waiting():
                return ask(self._connected())
        except ConnectionLost:
            self.forget()
        try:
            with self._waiting():
                return ask(self._connected())
        except ConnectionLost as error:
            raise Unavailable(f"the daemon went away: {error}") from None


def _named_in(text: str) -> str:
    """Return the text of an error with the thing in place of its path in the tree, which a person has not written."""
    found = _MISSING.match(text)
    if found is None:
        return text
    kind, name = next((kind, name) for kind, name in zip(_THINGS, found.groups(), strict=True) if name)
    return "no turn yet" if (kind, name) == ("turn", "last") else f"no such {kind} '{name}'"


def named(asks: tuple[Ask, ...], choice: str) -> str:
    """Return what is written to ``answer``: the choice after the id of its question, if there is no doubt which that
    is.
    """
    sure = len(asks) == 1 and asks[0].id and choice.split(maxsplit=1)[:1] != [asks[0].id]
    return f"{asks[0].id} {choice}\n" if sure else f"{choice}\n"


def roster(rows: Iterable[Row], backends: tuple[Backend, ...]) -> Roster:
    """Return what is known of the rows of `sessions` and of the backends."""
    return Roster(tuple(map(_session, rows)), backends)


class Sessions:
    """The sessions of rows that come again and again: one whose row is the same is not made again."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Row, Session]] = {}  # by their ids

    def of(self, rows: Iterable[Row]) -> tuple[Session, ...]:
        made: dict[str, tuple[Row, Session]] = {}
        for row in rows:
            before = self._made.get(row["id"])
            made[row["id"]] = before if before is not None and before[0] == row else (row, _session(row))
        self._made = made
        return tuple(session for _, session in made.values())


def _session(row: Row) -> Session:
    return Session(
        id=row["id"],
        alias=row["alias"],
        label=label(row),
        backend=row["backend"],
        state=row["state"],
        cwd=row["cwd"],
        asks=tuple(map(_ask, asks(row))),
        notes=tuple(notes(row)),
        needs=row.get("needs") or "",
        doing=row.get("doing") or "",
        since=row.get("since") or 0.0,
        answered=row.get("answered") or 0,
        seen=row.get("seen") or 0,
        branch=row.get("branch") or "",
        usage={name: value for name, value in (row.get("usage") or {}).items() if isinstance(value, int | float)},
    )


def _ask(row: Row) -> Ask:
    choices = tuple(str(choice) for choice in row.get("choices") or ())
    return Ask(
        row.get("text") or "", choices, row.get("detail") or "", str(row.get("id") or ""), str(row.get("diff") or "")
    )
