"""The file ``<id>/hook``: one report is written, its reply is read from the same fid, now or when there is one.

Threads: the methods of :class:`Exchange` run on the 9P thread, the others on the store's thread, which alone touches the state.
"""

import json
from typing import Any

from anvilsrv.desk.report import Reply, Reports
from anvilsrv.p9.tree import LATER, Later, Request
from anvilsrv.tree.drafts import Exchange
from anvilsrv.tree.files import answer


class HookExchange(Exchange):
    """One open of ``hook``: an object is written, its reply is read, now or when there is one."""

    def __init__(self, reports: "Reports", session: str) -> None:
        self._reports = reports
        self._session = session
        self._parked: list[tuple[Request, int, int]] = []
        self.data: bytes | None = None
        self.waits_for: str | None = None
        self.meaning: Any = None

    def took(self, found: dict[str, Any], count: int, req: Request) -> Later:
        def done(_: Any, error: BaseException | None) -> None:
            answer(req)(count, error)

        self.data = None
        self._reports.sessions.store.post(lambda tx: self._reports.take(tx, self._session, found, self), done)
        return LATER

    def reply(self, offset: int, count: int, req: Request) -> bytes | Later:
        self._reports.sessions.store.post(lambda tx: self._serve(req, offset, count))
        return LATER

    def _serve(self, req: Request, offset: int, count: int) -> None:
        if self.data is not None:
            req.done(self.data[offset : offset + count])
        elif self.waits_for is None:
            req.done(b"")
        else:
            self._parked.append((req, offset, count))

    def answer(self, reply: Reply) -> None:
        """The reply is known (store's thread)."""
        self.data = json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        self.waits_for = None
        for req, offset, count in self._parked:
            req.done(self.data[offset : offset + count])
        self._parked = []

    def cancelled(self, req: Request) -> None:
        self._reports.sessions.store.post(lambda tx: self._forget(req))

    def _forget(self, req: Request) -> None:
        self._parked = [one for one in self._parked if one[0] is not req]

    def gone(self) -> None:
        self._reports.sessions.store.post(lambda tx: self._reports.abandoned(tx, self._session, self))
