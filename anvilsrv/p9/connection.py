"""One client: its fids, and how its calls go ahead, wait, end. Everything here runs on the server's I/O thread.

Calls on one fid keep their order, but for the reads of quick files, which go ahead at once. A call of a quick file runs
here; one of a slow file on a worker, which posts ``returned``. Answers that come later are posted as ``answered``.
"""

import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from anvilsrv.errors import AnvilError, Conflict, Invalid, NotFound
from anvilsrv.p9 import wire
from anvilsrv.p9.calls import Call, Fid, Hangup, Result, Stage
from anvilsrv.p9.frames import tag_of, unpack
from anvilsrv.p9.stream import Stream, rerror
from anvilsrv.p9.tree import LATER, Dir, Node
from anvilsrv.p9.verbs import MINMSIZE, PARKABLE, VERBS, Verb, rflush, version

if TYPE_CHECKING:
    from anvilsrv.p9.server import Server

MAXFIDS = 4096
MAXCALLS = 1024  # that wait at a time

CLUNKED = "fid was clunked"


class Connection(Stream):
    def __init__(self, server: "Server", sock: socket.socket, root: Dir, who: Any) -> None:
        super().__init__(server, sock)
        self.root = root
        self.who = who
        self.fids: dict[int, Fid] = {}
        self.calls: dict[int, Call] = {}  # those that wait, by tag; a Tflush that waits stands for what it waits for

    def message(self, frame: bytes) -> None:
        """Answer the request in this frame, or see to it that it will be."""
        try:
            fields = unpack(frame)
            if self.trace:
                self.server.show("<-", self, frame)
            verb = VERBS.get(frame[4])
            if verb is None:
                raise Invalid(f"not a request: {wire.TYPES[frame[4]].__name__}")
            if self.calls or not self.msize:
                self._check(verb, fields[0])
            verb(self, fields)
        except AnvilError as error:
            self.error(tag_of(frame), error)
        except Exception as error:
            self.server.on_error(error)
            self.error(tag_of(frame), "internal error")

    def _check(self, verb: Verb, tag: int) -> None:
        if verb is version:
            return
        if not self.msize:
            raise Invalid("no version agreed on")
        if tag in self.calls:
            raise Conflict(f"duplicate tag {tag}")
        if len(self.calls) >= MAXCALLS and verb in PARKABLE:
            raise Conflict(f"too many requests wait: {MAXCALLS} at most")

    def error(self, tag: int, error: AnvilError | str) -> None:
        """An Rerror whatever the text is: cut to what fits, and made valid."""
        text = str(error).encode("utf-8", "replace").replace(b"\0", b"?")
        self.send(rerror(tag, text[: min(1024, (self.msize or MINMSIZE) - 9)].decode("utf-8", "ignore")))

    def hangup(self) -> None:
        if self.alive:
            super().hangup()
            self.reset()

    # --- fids ---

    def fid(self, number: int) -> Fid:
        try:
            return self.fids[number]
        except KeyError:
            raise NotFound(f"unknown fid {number}") from None

    def unopened(self, number: int) -> Fid:
        """A fid that is neither open nor being opened."""
        fid = self.fid(number)
        if fid.mode is not None or fid.holder:
            raise Conflict(f"fid {number} is open")
        return fid

    def opened(self, number: int) -> Fid:
        fid = self.fids.get(number)
        if fid is None or fid.mode is None:
            raise Invalid(f"fid {number} is not open") if fid else NotFound(f"unknown fid {number}")
        return fid

    def add(self, number: int, trail: tuple[Node, ...]) -> None:
        if number in self.fids:
            raise Conflict(f"fid {number} is in use")
        if number == wire.NOFID:
            raise Invalid("NOFID is no fid")
        if len(self.fids) >= MAXFIDS:
            raise Conflict(f"too many fids: {MAXFIDS} at most")
        self.fids[number] = Fid(trail)

    def drop(self, number: int) -> Fid:
        """Free the number at once: 9fans/go clients use it again before they have the answer."""
        fid = self.fid(number)
        del self.fids[number]
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
        self.calls.clear()
        fids = list(self.fids.values())
        self.fids.clear()
        for fid in fids:
            if fid.handle or fid.holder:
                self._order(Hangup(self, fid, (wire.NOTAG,)))

    # --- calls ---

    def call(self, call: Call) -> None:
        """Run the tree's method for a request: at once, or when its turn comes."""
        fid = call.fid
        if fid.slow or (fid.holder and not call.reads):
            self.calls[call.tag] = call
            self._order(call)
            return
        result = call.act()  # what it raises becomes the answer in ``message``
        if result is not LATER:
            call.claimed = True
            self.send(call.answer(result))
            return
        self.calls[call.tag] = call
        call.stage = Stage.PARKED
        if not call.reads:
            self.load += call.weight
            fid.holder = call

    def _order(self, call: Call) -> None:
        """Let a call go ahead after those before it on its fid."""
        self.load += call.weight
        if call.fid.holder is None:
            self._begin(call)
        else:
            call.stage = Stage.QUEUED
            call.fid.queue = call.fid.queue or deque()
            call.fid.queue.append(call)

    def _begin(self, call: Call) -> None:
        call.stage = Stage.RUNNING
        call.fid.holder = call
        if call.fid.slow:
            self.server.work(call)
        else:
            self.returned(call, call.run())

    def _release(self, call: Call) -> None:
        """The call no longer keeps the next ones on its fid waiting."""
        fid = call.fid
        if fid.holder is call:
            self.load -= call.weight
            fid.holder = fid.queue.popleft() if fid.queue else None
            if fid.holder:
                self.server.post(self._begin, fid.holder)
            self.server.touched.add(self)

    def returned(self, call: Call, result: Result) -> None:
        """The tree's method has returned, after a wait or on a worker."""
        if result is not LATER:
            if call.claim():
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
        """A call that was claimed for an answer gets it, and then the flushes that waited for it get theirs."""
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
            self.send(call.answer(result))
        except Exception as error:  # the tree's value is none that can be sent
            self.server.on_error(error)
            self.error(call.tag, "internal error")

    def abandon(self, call: Call, error: str = "") -> None:
        """End a call that does not run without its answer, unless the answer is already on its way."""
        if not call.claim():
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
        """Its tags may be used again."""
        for tag in (call.tag, *call.flushes):
            self.calls.pop(tag, None)
        self.server.touched.add(self)

    def flush_call(self, tag: int, oldtag: int) -> None:
        """Tflush: end what waits; wait for what runs, so that its answer comes before the Rflush."""
        call = self.calls.get(oldtag)
        if call is None:
            self.send(rflush(tag))
            return
        call.flushes += (tag,)
        self.calls[tag] = call
        if call.revocable and call.stage is Stage.QUEUED:
            assert call.fid.queue
            call.fid.queue.remove(call)
            self.load -= call.weight
            self.abandon(call)
        elif call.revocable and call.stage is Stage.PARKED:
            self.abandon(call)
