"""One client: its fids, and how its calls go ahead, wait and end.

Everything runs on the server's I/O thread, except ``settle`` and ``failed``, which any thread may call. Calls on one
fid keep their order, except for the reads of quick files, which go ahead immediately. A call of a quick file is served
here; one of a slow file on a worker, and ``returned`` is posted with its result. Answers that come later are posted as
``answered``.
"""

import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol

from anvilsrv.allowance import BOUNDS, Allowance
from anvilsrv.errors import AnvilError, Conflict, Invalid
from anvilsrv.p9 import wire
from anvilsrv.p9.calls import Call, Result, Stage
from anvilsrv.p9.dialect import ename, number
from anvilsrv.p9.fids import Fid, Fids
from anvilsrv.p9.frames import tag_of
from anvilsrv.p9.pace import Pace
from anvilsrv.p9.stream import Loop, Stream
from anvilsrv.p9.tree import LATER, Dir
from anvilsrv.p9.verbs import MINMSIZE, PARKABLE, VERBS, Hangup, Verb, rflush, sversion

MAXCALLS = 1024  # that wait at a time

CLUNKED = "fid was clunked"


class Host(Loop, Protocol):
    """What a connection needs of its server, beyond the loop."""

    def work(self, call: Call, returned: Callable[[Call, Result], None]) -> None:
        """Run a call on a worker, then post ``returned`` with its result."""

    def failed(self, error: Exception, /) -> None:
        """Report an exception that is not an AnvilError, from any thread."""


class Connection(Stream):
    """``allowance`` bounds what the connections of one listener have together."""

    def __init__(
        self, host: Host, sock: socket.socket, root: Dir, who: Any, allowance: Allowance, pace: Pace[Any] | None
    ) -> None:
        super().__init__(host, sock, pace)
        self.host = host
        self.failed = host.failed
        self.root = root
        self.who = who
        self.allowance = allowance
        self.fids: Fids[Call] = Fids(allowance)
        self.calls: dict[int, Call] = {}  # those that wait, by tag; the tag of a pending Tflush is that of what it ends
        self._claims = threading.Lock()  # of Call.claimed

    def message(self, frame: bytes) -> None:
        """Answer the request in this frame, or see to it that it will be."""
        try:
            fields = self.dialect.unpack(frame)
            if self.trace:
                self.show("<-", frame)
            verb = VERBS.get(frame[4])
            if verb is None:
                raise Invalid(f"not a request: {wire.TYPES[frame[4]].__name__}")
            if self.calls or not self.msize or self.allowance.bounded:
                self._check(verb, fields[0])
            if isinstance(verb, tuple):
                admit, call = verb
                self.call(call(self, admit(self, fields), fields))
            elif answer := verb(self, fields):
                self.send(answer)
        except AnvilError as error:
            self.error(tag_of(frame), error)
        except Exception as error:
            self.failed(error)
            self.error(tag_of(frame), "internal error")

    def _check(self, verb: Verb, tag: int) -> None:
        if verb is sversion:
            return
        if not self.msize:
            raise Invalid("no version agreed on")
        if tag in self.calls:
            raise Conflict(f"duplicate tag {tag}")
        if len(self.calls) >= MAXCALLS and verb in PARKABLE:
            raise Conflict(f"too many outstanding requests: at most {MAXCALLS}")
        if verb in PARKABLE and self.allowance.full("requests"):
            raise BOUNDS["requests"].refusal()

    def error(self, tag: int, error: AnvilError | str) -> None:
        """Send an Rerror with any text: it is cut to what fits, and made valid."""
        text = ename(error).encode("utf-8", "replace").replace(b"\0", b"?")
        cut = text[: min(1024, (self.msize or MINMSIZE) - 13)].decode("utf-8", "ignore")
        self.send(self.dialect.rerror(tag, cut, number(error)))

    def hangup(self) -> None:
        if self.alive:
            super().hangup()
            self.reset()

    # --- for requests ---

    def settle(self, call: Call, result: Result) -> bool:
        if not self._claim(call):
            return False
        self.loop.post(self.answered, call, result)
        return True

    def _claim(self, call: Call) -> bool:
        """Return True to the first to ask."""
        with self._claims:
            claimed, call.claimed = call.claimed, True
            return not claimed

    def drop(self, number: int) -> Fid[Call]:
        """Free the number immediately: 9fans/go clients use it again before they have the answer."""
        fid = self.fids.remove(number)
        fid.gone = True
        if self.calls:
            for call in set(self.calls.values()):
                if call.fid is fid and call.reads and call.stage is Stage.PARKED:
                    self.abandon(call, CLUNKED)
        return fid

    def reset(self) -> None:
        """End every call without an answer, and every fid as if the client had hung up."""
        for call in set(self.calls.values()):
            call.silent = True
            if call.stage is Stage.PARKED:  # what is not will be, or will find that it is silent
                self.abandon(call)
        self.allowance.give("requests", len(self.calls))
        self.calls.clear()
        for fid in self.fids.clear():
            if fid.handle or fid.holder:
                self._order(Hangup(self, fid, (wire.NOTAG,)))

    # --- calls ---

    def call(self, call: Call) -> None:
        """Run the tree's method for a request: now, or when its turn comes."""
        fid = call.fid
        if call.slow or fid.slow or (fid.holder and not call.reads):
            self._wait(call.tag, call)
            self._order(call)
            return
        result = call.serve()  # what it raises becomes the answer in ``message``
        if result is not LATER:
            call.claimed = True
            self.send(call.reply(result))
            return
        self._wait(call.tag, call)
        call.stage = Stage.PARKED
        if not call.reads:
            self.load += call.weight
            fid.holder = call

    def _wait(self, tag: int, call: Call) -> None:
        """Mark that tag as used until the call is over."""
        self.calls[tag] = call
        self.allowance.add("requests")

    def _order(self, call: Call) -> None:
        """Let a call go ahead after those before it on its fid."""
        self.load += call.weight
        if call.fid.holder is None:
            self._begin(call)
        else:
            call.stage = Stage.QUEUED
            call.fid.append(call)

    def _begin(self, call: Call) -> None:
        call.stage = Stage.RUNNING
        call.fid.holder = call
        if call.slow or call.fid.slow:
            self.host.work(call, self.returned)
        else:
            self.returned(call, call.run())

    def _release(self, call: Call) -> None:
        """Let the next calls on its fid go ahead."""
        if call.fid.holder is call:
            self.load -= call.weight
            if following := call.fid.advance():
                self.loop.post(self._begin, following)
            self.loop.touched.add(self)

    def returned(self, call: Call, result: Result) -> None:
        """Handle the return of the tree's method, after a wait or on a worker."""
        if result is not LATER:
            if self._claim(call):
                self.answered(call, result)
            else:
                call.lost(result)
            call.stage = Stage.OVER
            self._release(call)
        elif call.stage is Stage.OVER:  # answered before the method had returned
            self._release(call)
        else:
            call.stage = Stage.PARKED
            if call.reads:
                self._release(call)
            if call.silent or (call.flushes and call.revocable):
                self.abandon(call)
            elif call.reads and call.fid.gone:
                self.abandon(call, CLUNKED)

    def answered(self, call: Call, result: Result) -> None:
        """Answer a call that was claimed for an answer, and then the flushes that waited for it."""
        parked, call.stage = call.stage is Stage.PARKED, Stage.OVER
        if call.silent:
            call.lost(result)
        elif self.calls.get(call.tag) is call:
            self._forget(call)
            self._answer(call, result)
            for tag in call.flushes:
                self.send(rflush(tag))
        if parked:
            self._release(call)

    def _answer(self, call: Call, result: Result) -> None:
        if isinstance(result, AnvilError):
            self.error(call.tag, result)
            return
        try:
            self.send(call.reply(result))
        except Exception as error:  # what the tree returned cannot be sent
            self.failed(error)
            self.error(call.tag, "internal error")

    def abandon(self, call: Call, error: str = "") -> None:
        """End a call that does not run without its answer, unless the answer is already on its way."""
        if not self._claim(call):
            return
        if call.stage is Stage.PARKED:
            call.cancel()
        call.stage = Stage.OVER
        if not call.silent:
            self._forget(call)
            if error:
                self.error(call.tag, error)
            for tag in call.flushes:
                self.send(rflush(tag))
        self._release(call)

    def _forget(self, call: Call) -> None:
        """Forget a call: its tags may be used again."""
        for tag in (call.tag, *call.flushes):
            if self.calls.pop(tag, None) is not None:
                self.allowance.give("requests")
        self.loop.touched.add(self)

    def await_end(self, oldtag: int, tag: int) -> bool:
        """For a Tflush: end what waits; wait for what runs, so that its answer comes before the Rflush."""
        call = self.calls.get(oldtag)
        if call is None:
            return False
        call.flushes += (tag,)
        self._wait(tag, call)
        if call.revocable and call.stage is Stage.QUEUED:
            assert call.fid.queue
            call.fid.queue.remove(call)
            self.load -= call.weight
            self.abandon(call)
        elif call.revocable and call.stage is Stage.PARKED:
            self.abandon(call)
        return True
