"""Activity as agents tell it: their files are followed, their hooks are heard, and the recorder gets what it means.

Pieces that were written side by side are put in order; what its row calls ``later`` waits for the next look at the files: so a text
comes before the tools of its message, though the hook of a tool is faster. Small pieces of one text are told as one.

Threads: ``follow`` runs on the store's thread, ``heard`` on any; the rest on the thread of :class:`Files`, which alone changes what is
kept here. The jobs run on the store's thread.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from anvilsrv.activity import rows
from anvilsrv.activity.names import Told
from anvilsrv.activity.rows import Begun, Mark
from anvilsrv.activity.schema import PART
from anvilsrv.agents.files import Files, News, Wanted
from anvilsrv.backends import templates
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.follow import Said
from anvilsrv.backends.load_follow import TRANSCRIPT
from anvilsrv.backends.registry import Backends
from anvilsrv.desk.around import Listener
from anvilsrv.errors import AnvilError
from anvilsrv.linux import beneath
from anvilsrv.sessions import session_rows
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.sessions.whose import turn_of
from anvilsrv.store.store import Need, Store, Tx

PATIENCE = 5  # looks for which a piece waits for those before it
WAITING = 1000  # pieces of a session that wait for others
BEHIND = 1.0  # s that the end of a turn waits for what stands in the files
TEXTS = 50  # of a session that may still grow
TOGETHER = 100  # objects that are recorded in one job: others get their turn between


class Piece(NamedTuple):
    """Something that was told, and where it begins in a file."""

    said: Said
    begun: Begun | None


@dataclass
class Order:
    """Pieces of one text: the number of the next, those that came before their time, and for how many looks they have waited."""

    next: int = 0
    early: dict[int, Piece] = field(default_factory=dict)
    looks: int = 0


@dataclass
class Session:
    """What waits of one session."""

    later: list[Piece] = field(default_factory=list)
    orders: dict[tuple[str, str], Order] = field(default_factory=dict)


class Ready(NamedTuple):
    """What is to be recorded of a session, and how far its files are read then."""

    session: str
    pieces: list[Piece]
    marks: dict[str, Mark | None]


class Activities(Listener):
    """The followed files of all sessions, and what they tell. ``data`` is the directory of a session that its agent writes."""

    def __init__(
        self, store: Store, registry: Registry, backends: Backends, data: Callable[[str], Path],
        on_error: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._registry = registry
        self._backends = backends
        self._data = data
        self._on_error = on_error
        self._sessions: dict[str, Session] = {}
        self._soon = False
        self._ready: list[Ready] = []  # what is to be recorded, in its order
        self._posting = False
        self._begun: set[str] = set()  # the store's thread changes it
        self._files = Files(self._news, on_error, registry.family)

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if after is None:
            if before is not None:
                self._begun.discard(before.id)
                self._files.forget(before.id)
                self._files.do(partial(self._forget, before.id))
        elif before is None or shape(before) != shape(after):
            self._store.post(lambda tx: rows.followed(tx, after.id), partial(self._begin, after))

    def heard(self, session: str, hook: str, payload: Mapping[str, Any]) -> None:
        """Note that a hook has reported something."""
        view = self._registry.find(session)
        backend = self._backends.last(view.backend) if view is not None else None
        if backend is not None and any(hook in row.hooks for row in backend.follow):
            self._files.do(lambda: self._hook(session, backend, hook, payload))

    def catch_up(self, session: str) -> None:
        """Read what stands in the files by now, and have it recorded before what the caller is about to do. Waits for it, not long."""
        if session not in self._begun:
            self._store.call(lambda tx: None, durable=False)
        done = threading.Event()

        def look() -> None:
            try:
                self._files.look(session)
                for _ in range(PATIENCE):
                    self._tell({}, flush=(session,))
                self._post()
            finally:
                done.set()

        self._files.do(look)
        done.wait(BEHIND)

    def close(self) -> None:
        """End and join the thread."""
        self._files.close()
        self._post()

    def _begin(self, view: View, marks: dict[str, Mark] | None, error: BaseException | None) -> None:
        backend = self._backends.last(view.backend)
        if backend is None or error is not None:
            return
        top = self._data(view.id)
        values = {"DATA": str(top), "CONVERSATION": view.conversation or "", "ID": view.id}
        wanted = []
        for number, row in enumerate(backend.follow):
            path = (view.transcript or "") if row.path == TRANSCRIPT else templates.expand(row.path, values)
            if not path or ("{CONVERSATION}" in row.path and not view.conversation):
                continue
            try:
                wanted.append(Wanted(number, beneath.relative(top, path), row.how, row.end))
            except AnvilError as refused:
                self._on_error(refused)
        self._files.follow(view.id, top, tuple(wanted), marks or {})
        self._begun.add(view.id)

    # -- the thread of the files ------------------------------------------------------------------------------------------

    def _forget(self, session: str) -> None:
        self._sessions.pop(session, None)

    def _hook(self, session: str, backend: Backend, hook: str, payload: Mapping[str, Any]) -> None:
        with self._files.shares.charged(session):
            line = {**payload, "hook": hook}
            found = [said for row in backend.follow if hook in row.hooks for said in backend.told(row, line)]
            self._tell({session: ([Piece(said, None) for said in found], {})})

    def _news(self, session: str, files: list[News]) -> None:
        view = self._registry.find(session)
        backend = self._backends.last(view.backend) if view is not None else None
        if view is None or backend is None:
            return
        pieces: list[Piece] = []
        for one in files:
            pieces += self._understood(backend, one)
        if view.forked:
            pieces = [one for one in pieces if not inherited(view, one.said)]
        self._tell({session: (pieces, {one.path: one.mark for one in files})})

    def _understood(self, backend: Backend, news: News) -> list[Piece]:
        if news.row >= len(backend.follow):  # its file was changed meanwhile
            return []
        row = backend.follow[news.row]
        try:
            return [
                Piece(said, Begun(news.path, offset)) for offset, line in news.lines for said in backend.told(row, line)
            ]
        except Exception as error:  # from a user's Python class
            self._on_error(error)
            return []

    def _tell(self, told: Mapping[str, tuple[list[Piece], dict[str, Mark | None]]], flush: Iterable[str] = ()) -> None:
        """Put what was told in order, and have it recorded."""
        ready: dict[str, tuple[list[Piece], dict[str, Mark | None]]] = {}
        waits = False  # what waits of other sessions has a look coming
        for session in {**told, **dict.fromkeys(flush)}:
            pieces, marks = told.get(session, ([], {}))
            one = self._sessions.setdefault(session, Session())
            now = merged(_ordered(one, pieces, session in flush))
            if now or marks:
                ready[session] = (now, marks)
            waits = waits or bool(one.later) or _early(one)
            if not one.later and not one.orders:
                del self._sessions[session]
        for session, (now, marks) in ready.items():
            for at in range(0, max(1, len(now)), TOGETHER):
                last = at + TOGETHER >= len(now)  # the files are read so far when all of it is recorded
                self._ready.append(Ready(session, now[at : at + TOGETHER], marks if last else {}))
        if self._ready and not self._posting:
            self._posting = True
            self._files.do(self._post)
        if not self._soon and waits:
            self._soon = True
            self._files.soon(self._flush)

    def _post(self) -> None:
        """Have what is ready recorded: of all sessions together, which costs less than a job for each."""
        self._posting = False
        waiting, self._ready = self._ready, []
        while waiting:
            many, size = 1, len(waiting[0].pieces)
            while many < len(waiting) and (size := size + len(waiting[many].pieces)) <= TOGETHER:
                many += 1
            self._store.post(self._job(waiting[:many]), need=Need.HAPPENED, durable=False)
            waiting = waiting[many:]

    def _flush(self) -> None:
        self._soon = False
        self._tell({}, flush=tuple(self._sessions))

    def _turn(self, tx: Tx, session: str, said: Said) -> int:
        """Return its turn, which the store need not be asked for while a text grows."""
        known = self._registry.activity.grows_in(session, said.made)
        return turn_of(tx, session, said.turn, said.at) if known is None else known

    def _job(self, ready: list[Ready]) -> Callable[[Tx], None]:
        again: list[bool] = []

        def job(tx: Tx) -> None:
            watch = self._files.shares.stopwatch()
            for session, pieces, marks in ready:
                if not session_rows.there(tx, session):
                    continue
                told = [
                    Told(one.said.made, self._turn(tx, session, one.said), one.begun, one.said.of_tool)
                    for one in pieces
                ]
                self._registry.activity.tell(tx, session, told, marks, again=bool(again))
                watch.charge(session)
            again.append(True)

        return job


def inherited(view: View, said: Said) -> bool:
    """Return whether a forked session has this from the one before it: it was told before the session was made."""
    return said.at is not None and said.at < time.monotonic() - (time.time() - view.created)


def shape(view: View) -> tuple[object, ...]:
    """Return a value that changes when other files may be there: with a start the directory itself."""
    return view.conversation, view.transcript, view.pid


def _early(one: Session) -> bool:
    return any(order.early for order in one.orders.values())


def _ordered(one: Session, pieces: list[Piece], flush: bool) -> list[Piece]:
    """Return what may be told now: what is not later, then, at a look, what was later at the one before."""
    now: list[Piece] = []
    later = one.later if not flush else []
    held = {piece.said.made.get("id") for piece in later}
    for piece in pieces:
        if piece.said.later or piece.said.made.get("id", "") in held:
            later.append(piece)
            held.add(piece.said.made.get("id"))
        elif piece.said.nth is not None:
            now += _in_turn(one, piece)
        else:
            now.append(piece)
    if flush:
        for name in list(one.orders):
            now += _waited(one, name)
        now, one.later = [*now, *one.later], []
    return now


def _in_turn(one: Session, piece: Piece) -> list[Piece]:
    """Return a numbered piece and those that waited for it, if it is the next."""
    name = (piece.said.made["kind"], str(piece.said.made.get("id", "")))
    order = one.orders.setdefault(name, Order())
    if len(one.orders) > TEXTS:
        del one.orders[next(iter(one.orders))]
    number = piece.said.nth or 0
    if number < order.next:
        return [piece] if number == 0 else []  # the file is read again; what came too late was given up
    order.early[number] = piece
    found = _next(order)
    if order.early and sum(len(each.early) for each in one.orders.values()) > WAITING:
        order.next = min(order.early)
        found += _next(order)
    return found


def _next(order: Order) -> list[Piece]:
    found = []
    while order.next in order.early:
        found.append(order.early.pop(order.next))
        order.next += 1
        order.looks = 0
    return found


def _waited(one: Session, name: tuple[str, str]) -> list[Piece]:
    """Note that one more look has passed: what has waited too long goes on without those before it."""
    order = one.orders[name]
    order.looks += 1
    if order.early and order.looks >= PATIENCE:
        order.next = min(order.early)
        return _next(order)
    return []


def merged(pieces: list[Piece]) -> list[Piece]:
    """Return the same, with consecutive parts of one text merged."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1].said.made if found else {}
        made = piece.said.made
        alike = (
            "part" in made
            and "part" in last
            and all(last.get(name) == made.get(name) for name in ("kind", "id", "parent"))
        )
        if alike and len(last["part"]) + len(made["part"]) <= PART // 4:
            found[-1] = Piece(
                found[-1].said._replace(made={**last, "part": last["part"] + made["part"]}), found[-1].begun
            )
        else:
            found.append(piece)
    return found
