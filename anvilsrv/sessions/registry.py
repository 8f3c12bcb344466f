"""The registry of sessions: the changes that are told to everybody, and the views that readers see of the rows (``session_rows.py``).

Threads: methods that take a Tx run on the store's thread. ``views``, ``find`` and ``listing`` are read from any thread:
``views`` is a dictionary that is replaced, never changed.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from anvilsrv.activity.recorder import MOST
from anvilsrv.display import one_line, shown
from anvilsrv.errors import Exists, Invalid, NotFound
from anvilsrv.sessions import prompts, remarks, session_rows, turn_rows
from anvilsrv.sessions.doing import Doing
from anvilsrv.sessions.errors import Errors
from anvilsrv.sessions.state import LIVE, State, View, check_alias, check_change, same
from anvilsrv.store.effects import Note
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import STATES, Topics, answer_to, conversation_of
from anvilsrv.strict_json import dumps
from anvilsrv.words import ROOT, USER

LINES = 2000  # of the file `sandbox`
LONGEST = 10_000  # characters of an error
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
        self.doing = Doing(stream, activity, doing)
        self.activity = self.doing.activity
        self._backends = backends  # their names, which no session has; without I/O
        self.views: dict[str, View] = {}
        self._aliases: dict[str, str] = {}
        self._list: tuple[object, bytes] = (None, b"")
        self._errors = Errors()
        self.changed = time.time()

    # -- views ---------------------------------------------------------------------------------------------------

    def load(self, tx: Tx) -> list[Touched]:
        """Make every view, at start. An alias that is a name of the root by now is changed, and that is told."""
        for session, alias in session_rows.aliases(tx):
            if alias in ROOT:
                self._move(tx, session, alias)
        return self.refresh(tx, session_rows.every(tx))

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
        made = session_rows.add(
            tx, id, alias=alias or None, backend=backend, cwd=cwd, role=role, tasks=json.dumps(list(tasks)), parent=parent,
            tier=tier, policy=policy, chosen=dumps(dict(chosen or {})), command=json.dumps(list(command)),
        )  # fmt: skip
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
        for session, taken in session_rows.aliases(tx):
            if session != but and same(taken) == name:
                raise Exists(f"alias '{taken}' already exists: it is taken by {session}")

    def _move(self, tx: Tx, session: str, alias: str) -> None:
        number = 1
        while session_rows.named(tx, f"{alias}-{number}") is not None:
            number += 1
        session_rows.put(tx, session, alias=f"{alias}-{number}")
        self.error(tx, session, f"alias '{alias}' is now a file of the tree: the session is called '{alias}-{number}'")

    def rename(self, tx: Tx, session: str, alias: str) -> None:
        """Give ``session`` an alias; an empty one takes it away."""
        session_rows.get(tx, session)
        if alias:
            self._free(tx, check_alias(alias), session)
        session_rows.put(tx, session, alias=alias or None)
        self.tell(tx, session)

    def see(self, tx: Tx, session: str, number: str) -> None:
        """Note that the user has looked at the answers up to that number of a prompt. Raises Invalid and NotFound."""
        row = session_rows.get(tx, session)
        if not (number.isascii() and number.isdecimal() and len(number) < 20) or int(number) > row.numbers:
            raise Invalid(f"invalid seen: must be the number of a prompt, at most {row.numbers}")
        if int(number) != row.seen:
            session_rows.put(tx, session, seen=int(number))
            self.stream.emit(tx, "session_update", session, seen=int(number))

    def change(self, tx: Tx, session: str, state: State, error: str = "") -> None:
        """Set the state and emit ``state_change``. No-op if unchanged. Raises Conflict for a change that is not legal."""
        before = session_rows.get(tx, session)
        check_change(before.state, state)
        if before.state == state:
            return
        kept = before.error if state in (State.STARTING, State.IDLE) else ""
        session_rows.put(tx, session, state=state, error=error or kept, doing_since=tx.now.wall)
        if state not in LIVE:  # who waits for a response must learn that it does not come now
            for number in prompts.queued(tx, session):
                self.topics.notify(tx, answer_to(number))
        self.tell(tx, session)
        if state not in (State.IDLE, State.RUNNING):  # turns are told by ``<id>/log``
            self._log(tx, session, state, alias=before.alias)

    def choose(self, tx: Tx, session: str, name: str, value: str) -> None:
        """Keep that the user has chosen this of an option."""
        row = session_rows.get(tx, session)
        session_rows.put(tx, session, chosen=dumps({**row.chosen, name: value}))
        self.stream.emit(tx, "session_update", session, **session_rows.get(tx, session).agent())

    def tell(self, tx: Tx, session: str) -> None:
        """Emit a ``state_change`` event with what a list shows of the session."""
        self.topics.notify(tx, STATES)
        row = session_rows.get(tx, session)
        extra = {"error": row.error} if row.error else {}
        self.stream.emit(
            tx, "state_change", session, concerns=(row.parent or "",), state=row.state, alias=row.alias,
            backend=row.backend, **extra,
        )  # fmt: skip

    def error(self, tx: Tx, session: str | None, text: str) -> None:
        """Emit an ``error`` event, shown in ``sessions`` and in the daemon's log too."""
        row, text = session_rows.maybe(tx, session) if session is not None else None, shown(text[:LONGEST])
        if row is not None:
            left_out = self._errors.left_out(row.id, tx.now.monotonic)
            if left_out is None:
                return
            text += f" ({left_out:,} before it were left out)" if left_out else ""
            session_rows.put(tx, row.id, error=text)
        self._log(tx, session, text, logging.WARNING, alias=row.alias if row else "")
        self.stream.emit(tx, "error", session, error=text)

    def told(self, tx: Tx, session: str, lines: list[str], event: str = "git") -> None:
        """Report what a turn left behind (``commits``, ``planted``), or the network refused: an event, in ``log``, and
        in ``sandbox`` until the next start.
        """
        row = session_rows.maybe(tx, session)
        if row is None:
            return
        there = row.policy.splitlines(keepends=True)
        kept = [line for line in there if not (line.startswith("commits\t") and lines[0].startswith("commits\t"))]
        session_rows.put(tx, session, policy="".join([*kept, *(line for line in lines if line not in kept)][:LINES]))
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
        row = session_rows.maybe(tx, session)
        if row is None:
            return
        line = f"forward\ttcp {port}\thttp://127.0.0.1:{port}\n"
        kept = [one for one in row.policy.splitlines(keepends=True) if one != line]
        session_rows.put(tx, session, policy="".join([*kept, *([line] if on else [])]))

    def limited(self, tx: Tx, session: str, wanted: Mapping[str, str | None], lines: str) -> None:
        """Record the limits that the user set (None: the layers' again). What they are now is in ``lines`` of the file
        ``sandbox``. Raises NotFound.
        """
        row = session_rows.get(tx, session)
        kept = {name: said for name, said in {**row.limits, **wanted}.items() if said is not None}
        shown = {tuple(line.split("\t")[:2]): line for line in lines.splitlines(keepends=True)}
        policy = [shown.pop(tuple(line.split("\t")[:2]), line) for line in row.policy.splitlines(keepends=True)]
        session_rows.put(tx, session, limits=json.dumps(kept), policy="".join([*policy, *shown.values()]))
        self.tell(tx, session)

    def remove(self, tx: Tx, session: str) -> None:
        """Forget a session: it leaves the tree."""
        row = session_rows.get(tx, session)
        check_change(row.state, State.EXITED)
        session_rows.remove(tx, session)
        self._errors.forget(session)
        self.topics.notify(tx, STATES)
        self.topics.notify(tx, conversation_of(session))
        concerns = (row.parent or "",)
        self.stream.emit(
            tx, "state_change", session, concerns=concerns, state=State.EXITED, alias=row.alias, backend=row.backend
        )
        self.stream.emit(tx, "session_end", session, concerns=concerns, alias=row.alias)
        self._log(tx, session, State.EXITED, alias=row.alias)

    def _log(self, tx: Tx, session: str | None, text: str, level: int = logging.INFO, *, alias: str) -> None:
        """Write a line to the daemon's log, once the job is on disk. What an agent said cannot make two lines of it."""
        who = " ".join(filter(None, (session or "user", alias)))
        tx.after(Note(level, one_line(f"{who}: {text}")))


def _view(tx: Tx, session: str, before: View | None) -> View | None:
    """Return the view of ``session`` as the rows are now; None when it is gone."""
    made = session_rows.maybe(tx, session)
    if made is None:
        return None
    known = prompts.known(tx, session)
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
