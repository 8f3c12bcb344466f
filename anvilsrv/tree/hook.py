"""The file ``<id>/hook``: one report is written, its reply is read from the same fid, now or when there is one.

Threads: ``took`` runs on a worker, where what was written is parsed; ``answer`` and ``done`` on any.
"""

import threading
from collections.abc import Mapping
from typing import Any

from anvilsrv.allowance import Share
from anvilsrv.p9.tree import LATER, Later, Request
from anvilsrv.strict_json import dumps
from anvilsrv.tree.drafts import Exchange
from anvilsrv.tree.files import answer
from anvilsrv.tree.nodes import Place
from anvilsrv.tree.parked import Parked


class Replies(Parked):
    """Reads of the reply to what was written last, a report. Before the first report there is nothing to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._owed = 0  # replies that are to come
        self._data: bytes | None = b""

    def peek(self, offset: int, count: int) -> bytes | None:
        return None if self._data is None else self._data[offset : offset + count]

    def expect(self) -> None:
        """Expect the reply to a report that is on its way: it is what is read from now on."""
        with self.lock:
            self._owed += 1
            self._data = None

    def give(self, data: bytes | None) -> None:
        """Give the reply that came; None: the report was refused, and there is none."""
        with self.lock:
            self._owed -= 1
            if data is not None:
                self._data = data
            elif not self._owed and self._data is None:
                self._data = b""
        self.wake()


class HookExchange(Exchange):
    """One open of ``hook``. It is what waits for the reply (``store.effects.Waiting``)."""

    def __init__(self, at: Place, mode: int) -> None:
        self._domain = at.domain
        self._session = at.view.id
        self._replies = Replies()
        self._lock = threading.Lock()
        self._waiting: list[Share] = []  # what reports that are not answered yet hold; under the lock
        self._used = False  # a report came

    def took(self, found: dict[str, Any], count: int, req: Request, held: Share) -> Later:
        """Take a report, and release what it holds once it was taken and answered: until then a question is kept as it
        came.
        """

        def done(error: BaseException | None) -> None:
            held.let_go()
            if error is not None:
                self._replies.give(None)
                self._over()
            answer(req)(count, error)

        held.parts(2)
        self._used = True
        with self._lock:
            self._waiting.append(held)
        self._replies.expect()
        try:
            self._domain.take_report(self._session, found, self, done)
        except BaseException:
            self._replies.give(None)
            self._over()
            raise
        return LATER

    def _over(self) -> None:
        """Drop the first of the waiting reports, which no longer waits."""
        with self._lock:
            held = self._waiting.pop(0) if self._waiting else None
        if held is not None:
            held.let_go()

    def reply(self, offset: int, count: int, req: Request) -> bytes | Later:
        return self._replies.read(offset, count, req)

    def answer(self, reply: Mapping[str, Any]) -> None:
        """Answer with the reply, which is known now."""
        self._replies.give(dumps(reply).encode() + b"\n")
        self._over()

    def cancelled(self, req: Request) -> None:
        self._replies.cancel(req)

    def gone(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for held in waiting:
            held.let_go()
        if self._used:
            self._domain.abandoned(self._session, self)
