"""The registry of sessions: the only module that reads and writes the table ``sessions``, and the views that readers see.

Threads: methods that take a Tx run on the store's thread. ``views``, ``find`` and ``listing`` are read from any thread:
``views`` is a dictionary that is replaced, never changed.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from anvilsrv.activity.doing import ANSWERING, MODEL, SILENT
from anvilsrv.activity.recorder import MOST, Recorder
from anvilsrv.display import one_line, shown
from anvilsrv.errors import Exists, Invalid, NotFound
from anvilsrv.sessions import prompts, remarks, turn_rows
from anvilsrv.sessions.errors import Errors
from anvilsrv.sessions.state import LIVE, Session, State, View, check_alias, check_change, from_row, same
from anvilsrv.store.effects import Later, Note
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import STATES, Topics, answer_to, conversation_of
from anvilsrv.strict_json import dumps
from anvilsrv.words import ROOT, USER

KEEP = 10_000  # killed sessions whose ids are remembered
OFTEN = 0.3  # s between two events of what a session does
NAMED = ("role", "alias", "branch", "base", "from", "same", "bead", "command")  # arguments of ``new`` that are one word
BESIDE = ("alias", "same", "command")  # those that go with ``same=``
LINES = 2000  # of the file `sandbox`
LONGEST = 10_000  # characters of an error
NEW = (
    "new <backend> <cwd> [role=R] [tasks=a,b] [alias=N] [branch=B [base=C] [from=working]] [bead=B] [model=M] [mode=M] [command=C]"
    ", new <backend> same=<id> [alias=N]"
)
CHOSEN = ("model", "mode")  # options of the agent that ``new`` sets
TIMED = ("alias", "state", "context", "pid", "ask", "usage")  # files whose time of change is kept


class Touched(NamedTuple):
    """What a commit did to one session: its views before and after; None where it was not yet, or is no more."""

    before: View | None
    after: View | None


class Registry:
    """All sessions of one namespace."""

    def __init__(
        self, stream: Stream, topics: Topics, backends: Callable[[], Iterable[str]] = tuple, activity: int = MOST,
        doing: Callable[[str], str] = lambda backend: "",
    ) -> None:  # fmt: skip
        self.stream = stream
        self.topics = topics
        self.activity = Recorder(self._does, activity, self._cwd, self.itself)
        self._told: dict[
            str, float
        ] = {}  # when it was told last what a session does (monotonic, s); the store's thread
        self._late: set[str] = set()  # sessions of which it is to be told; the same
        self._backends = backends  # their names, which no session has; without I/O
        self._doing = doing  # what a session of that backend does in a turn, where there is no model; without I/O
        self.views: dict[str, View] = {}
        self._aliases: dict[str, str] = {}
        self._list: tuple[object, bytes] = (None, b"")
        self._errors = Errors()
        self.changed = time.time()

    # -- views ---------------------------------------------------------------------------------------------------

    def load(self, tx: Tx) -> list[Touched]:
        """Make every view, at start. An alias that is a name of the root by now is changed, and that is told."""
        for row in tx.all("SELECT id, alias FROM sessions WHERE alias IS NOT NULL"):
            if row["alias"] in ROOT:
                self._move(tx, row["id"], row["alias"])
        return self.refresh(tx, {row["id"] for row in tx.all("SELECT id FROM sessions")})

    def refresh(self, tx: Tx, ids: set[str]) -> list[Touched]:
        """Rebuild the views of these sessions; return what changed."""
        if not ids:
            return []
        views, touched = dict(self.views), []
        for one in ids:
            before = views.pop(one, None) if (made := _view(tx, one, views.get(one))) is None else views.get(one)
            if made is not None:
                views[one] = made
            if before is not None or made is not None:
                touched.append(Touched(before, made))
        self._aliases = {v.alias: v.id for v in views.values() if v.alias}
        self.changed = tx.now.wall
        new = len(views) != len(self.views)
        self.views = dict(sorted(views.items(), key=lambda item: item[1].seq)) if new else views
        return touched

    def find(self, name: str) -> View | None:
        """Return the session with that id or alias, or None."""
        views = self.views
        return views.get(name) or views.get(self._aliases.get(name, ""))

    def get(self, name: str) -> View:
        """Return the session with that id or alias. Raises NotFound."""
        found = self.find(name)
        if found is None:
            raise NotFound(f"no such session '{name[:80]}'")
        return found

    def listing(self) -> bytes:
        """Return the content of ``list``; made once per change."""
        views = self.views
        if self._list[0] is not views:
            self._list = (views, "".join(v.line() for v in views.values()).encode())
        return self._list[1]

    def descends(self, child: str, ancestor: str) -> bool:
        """Return whether ``ancestor`` spawned ``child``, directly or through others."""
        seen: set[str] = set()
        while (one := self.views.get(child)) is not None and one.parent and child not in seen:
            if one.parent == ancestor:
                return True
            seen.add(child)
            child = one.parent
        return False

    def family(self, session: str) -> str:
        """Return the first of those that spawned one another, which may be gone. What is bounded is bounded for all of
        them.
        """
        seen: set[str] = set()
        while (view := self.views.get(session)) is not None and view.parent and session not in seen:
            seen.add(session)
            session = view.parent
        return session

    # -- rows (store's thread) ---------------------------------------------------------------------------------------

    def row(self, tx: Tx, session: str) -> Session:
        """Return the session as this job sees it. Raises NotFound."""
        found = self.maybe(tx, session)
        if found is None:
            raise NotFound(f"no such session '{session[:80]}'")
        return found

    def maybe(self, tx: Tx, session: str) -> Session | None:
        """Return the same, or None."""
        row = tx.one("SELECT * FROM sessions WHERE id = ?", session)
        return None if row is None else from_row(row)

    def _cwd(self, tx: Tx, session: str) -> str:
        found = self.maybe(tx, session)
        return found.cwd if found is not None else ""

    def there(self, tx: Tx, session: str) -> bool:
        """Return whether there is such a session."""
        return tx.one("SELECT 1 FROM sessions WHERE id = ?", session) is not None

    def beside(self, tx: Tx, session: str) -> list[str]:
        """Return the sessions that work in its sandbox."""
        return [row["id"] for row in tx.all("SELECT id FROM sessions WHERE beside = ?", session)]

    def named(self, tx: Tx, name: str) -> str | None:
        """Return the id of the session with that id or alias, or None."""
        row = tx.one("SELECT id FROM sessions WHERE id = ?1 OR alias = ?1", name)
        return None if row is None else str(row["id"])

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
        chosen: Mapping[str, str] | None = None,
        command: Iterable[str] = (),
        id: str = "",
    ) -> str:
        """Create a session in state ``starting``. Raises Invalid for a bad alias, Conflict for one that is taken.
        Returns the id.
        """
        if alias:
            self._free(tx, check_alias(alias), "")
        made = id or os.urandom(4).hex()
        while self.there(tx, made):
            made = os.urandom(4).hex()
        last = tx.one("SELECT coalesce(max(seq), 0) AS last FROM sessions")
        now = tx.now.wall
        tx.run(
            "INSERT INTO sessions(id, seq, alias, backend, cwd, role, tasks, parent, state, tier, policy, created, changed,"
            " chosen, command) VALUES(?,?,?,?,?,?,?,?,'starting',?,?,?,?,?,?)",
            made, (last["last"] if last else 0) + 1, alias or None, backend, cwd, role, json.dumps(list(tasks)), parent,
            tier, policy, now, now, dumps(dict(chosen or {})),
            json.dumps(list(command)),
        )  # fmt: skip
        tx.touch(made)
        self.stream.emit(
            tx,
            "session_new",
            made,
            concerns=(parent or "",),
            backend=backend,
            cwd=cwd,
            alias=alias,
            state=State.STARTING,
        )
        self._log(tx, made, f"new: {backend} in {cwd}", alias=alias)
        return made

    def _free(self, tx: Tx, alias: str, but: str) -> None:
        """Refuse what a person would take for the user, a backend or another session."""
        name = same(alias)
        if name == same(USER) or name in map(same, self._backends()):
            raise Invalid(f"invalid alias '{alias}': that is the name of the user or of a backend")
        for row in tx.all("SELECT id, alias FROM sessions WHERE alias IS NOT NULL AND id != ?", but):
            if same(row["alias"]) == name:
                raise Exists(f"alias '{row['alias']}' already exists: it is taken by {row['id']}")

    def _move(self, tx: Tx, session: str, alias: str) -> None:
        number = 1
        while self.named(tx, f"{alias}-{number}") is not None:
            number += 1
        self.set(tx, session, alias=f"{alias}-{number}")
        self.error(tx, session, f"alias '{alias}' is now a file of the tree: the session is called '{alias}-{number}'")

    def rename(self, tx: Tx, session: str, alias: str) -> None:
        """Give ``session`` an alias; an empty one takes it away."""
        self.row(tx, session)
        if alias:
            self._free(tx, check_alias(alias), session)
        self.set(tx, session, alias=alias or None)
        self.tell(tx, session)

    def see(self, tx: Tx, session: str, number: str) -> None:
        """Note that the user has looked at the answers up to that number of a prompt. Raises Invalid and NotFound."""
        row = self.row(tx, session)
        if not (number.isascii() and number.isdecimal() and len(number) < 20) or int(number) > row.numbers:
            raise Invalid(f"invalid seen: must be the number of a prompt, at most {row.numbers}")
        if int(number) != row.seen:
            self.set(tx, session, seen=int(number))
            self.stream.emit(tx, "session_update", session, seen=int(number))

    def set(self, tx: Tx, session: str, **columns: Any) -> None:
        """Change columns of the session's row."""
        names = ", ".join(f"{name} = ?" for name in columns)
        tx.run(f"UPDATE sessions SET {names}, changed = ? WHERE id = ?", *columns.values(), tx.now.wall, session)
        tx.touch(session)

    def number(self, tx: Tx, session: str) -> int:
        """Return the next number of a prompt, which is never given again. Raises NotFound."""
        row = tx.one("UPDATE sessions SET numbers = numbers + 1 WHERE id = ? RETURNING numbers", session)
        if row is None:
            raise NotFound(f"no such session '{session[:80]}'")
        tx.touch(session)
        return int(row["numbers"])

    def change(self, tx: Tx, session: str, state: State, error: str = "") -> None:
        """Set the state and emit ``state_change``. No-op if unchanged. Raises Conflict for a change that is not legal."""
        before = self.row(tx, session)
        check_change(before.state, state)
        if before.state == state:
            return
        kept = before.error if state in (State.STARTING, State.IDLE) else ""
        self.set(tx, session, state=state, error=error or kept, doing_since=tx.now.wall)
        if state not in LIVE:  # who waits for a response must learn that it does not come now
            for number in prompts.queued(tx, session):
                self.topics.notify(tx, answer_to(number))
        self.tell(tx, session)
        if state not in (State.IDLE, State.RUNNING):  # turns are told by ``<id>/log``
            self._log(tx, session, state, alias=before.alias)

    def _does(self, tx: Tx, session: str, words: str) -> None:
        """Announce, now or soon, that what a session does has changed, with what it does then."""
        row = self.row(tx, session)
        if words == ANSWERING and row.doing and row.doing == self._doing(row.backend):
            return  # it does what it did before
        words = self._words(row, words)
        since = tx.now.monotonic - self._told.get(session, -OFTEN)
        if 0 <= since < OFTEN:
            if session not in self._late:
                self._late.add(session)
                tx.after(Later(session, OFTEN))
            return
        self._told[session] = tx.now.monotonic
        same = words.partition(SILENT)[0] == row.doing.partition(SILENT)[0]
        began = (row.doing_since if same else None) or tx.now.wall
        self.set(tx, session, doing=words, doing_since=began)
        self.stream.emit(tx, "session_update", session, doing=words, since=round(began, 3))

    def itself(self, tx: Tx, session: str, told: Mapping[str, Any]) -> None:
        """Keep what an agent tells of itself, and announce what is shown of that."""
        row = self.row(tx, session)
        if (now := {**row.itself, **told}) != row.itself:
            self.set(tx, session, itself=dumps(now))
            self.stream.emit(tx, "session_update", session, **self.row(tx, session).agent())

    def choose(self, tx: Tx, session: str, name: str, value: str) -> None:
        """Keep that the user has chosen this of an option."""
        row = self.row(tx, session)
        self.set(tx, session, chosen=dumps({**row.chosen, name: value}))
        self.stream.emit(tx, "session_update", session, **self.row(tx, session).agent())

    def silent(self, tx: Tx, session: str, seconds: float) -> None:
        """Record that the agent of a session has reported nothing for that long; 0: it does again."""
        row = self.maybe(tx, session)
        if row is not None and row.state == State.RUNNING:
            self.activity.silent(tx, session, seconds, row.doing)

    def catch_up(self, tx: Tx, session: str) -> None:
        """Tell what a session does by now, if that was put off (effect ``Later``)."""
        self.activity.catch_up(tx, session)
        if session not in self._late:
            return
        self._late.discard(session)
        self._told.pop(session, None)
        row, words = self.maybe(tx, session), self.activity.doing(session)
        if row is not None and row.doing != self._words(row, words):
            self._does(tx, session, words)

    def _words(self, row: Session, words: str) -> str:
        return (self._doing(row.backend) or words) if words in (MODEL, ANSWERING) else words

    def tell(self, tx: Tx, session: str) -> None:
        """Emit a ``state_change`` event with what a list shows of the session."""
        self.topics.notify(tx, STATES)
        row = self.row(tx, session)
        extra = {"error": row.error} if row.error else {}
        self.stream.emit(
            tx, "state_change", session, concerns=(row.parent or "",), state=row.state, alias=row.alias,
            backend=row.backend, **extra,
        )  # fmt: skip

    def error(self, tx: Tx, session: str | None, text: str) -> None:
        """Emit an ``error`` event, shown in ``sessions`` and in the daemon's log too."""
        row, text = self.maybe(tx, session) if session is not None else None, shown(text[:LONGEST])
        if row is not None:
            left_out = self._errors.left_out(row.id, tx.now.monotonic)
            if left_out is None:
                return
            text += f" ({left_out:,} before it were left out)" if left_out else ""
            self.set(tx, row.id, error=text)
        self._log(tx, session, text, logging.WARNING, alias=row.alias if row else "")
        self.stream.emit(tx, "error", session, error=text)

    def told(self, tx: Tx, session: str, lines: list[str], event: str = "git") -> None:
        """Report what a turn left behind (``commits``, ``planted``), or the network refused: an event, in ``log``, and
        in ``sandbox`` until the next start.
        """
        row = self.maybe(tx, session)
        if row is None:
            return
        there = row.policy.splitlines(keepends=True)
        kept = [line for line in there if not (line.startswith("commits\t") and lines[0].startswith("commits\t"))]
        self.set(tx, session, policy="".join([*kept, *(line for line in lines if line not in kept)][:LINES]))
        for line in lines:
            word, _, text = line.rstrip("\n").partition("\t")
            self._log(tx, session, f"{word}: {text}", alias=row.alias)
            self.stream.emit(tx, event, session, what=word, text=text)
            self.activity.record(
                tx, session, prompts.known(tx, session).last, "note", text=f"{word}: {text}", level=event
            )
        remarks.add(tx, session, "".join(line.replace("\t", ": ") for line in lines))
        self.topics.notify(tx, conversation_of(session))

    def forwarded(self, tx: Tx, session: str, port: int, on: bool) -> None:
        """Record that a port of its sandbox is served outside, or no longer: in the file ``sandbox`` until the next
        start.
        """
        row = self.maybe(tx, session)
        if row is None:
            return
        line = f"forward\ttcp {port}\thttp://127.0.0.1:{port}\n"
        kept = [one for one in row.policy.splitlines(keepends=True) if one != line]
        self.set(tx, session, policy="".join([*kept, *([line] if on else [])]))

    def limited(self, tx: Tx, session: str, wanted: Mapping[str, str | None], lines: str) -> None:
        """Record the limits that the user set (None: the layers' again). What they are now is in ``lines`` of the file
        ``sandbox``. Raises NotFound.
        """
        row = self.row(tx, session)
        kept = {name: said for name, said in {**row.limits, **wanted}.items() if said is not None}
        shown = {tuple(line.split("\t")[:2]): line for line in lines.splitlines(keepends=True)}
        policy = [shown.pop(tuple(line.split("\t")[:2]), line) for line in row.policy.splitlines(keepends=True)]
        self.set(tx, session, limits=json.dumps(kept), policy="".join([*policy, *shown.values()]))
        self.tell(tx, session)

    def remove(self, tx: Tx, session: str) -> None:
        """Forget a session: it leaves the tree."""
        row = self.row(tx, session)
        check_change(row.state, State.EXITED)
        tx.run("DELETE FROM sessions WHERE id = ?", session)
        self._errors.forget(session)
        tx.run("INSERT OR REPLACE INTO killed(id) VALUES(?)", session)
        tx.run("DELETE FROM killed WHERE seq <= (SELECT max(seq) FROM killed) - ?", KEEP)
        tx.touch(session)
        self.topics.notify(tx, STATES)
        self.topics.notify(tx, conversation_of(session))
        concerns = (row.parent or "",)
        self.stream.emit(
            tx, "state_change", session, concerns=concerns, state=State.EXITED, alias=row.alias, backend=row.backend
        )
        self.stream.emit(tx, "session_end", session, concerns=concerns, alias=row.alias)
        self._log(tx, session, State.EXITED, alias=row.alias)

    def killed(self, tx: Tx) -> frozenset[str]:
        """Return the sessions of this store that were killed, the last of them."""
        return frozenset(row["id"] for row in tx.all("SELECT id FROM killed"))

    def _log(self, tx: Tx, session: str | None, text: str, level: int = logging.INFO, *, alias: str) -> None:
        """Write a line to the daemon's log, once the job is on disk. What an agent said cannot make two lines of it."""
        who = " ".join(filter(None, (session or "user", alias)))
        tx.after(Note(level, one_line(f"{who}: {text}")))


def _view(tx: Tx, session: str, before: View | None) -> View | None:
    """Return the view of ``session`` as the rows are now; None when it is gone."""
    row = tx.one("SELECT * FROM sessions WHERE id = ?", session)
    if row is None:
        return None
    made, known = from_row(row), prompts.known(tx, session)
    now, last = tx.now.wall, turn_rows.last(tx, session)
    times = {
        name: before.times[name] if before is not None and getattr(before, name) == getattr(made, name) else now
        for name in TIMED
    }
    return View(
        **vars(made),
        turns=0 if last is None else last.number,
        background=len(turn_rows.pending(tx, session)),
        answered=prompts.answered(tx, session),
        in_turn=turn_rows.number_open(tx, session),
        **known._asdict(),
        times=times,
    )


def parse_new(words: list[str]) -> dict[str, Any]:
    """Return the arguments of ``new``. Raises Invalid."""
    if len(words) < 2:
        raise Invalid(f"invalid arguments; usage: {NEW}")
    beside = words[1].startswith("same=")
    found: dict[str, Any] = {"backend": words[0], "cwd": words[1], "tasks": [], "chosen": {}} | dict.fromkeys(NAMED, "")
    for word in words:
        if one_line(word) != word:
            raise Invalid(f"new: '{one_line(word)[:80]}' contains a control or invisible character")
    for word in words[1 if beside else 2 :]:
        key, equals, value = word.partition("=")
        if equals and value and key in CHOSEN:
            found["chosen"][key] = value
            continue
        if not equals or key not in ("tasks", *NAMED):
            raise Invalid(
                f"new: unknown argument '{word[:80]}' (expected role=, tasks=, alias=, branch=, base=, from=, bead=, same=, model=,"
                " mode= or command=; quote a path that contains spaces)"
            )
        found[key] = [t for t in value.split(",") if t] if key == "tasks" else value
    found["branch"] = found["branch"] or found["bead"]
    _check_new(found)
    return found


def _check_new(found: Mapping[str, Any]) -> None:
    """Refuse arguments that do not go together. Raises Invalid."""
    if found["same"] and (more := [name for name in (*NAMED, "tasks") if found[name] and name not in BESIDE]):
        raise Invalid(f"new: same= takes everything from another session and cannot be combined with {more[0]}=")
    if found["same"] and not found["cwd"].startswith("same="):
        raise Invalid("new: same= is where another session is: name no other place")
    if found["from"] not in ("", "working"):
        raise Invalid(f"new: invalid from='{found['from'][:80]}' (expected working)")
    for name in ("base", "from"):
        if found[name] and not found["branch"]:
            raise Invalid(f"new: {name}= needs branch=")
    if found["from"] and found["base"]:
        raise Invalid("new: from=working begins with what is checked out and cannot be combined with base=")
