"""``activity``: what happens in a session, from the beginning or after the number in the file's name, then as it comes.

A reader is a cursor. While it is behind, pages are read from the store; near the end it is given what is in memory, the same bytes for
all readers. A session that is gone has no more.

Threads: methods run on the 9P thread, ``wake`` also on the store's; jobs on the store's thread.
"""

from dataclasses import dataclass

from anvilsrv.allowance import Share
from anvilsrv.errors import Conflict
from anvilsrv.p9.tree import LATER, Handle, Later, Request
from anvilsrv.store.store import Tx
from anvilsrv.tree.files import answer
from anvilsrv.tree.nodes import FileKind, Place, RowFile
from anvilsrv.tree.parked import Parked


@dataclass(frozen=True)
class Activity(FileKind):
    """All of a session; it blocks at the end."""

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return _Reader(file.at, file.number or 0)


@dataclass(frozen=True)
class TurnActivity(FileKind):
    """What happened in one turn; it ends when the turn has ended."""

    def open(self, file: RowFile, mode: int, req: Request) -> Later:
        domain, session, n = file.at.domain, file.at.session, int(file.at.member)

        def opened(turn: int, error: BaseException | None) -> None:
            try:
                answer(req)(None if error else _Reader(file.at, 0, turn), error)
            except Conflict as full:
                req.fail(full)

        domain.store.post(lambda tx: domain.turn_of(tx, session, n), opened, by=file.at.by)
        return LATER


Page = tuple[bytes, int, bool, bool]


class _Reader(Parked):
    """One open of ``activity``. Under the lock: ``_page`` is what was found and not given yet, ``_cursor`` what comes after it."""

    def __init__(self, at: Place, cursor: int, turn: int | None = None) -> None:
        super().__init__()
        self._open = Share(at.who.allowance, "streams", 1)
        self._held = Share(at.who.allowance, "open")  # of the page
        self._by = at.by
        self._domain = at.domain
        self._session = at.session
        self._turn = turn
        self._cursor = cursor
        self._page = b""
        self._behind = cursor == 0 and turn is not None  # the store is to be asked
        self._asked = False  # a job is on its way
        self._over = False
        self._closed = False

    def peek(self, offset: int, count: int) -> bytes | None:
        if not self._page and not self._over and not self._behind:
            now = self._domain.activity.after(self._session, self._cursor, count, self._turn)
            self._behind, self._cursor = now.behind, now.cursor
            self._page = b"".join(item.line for item in now.items)
            self._over = self._turn is not None and any(item.kind == "end" for item in now.items)
        if not self._page:
            return b"" if self._over else None
        cut = self._page.rfind(b"\n", 0, count) + 1
        return self._page[: cut or count]

    def advance(self, data: bytes) -> None:
        self._page = self._page[len(data) :]
        self._held.shrink(len(self._page))

    def want(self) -> None:
        self._domain.activity.wait(self._session, self, self.wake)
        self.wake()  # something may have come before we waited

    def wake(self) -> bool:
        done = super().wake()
        with self.lock:
            ask = self._behind and not self._asked and not self._closed and not done
            self._asked = self._asked or ask
        if ask:
            self._domain.store.post(self._job, self._done, by=self._by)
        return done

    def _job(self, tx: Tx) -> Page:
        page, cursor, all_of_it = self._domain.activity_page(tx, self._session, self._cursor, self._turn)
        over = all_of_it and self._turn is not None and self._domain.is_over(tx, self._session, self._turn)
        return page, cursor, all_of_it, over

    def _done(self, found: Page, error: BaseException | None) -> None:
        with self.lock:
            self._asked = False
            try:
                if error is None:
                    self._held.grow(len(found[0]))
            except Conflict as full:
                error = full
            if error is None:
                page, self._cursor, all_of_it, self._over = found
                self._page += page
                self._behind = not all_of_it
        if error is not None:
            self.fail(error)
        else:
            self.want()

    def close(self) -> None:
        self._closed = True
        self._open.let_go()
        self._held.let_go()
        self._domain.activity.forget(self._session, self)
