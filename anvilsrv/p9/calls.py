"""Requests that reach a file, and may have to wait for it.

A ``Call`` is one request on an open (or opening, or closing) fid. It may be answered later, by any thread; everything
else about it belongs to the server's I/O thread. What comes first (an answer, a flush, a lost connection) decides how
it ends; a later answer gets False. No lock is held while the tree runs.

What differs between the messages is in ``verbs``.
"""

from enum import Enum
from typing import Any, Protocol

from anvilsrv.allowance import Allowance
from anvilsrv.errors import AnvilError
from anvilsrv.p9.dialect import Dialect
from anvilsrv.p9.fids import Fid
from anvilsrv.p9.tree import File, Handle

Result = Any  # what the tree's method returned, LATER, or the AnvilError it raised


class Caller(Protocol):
    """What a call needs of the connection it came on."""

    msize: int
    dialect: Dialect
    allowance: Allowance

    @property
    def who(self) -> Any: ...

    def settle(self, call: "Call", result: Result) -> bool:
        """Answer a call, from any thread. False if it was answered or abandoned before."""

    def failed(self, error: Exception, /) -> None:
        """Report an exception of the tree that is not an AnvilError, from any thread."""


class Stage(Enum):
    QUEUED = "waits for the calls before it on its fid"
    RUNNING = "its method runs"
    PARKED = "its method returned LATER"
    OVER = "answered or abandoned"


class Call:
    """One request; the ``req`` of the tree's methods. Each message that reaches a file has a subclass in ``verbs``."""

    slow = False  # runs on a worker, also if the file is quick
    reads = False  # keeps no other call on its fid waiting while it is parked
    revocable = False  # a flush ends it while it waits; what the fid table has already seen is waited for instead
    stage = Stage.RUNNING
    claimed = False  # how it ends is decided
    silent = False  # the answer is not awaited
    flushes: tuple[int, ...] = ()  # tags of the Tflush that wait for it to end

    def __init__(self, caller: Caller, fid: "Fid[Call]", fields: tuple[Any, ...]) -> None:
        self.caller = caller
        self.fid = fid
        self.fields = fields  # of the message
        self.tag = fields[0]

    def serve(self) -> Result:
        """Call the tree: on a worker for slow files, else on the I/O thread."""
        raise NotImplementedError

    def reply(self, result: Any, /) -> bytes:
        """Return the frame made of what ``serve`` returned."""
        raise NotImplementedError

    def lost(self, result: Result, /) -> None:
        """Handle a result that came too late for its client."""

    @property
    def who(self) -> Any:
        return self.caller.who

    @property
    def weight(self) -> int:
        """Bytes it costs to keep this waiting."""
        return 256 + sum(len(field) for field in self.fields if isinstance(field, bytes))

    def done(self, value: Any = None) -> bool:
        return self.caller.settle(self, value)

    def fail(self, error: AnvilError | str) -> bool:
        return self.caller.settle(self, error if isinstance(error, AnvilError) else AnvilError(error))

    def run(self) -> Result:
        """Run ``serve`` for a worker, or after a wait: never raises."""
        try:
            return self.serve()
        except AnvilError as error:
            return error
        except Exception as error:
            self.caller.failed(error)
            return AnvilError("internal error")

    def cancel(self) -> None:
        """Tell the tree that this parked call is over."""
        target = self.fid.handle or self.fid.node
        try:
            if isinstance(target, Handle | File):
                target.cancel(self)
        except Exception as error:
            self.caller.failed(error)
