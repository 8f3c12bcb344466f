"""Reads that wait: the one way in which a read is parked, and answered later, without a thread.

An open file that blocks is a :class:`Parked`. It keeps the reads that found nothing in the order in which they came, and answers
them in that order when it is woken. What it answers from is in memory and changes only under its lock, so it may be woken from any
thread; a read that finds something there is answered immediately. A read that was flushed while it was being answered loses
nothing: its bytes go to the next one.

Three things wake it: the stream of events, the desk (with the reply to a hook), and, for what is in the store, a topic
(:class:`Stored`). Then the store is asked in a job of its own, and what the job found is used after its commit.

Threads: ``read``, ``cancel``, ``clunk`` and ``hangup`` run on the 9P thread, ``wake`` on any. The lock guards the reads and what
they are answered from; it is held while requests are answered (which posts to the 9P thread), never across I/O or a job.
"""

import threading
from collections import OrderedDict
from typing import NamedTuple

from anvilsrv.allowance import Share
from anvilsrv.errors import Conflict
from anvilsrv.p9.tree import LATER, Handle, Later, Request
from anvilsrv.store.store import Outcome, Tx
from anvilsrv.tree.files import answer, reason
from anvilsrv.tree.nodes import Place


class Parked(Handle):
    """One open file whose reads may wait. Subclasses say from what they are answered, and how more is asked for."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._reads: OrderedDict[Request, tuple[int, int]] = OrderedDict()  # to offset and count

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def peek(self, offset: int, count: int) -> bytes | None:
        """Return what a read would get; None: nothing yet. Called with the lock; changes and raises nothing."""
        raise NotImplementedError

    def advance(self, data: bytes) -> None:
        """Advance past what ``peek`` gave last, which was delivered. Called with the lock."""

    def want(self) -> None:
        """Note that a read waits: make sure that ``wake`` is called when there may be more. Called without the lock,
        often.
        """

    def close(self) -> None:
        """Handle the close of the file."""

    # -- reads ---------------------------------------------------------------------------------------------------------

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        with self.lock:
            if not self._reads:
                data = self.peek(offset, count)
                if data is not None:
                    self.advance(data)
                    return data
            self._reads[req] = offset, count
        self.want()
        return LATER

    def wake(self) -> bool:
        """Answer what can be answered; True when no read waits any more."""
        with self.lock:
            while self._reads:
                req, (offset, count) = next(iter(self._reads.items()))
                data = self.peek(offset, count)
                if data is None:
                    return False
                del self._reads[req]
                if req.done(data):
                    self.advance(data)
            return True

    @property
    def waiting(self) -> bool:
        """Whether a read waits."""
        with self.lock:
            return bool(self._reads)

    def fail(self, error: BaseException) -> None:
        """Refuse every read that waits. Later ones may find something again."""
        with self.lock:
            reads, self._reads = self._reads, OrderedDict()
        for req in reads:
            req.fail(reason(error))

    def cancel(self, req: Request) -> None:
        with self.lock:
            self._reads.pop(req, None)

    def clunk(self, req: Request) -> Later | None:
        self.close()
        return None

    def hangup(self) -> None:
        self.close()


class Found(NamedTuple):
    """What the store has after a cursor: ``data`` (None: nothing yet), and the next cursor."""

    data: bytes | None
    cursor: object = 0


class Stored(Parked):
    """Reads of what is in the store. It is asked when a read waits, and again after a commit that notifies ``topic``.

    One job at a time is on its way, however many reads wait.
    """

    def __init__(self, at: Place, topic: str) -> None:
        super().__init__()
        self._open = Share(at.who.allowance, "streams", 1)
        self.held = Share(at.who.allowance, "open")  # what was kept; subclasses count it
        self._by = at.by
        self._domain = at.domain
        self._topic = topic
        self._cursor: object = 0  # changes on the store's thread alone, after a commit
        self._asked = False  # a job is queued, or the topic will bring one; under the lock
        self._closed = False

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def ask(self, tx: Tx, cursor: object) -> Found:
        """Return what there is now. Runs on the store's thread, in a job: it changes nothing here, since the job may be
        lost.
        """
        raise NotImplementedError

    def keep(self, data: bytes) -> None:
        """Keep ``data``, which is on disk, after what was kept before. Called with the lock. Raises Conflict if it is
        too much.
        """
        raise NotImplementedError

    # -- the store -----------------------------------------------------------------------------------------------------

    def want(self) -> None:
        with self.lock:
            if self._asked or self._closed:
                return
            self._asked = True
        self._domain.store.post(self._job, self._done, by=self._by)

    def _job(self, tx: Tx) -> tuple[object, Found]:
        found = self.ask(tx, self._cursor)
        if found.data is None and not self._closed:  # here and not after the commit: no notice may fall between
            self._domain.topics.wait(self._topic, self, self._again)
        return self._cursor, found

    def _done(self, result: tuple[object, Found], error: BaseException | None) -> None:
        if error is not None:
            with self.lock:
                self._asked = False
            self.fail(error)
            return
        since, (data, cursor) = result
        if since == self._cursor:  # else another job found the same: a lost one may leave its wait behind
            if data is not None:
                try:
                    with self.lock:
                        self.keep(data)
                except Conflict as full:
                    self._done(result, full)
                    return
            self._cursor = cursor
        if data is not None:
            self.wake()
            self._again()

    def _again(self) -> None:
        """Ask for those that still wait, now that nothing is on its way."""
        with self.lock:
            self._asked = False
            waiting = bool(self._reads)
        if waiting:
            self.want()

    def close(self) -> None:
        self._closed = True
        self._open.let_go()
        self.held.let_go()

    def _forget(self, done: Outcome | None = None) -> None:
        self._domain.store.post(lambda tx: self._domain.topics.forget(self._topic, self), done, by=self._by)

    def clunk(self, req: Request) -> Later:
        """Answer when the file is forgotten: a client that opens and closes without end waits for that."""
        self.close()
        self._forget(lambda result, error: answer(req)(None, error))
        return LATER

    def hangup(self) -> None:
        self.close()
        self._forget()
