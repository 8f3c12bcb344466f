"""Fids, a client's names for files (intro(9p)), and the table of them that each connection has.

Both belong to the server's I/O thread, except for the handle of a fid: the thread that serves a call uses it, or takes
it away at the end.
"""

import errno as numbers
from collections import deque
from typing import Generic, TypeVar

from anvilsrv.allowance import Allowance
from anvilsrv.errors import AnvilError, Conflict
from anvilsrv.p9.tree import Handle, Node
from anvilsrv.p9.wire import NOFID

MAXFIDS = 4096

W = TypeVar("W")  # what waits for its turn on a fid


class BadFid(AnvilError):
    """A fid that is not one, or is in the wrong state."""

    errno = numbers.EBADF
    phrases = (" fid ",)


class Fid(Generic[W]):
    """A name for the file at the end of ``trail``, and the handle of the file once it is open.

    What must keep its order (everything but the reads of quick files) goes ahead one at a time: ``holder`` was let go
    ahead and has not ended, ``queue`` waits behind it.
    """

    __slots__ = ("gone", "handle", "holder", "mode", "node", "queue", "slow", "trail")

    def __init__(self, trail: tuple[Node, ...]) -> None:
        self.trail = trail  # from the root to the file
        self.node = trail[-1]
        self.mode: int | None = None  # OREAD to OEXEC once it is open
        self.handle: Handle | None = None
        self.slow = False
        self.gone = False  # clunked
        self.holder: W | None = None
        self.queue: deque[W] | None = None  # made when it is first needed: most fids never do

    def append(self, one: W) -> None:
        """Have it wait for what is before it."""
        self.queue = self.queue or deque()
        self.queue.append(one)

    def advance(self) -> W | None:
        """Let the next one go ahead: the holder has ended."""
        self.holder = self.queue.popleft() if self.queue else None
        return self.holder


class Fids(Generic[W]):
    """The fids of one connection, by number; ``allowance`` is that of its owner."""

    __slots__ = ("_allowance", "_fids")

    def __init__(self, allowance: Allowance) -> None:
        self._fids: dict[int, Fid[W]] = {}
        self._allowance = allowance

    def __len__(self) -> int:
        return len(self._fids)

    def get(self, number: int) -> Fid[W]:
        try:
            return self._fids[number]
        except KeyError:
            raise BadFid(f"unknown fid {number}") from None

    def unopened(self, number: int) -> Fid[W]:
        """Return a fid that is neither open nor being opened."""
        fid = self.get(number)
        if fid.mode is not None or fid.holder:
            raise BadFid(f"bad fid {number}: open already")
        return fid

    def opened(self, number: int) -> Fid[W]:
        fid = self._fids.get(number)
        if fid is None or fid.mode is None:
            raise BadFid(f"bad fid {number}: not open") if fid else BadFid(f"unknown fid {number}")
        return fid

    def check_unused(self, number: int) -> None:
        if number in self._fids:
            raise BadFid(f"bad fid {number}: in use")

    def add(self, number: int, trail: tuple[Node, ...]) -> None:
        """Name a file by an unused number."""
        if number == NOFID:
            raise BadFid("NOFID is not a fid number")
        if len(self._fids) >= MAXFIDS:
            raise Conflict(f"too many fids: at most {MAXFIDS}")
        self._allowance.take("fids")
        self._fids[number] = Fid(trail)

    def remove(self, number: int) -> Fid[W]:
        """Free a number, and return the fid that it named."""
        try:
            found = self._fids.pop(number)
        except KeyError:
            raise BadFid(f"unknown fid {number}") from None
        self._allowance.give("fids")
        return found

    def clear(self) -> list[Fid[W]]:
        """Free all numbers, and return the fids that they named."""
        fids = list(self._fids.values())
        self._fids.clear()
        self._allowance.give("fids", len(fids))
        return fids
