"""What one session may have of the daemon: the bounds, and the count of what it has.

One agent cannot make the daemon slow or large for the others: what it asks for beyond a bound is refused, to it alone, with a sentence.
A bound is a row of ``BOUNDS``, which is also what the file ``sandbox`` says. What is held in memory is counted by an
:class:`Allowance`; the others are enforced where the rows or the files are read, with the figure from here.

Threads: an Allowance is used from any; its lock is held for a sum.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from anvilsrv.errors import Conflict

MiB = 1 << 20
LEAST = 0.001  # s that must be left of a share


class Bound(NamedTuple):
    """``most`` of something; ``bytes`` are said in MiB. ``what`` follows the figure in ``sandbox``, and ``full`` is the refusal."""

    most: int
    what: str
    full: str
    bytes: bool = False

    @property
    def figure(self) -> str:
        """``64 MiB``, ``1,000``."""
        return f"{self.most // MiB} MiB" if self.bytes else f"{self.most:,}"

    def refusal(self) -> Conflict:
        """Return the error for a request beyond the allowance."""
        return Conflict(f"busy: {self.full.format(self.figure)}")


BOUNDS = {
    "connections": Bound(64, "at a time", "{} connections of this session are open"),
    "fids": Bound(4096, "of all its connections", "too many fids: {} at most for a session"),
    "requests": Bound(1024, "that wait, of all its connections", "too many requests wait: {} at most for a session"),
    "streams": Bound(64, "open files that wait for what comes", "{} open files of this session wait for what comes"),
    "open": Bound(
        48 * MiB, "of what its open files hold: unfinished JSON, reports, contents",
        "open files of this session hold {}", bytes=True,
    ),
    "drafts": Bound(64 * MiB, "of texts that it has begun to write", "texts of {} are unfinished", bytes=True),
    "waiting": Bound(64 * MiB, "of prompts and messages of its own that wait", "{} from this session wait", bytes=True),
    "messages": Bound(1000, "prompts and messages of its own that wait", "{} prompts and messages from this session wait"),
    "context": Bound(16 << 10, "bytes in context of a session that it started", "an agent writes {} bytes of context at most"),
    "questions": Bound(256 << 10, "bytes of open questions in one session; the oldest gives way", ""),
    "growing": Bound(2 * MiB, "of texts that grow in one session; the oldest grows no more", "", bytes=True),
    "message": Bound(MiB, "in one message", "", bytes=True),
    "inbox": Bound(64 * MiB, "of messages in an inbox, when a session sends another", "{} of messages wait there", bytes=True),
    "sent": Bound(512 * MiB, "of messages that it sent, archived ones included", "this session has sent {}", bytes=True),
    "answers": Bound(512 * MiB, "of answers and typed prompts that are kept", "{} of what this session said are kept", bytes=True),
    "mistakes": Bound(16, "that are not reported as errors yet", "{} mistakes of this session are not reported yet"),
    "attachment": Bound(8 * MiB, "in one file of attach", "a file of attach has {} at most", bytes=True),
    "attachments": Bound(100, "files in attach", "{} files are in attach"),
    "attached": Bound(64 * MiB, "of files in attach", "files of {} are in attach", bytes=True),
    "sessions": Bound(64, "that it started, directly or through others", "{} sessions were started by this one"),
    "values": Bound(200_000, "in one JSON text", "more than {} values in one JSON text"),
    "transcript": Bound(64 * MiB, "at one look", "", bytes=True),
    "spool": Bound(64 * MiB, "in total", "", bytes=True),
}  # fmt: skip


def lines() -> str:
    """Return the bounds as lines of ``sandbox``."""
    return "".join(f"limit\t{name}\t{bound.figure} {bound.what}\n" for name, bound in BOUNDS.items())


class Allowance:
    """What one session has at the moment. The user's has no bounds (``bounded`` is false), and counts nothing."""

    def __init__(self, bounded: bool = True) -> None:
        self.bounded = bounded  # never changes
        self._has = dict.fromkeys(BOUNDS, 0)
        self._lock = threading.Lock()

    def has(self, what: str) -> int:
        """Return how much it has."""
        return self._has[what]

    def may(self, what: str, more: int = 1) -> bool:
        """Take ``more`` of it if that is within the bound; whether it was."""
        if not self.bounded:
            return True
        with self._lock:
            if self._has[what] + more > BOUNDS[what].most:
                return False
            self._has[what] += more
        return True

    def take(self, what: str, more: int = 1) -> None:
        """Take that much. Raises Conflict beyond the bound."""
        if not self.may(what, more):
            raise BOUNDS[what].refusal()

    def full(self, what: str) -> bool:
        """Return True if the bound is reached."""
        return self.bounded and self._has[what] >= BOUNDS[what].most

    def add(self, what: str, more: int = 1) -> None:
        """Count ``more`` of it, even beyond the bound, since it can no longer be refused."""
        if self.bounded:
            with self._lock:
                self._has[what] += more

    def give(self, what: str, less: int = 1) -> None:
        """Give back that much."""
        if self.bounded:
            with self._lock:
                self._has[what] -= less


class Budget:
    """How much of a thread's time a client may have: ``burst`` (s) at once, ``rate`` of it for one who always wants more.

    One thread's, or under its owner's lock.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = self._left = burst
        self._rate = rate
        self._at: float | None = None  # when ``_left`` was so

    def left(self, now: float) -> float:
        """Return how many s it may have immediately."""
        self._left = (
            min(self._burst, self._left + (now - self._at) * self._rate) if self._at is not None else self._left
        )
        self._at = now
        return self._left

    def spend(self, seconds: float) -> None:
        """Record that it had that much, which may be more than was left."""
        self._left -= seconds

    def due(self, now: float, need: float) -> float:
        """Return in how many s it may have ``need``."""
        return max(0.0, (need - self.left(now)) / self._rate)


class Shares:
    """How much of a thread's time each family of sessions may have for what its agents write: ``burst`` (s) at once, ``rate`` of it.

    Used from any thread; its lock is held for a sum.
    """

    def __init__(self, family: Callable[[str], str], burst: float = 2.0, rate: float = 0.1) -> None:
        self._family = family
        self._burst, self._rate = burst, rate
        self._budgets: dict[str, Budget] = {}
        self._lock = threading.Lock()

    def due(self, session: str, owing: float = 0.0) -> float:
        """Return in how many s it is its turn: 0 for one that owes no more than ``owing`` s."""
        with self._lock:
            family, now = self._family(session), time.monotonic()
            budget = self._budgets.get(family)
            if budget is None:
                return 0.0
            if budget.left(now) >= self._burst:
                del self._budgets[family]  # it was quiet: nothing is kept of it
            return budget.due(now, LEAST - owing)

    def spend(self, session: str, seconds: float) -> None:
        """Record that it had that much of the processor's time."""
        with self._lock:
            budget = self._budgets.setdefault(self._family(session), Budget(self._burst, self._rate))
            budget.left(time.monotonic())
            budget.spend(seconds)

    def stopwatch(self) -> "Stopwatch":
        """Return a stopwatch of this thread, for work on one session after another."""
        return Stopwatch(self)

    @contextmanager
    def charged(self, session: str) -> Iterator[None]:
        """Charge what this thread does inside."""
        watch = self.stopwatch()
        try:
            yield
        finally:
            watch.charge(session)


class Stopwatch:
    """The time of one thread since the last ``charge``. Used on that thread; to ask the kernel for it costs more than a short piece of
    work."""

    __slots__ = ("_at", "_shares")

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._at = time.thread_time()

    def charge(self, session: str) -> None:
        """Charge what this thread did since then."""
        before, self._at = self._at, time.thread_time()
        self._shares.spend(session, self._at - before)


class Share:
    """Something of an allowance that its holders (one, unless ``parts`` says more) let go of: the last gives all of it back.

    What is told of it after that counts for nothing.
    """

    def __init__(self, allowance: Allowance, what: str, size: int = 0) -> None:
        self._allowance = allowance
        self._what = what
        self._parts = 1
        self._size = 0
        self._lock = threading.Lock()
        self.grow(size)

    def grow(self, more: int) -> None:
        """Let it grow. Raises Conflict beyond the bound."""
        self._allowance.take(self._what, more)
        with self._lock:
            gone = self._parts <= 0
            self._size += 0 if gone else more
        if gone:
            self._allowance.give(self._what, more)

    def parts(self, number: int) -> None:
        """Set how many holders it has."""
        with self._lock:
            self._parts = number

    def shrink(self, size: int = 0) -> None:
        """Reduce it: no more than ``size`` of it is left."""
        with self._lock:
            less = max(0, self._size - size)
            self._size -= less
        self._allowance.give(self._what, less)

    def shrink_by(self, less: int) -> None:
        """Reduce it by that much."""
        with self._lock:
            less = min(less, self._size)
            self._size -= less
        self._allowance.give(self._what, less)

    def let_go(self) -> None:
        """Release it for one of its holders."""
        with self._lock:
            self._parts -= 1
        if self._parts <= 0:
            self.shrink()
