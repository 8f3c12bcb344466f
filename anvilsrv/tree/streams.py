"""Files that block: ``events``, the logs, and ``out``. A read that finds nothing is parked under its tag, without a thread.

Threads: methods run on the 9P thread unless the file is ``slow``; what they post runs on the store's thread and answers from there.
"""

import threading
from collections.abc import Callable
from typing import Any

from anvilsrv.errors import AnvilError
from anvilsrv.p9.tree import LATER, File, Handle, Later, Request
from anvilsrv.sessions.registry import Sessions
from anvilsrv.store.events import Reader, Sees, Stream
from anvilsrv.store.store import Tx
from anvilsrv.tree.files import answer


class EventsFile(File):
    """``events``: a stream; each open has its own cursor. ``after`` makes it start behind that number."""

    def __init__(
        self, name: str, path: int, mode: int, stream: Stream, sees: Callable[[Any], Sees | None], after: int | None
    ) -> None:
        super().__init__(name, path, mode)
        self._stream = stream
        self._sees = sees
        self._after = after

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return _EventsHandle(self._stream, self._stream.reader(self._sees(who), self._after))


class _EventsHandle(Handle):
    """Reads of one fid may wait several at a time; they are answered in order, each with different events.

    The 9P thread reads and the store's thread wakes: the lock guards cursor and queue.
    """

    def __init__(self, stream: Stream, reader: Reader) -> None:
        self._stream = stream
        self._reader = reader
        self._lock = threading.Lock()
        self._parked: list[tuple[Request, int]] = []

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        with self._lock:
            if not self._parked and (data := self._reader.take(count)):
                return data
            self._parked.append((req, count))
        self._stream.wait(self, self._wake)
        self._wake()  # something may have come between take and wait
        return LATER

    def _wake(self) -> bool:
        """Answer what can be answered; True when nobody waits any more."""
        with self._lock:
            while self._parked:
                req, count = self._parked[0]
                mark = self._reader.mark()
                data = self._reader.take(count)
                if not data:
                    return False
                self._parked.pop(0)
                if not req.done(data):
                    self._reader.back(mark)
            return True

    def cancel(self, req: Request) -> None:
        with self._lock:
            self._parked = [one for one in self._parked if one[0] is not req]

    def hangup(self) -> None:
        self._stream.forget(self)

    def clunk(self, req: Request) -> None:
        self._stream.forget(self)


Fetch = Callable[[Tx, Any, int], tuple[bytes, int]]


class TailFile(File):
    """A log: everything from the beginning, then what comes, as ``tail -f`` shows a file.

    ``fetch(tx, who, cursor) -> (bytes, next cursor)`` gives the next page, empty at the end; ``topic`` is notified when there is more.
    """

    def __init__(self, name: str, path: int, mode: int, sessions: Sessions, topic: str, fetch: Fetch) -> None:
        super().__init__(name, path, mode)
        self.sessions = sessions
        self.topic = topic
        self.fetch = fetch

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return _TailHandle(self, who)


class _TailHandle(Handle):
    """Everything but ``read`` runs on the store's thread."""

    def __init__(self, file: TailFile, who: Any) -> None:
        self._file = file
        self._who = who
        self._cursor = 0
        self._page = b""
        self._parked: list[tuple[Request, int]] = []

    def read(self, offset: int, count: int, req: Request) -> Later:
        self._file.sessions.store.post(lambda tx: self._park(tx, req, count), _refuse(req))
        return LATER

    def _park(self, tx: Tx, req: Request, count: int) -> None:
        self._parked.append((req, count))
        self._serve(tx)

    def _serve(self, tx: Tx) -> None:
        while self._parked:
            if not self._page:
                self._page, self._cursor = self._file.fetch(tx, self._who, self._cursor)
            if not self._page:
                self._file.sessions.wait(self._file.topic, self, self._wake)
                return
            req, count = self._parked.pop(0)
            if req.done(self._page[:count]):
                self._page = self._page[count:]

    def _wake(self) -> None:
        self._file.sessions.store.post(self._serve, self._failed)

    def _failed(self, _: Any, error: BaseException | None) -> None:
        parked, self._parked = (self._parked, []) if error else ([], self._parked)
        for req, _count in parked:
            req.fail(str(error))

    def cancel(self, req: Request) -> None:
        self._file.sessions.store.post(lambda tx: self._forget(req))

    def _forget(self, req: Request) -> None:
        self._parked = [one for one in self._parked if one[0] is not req]
        if not self._parked:
            self._file.sessions.forget(self._file.topic, self)

    def hangup(self) -> None:
        self._file.sessions.store.post(lambda tx: self._file.sessions.forget(self._file.topic, self))

    def clunk(self, req: Request) -> None:
        self.hangup()


class AnswerFile(File):
    """``out``: the response to the last prompt accepted before the open; a read waits for it.

    ``last(tx) -> prompt`` at the open (0: none yet); ``fetch(tx, prompt) -> bytes | None`` (None: not there yet) raises
    when it can no longer come.
    """

    def __init__(
        self,
        name: str,
        path: int,
        mode: int,
        sessions: Sessions,
        last: Callable[[Tx], int],
        fetch: Callable[[Tx, int], bytes | None],
    ) -> None:
        super().__init__(name, path, mode)
        self.sessions = sessions
        self.last = last
        self.fetch = fetch

    def open(self, who: Any, mode: int, req: Request) -> Later:
        def opened(prompt: Any, error: BaseException | None) -> None:
            answer(req)(None if error else _AnswerHandle(self, prompt), error)

        self.sessions.store.post(self.last, opened)
        return LATER


class _AnswerHandle(Handle):
    def __init__(self, file: AnswerFile, prompt: int) -> None:
        self._file = file
        self._prompt = prompt
        self._data: bytes | None = None if prompt else b""
        self._parked: list[tuple[Request, int, int]] = []

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        data = self._data
        if data is not None:
            return data[offset : offset + count]
        self._file.sessions.store.post(lambda tx: self._park(tx, req, offset, count), _refuse(req))
        return LATER

    def _park(self, tx: Tx, req: Request, offset: int, count: int) -> None:
        self._parked.append((req, offset, count))
        self._serve(tx)

    def _serve(self, tx: Tx) -> None:
        try:
            self._data = self._file.fetch(tx, self._prompt)
        except AnvilError as error:
            for req, _, _ in self._parked:
                req.fail(error)
            self._parked = []
            return
        if self._data is None:
            self._file.sessions.wait(f"out {self._prompt}", self, lambda: self._file.sessions.store.post(self._serve))
            return
        parked, self._parked = self._parked, []
        for req, offset, count in parked:
            req.done(self._data[offset : offset + count])

    def cancel(self, req: Request) -> None:
        self._file.sessions.store.post(lambda tx: self._forget(req))

    def _forget(self, req: Request) -> None:
        self._parked = [one for one in self._parked if one[0] is not req]

    def hangup(self) -> None:
        self._file.sessions.store.post(lambda tx: self._file.sessions.forget(f"out {self._prompt}", self))

    def clunk(self, req: Request) -> None:
        self.hangup()


def _refuse(req: Request) -> Callable[[Any, BaseException | None], None]:
    def done(_: Any, error: BaseException | None) -> None:
        if error is not None:
            req.fail(error if isinstance(error, AnvilError) else "internal error")

    return done
