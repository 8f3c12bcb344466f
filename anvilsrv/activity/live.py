"""What happens now: the last objects of each session, and the texts that grow. Who is near the end of ``activity`` reads here.

A session's numbers go on where its records end, and a new daemon leaves a gap: pieces that the one before told are not used again.

Threads: the store's thread alone changes a :class:`Channel`; ``after`` and ``wait`` are called by readers on the 9P thread. The lock
guards the rings and who waits; it is not held while a reader is woken.
"""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from anvilsrv import display
from anvilsrv.activity.doing import Doing
from anvilsrv.activity.rows import Begun, Mark
from anvilsrv.activity.running import Running
from anvilsrv.activity.schema import LONG, OUTPUT
from anvilsrv.store.effects import Item

RING = 512  # objects of a session that are kept in memory
BYTES = 256 << 10  # the same
GAP = 10_000  # numbers that a new daemon leaves out
NAMES = 200  # of a session that are remembered
EARLY = 8  # texts of a session of which the parts may still come
ALIKE = 1000  # characters, without blanks, by which a part is known as the beginning of such a text
RUN = 4096  # pieces without a record after which what has grown is one


def squeezed(text: str) -> str:
    """Return a text without blanks, which agents change, and without colours."""
    return "".join(display.plain(text).split())


class Grown:
    """A text that grows: all of it, or of a long one the beginning and the end."""

    def __init__(self, most: int) -> None:
        self._head, self._tail, self._size, self._most = list[str](), deque[str](), 0, most
        self._begun = 0  # characters of the beginning
        self._ending = 0  # of the end
        self.left_out = 0
        self.solid = 0  # characters of all of it that are not blanks

    def add(self, part: str) -> None:
        """Add more of it."""
        self.solid += len(squeezed(part))
        room = self._most * 3 // 4 - self._begun
        room = display.whole_up_to(part, room) if room > 0 else 0
        if room:
            self._head.append(part[:room])
            self._begun += len(self._head[-1])
        if rest := part[room:]:
            self._tail.append(rest)
            self._ending += len(rest)
        while self._tail and self._ending - len(self._tail[0]) >= self._most // 4:
            gone = self._tail.popleft()
            self._ending -= len(gone)
            self.left_out += len(gone.encode())

    @property
    def size(self) -> int:
        """Characters that are kept."""
        return self._begun + self._ending

    @property
    def text(self) -> str:
        """What there is of it."""
        head = "".join(self._head)
        between = f"\n[{self.left_out} bytes left out]\n" if self.left_out else ""
        if between and "\x1b" in head:
            between = f"\x1b[m{between}"  # which colours the end had, stood in what is left out
        return head + between + "".join(self._tail)


@dataclass
class Block:
    """An object that grows. ``seq`` is that of its last part."""

    turn: int
    parent: str
    begun: Begun | None
    grown: Grown
    seq: int = 0
    pieces: int = 0


@dataclass
class Channel:
    """One session. ``last`` is the last number that was given; the ring has everything after ``floor``."""

    last: int = 0
    floor: int = 0
    cwd: str = ""
    ring: deque[Item] = field(default_factory=deque)
    size: int = 0
    blocks: dict[tuple[str, str], Block] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # of a text from one source -> its id, from another
    looked: float = 0.0  # when readers of the log were told last of a text that grows (monotonic, s)
    look: bool = False  # they will be told
    marks: dict[str, Mark] = field(default_factory=dict)  # how far files are read, as it was written last
    records: int = 0  # that this daemon has made
    doing: Doing = field(default_factory=Doing)
    running: Running = field(default_factory=Running)
    ended: dict[str, str] = field(
        default_factory=dict
    )  # texts that were whole because their turn had ended, without blanks
    early: dict[str, tuple[int, str]] = field(default_factory=dict)  # texts that came whole: their turns and beginnings
    late: dict[str, str] = field(
        default_factory=dict
    )  # of parts that came after the whole: their id -> that of the whole

    def number(self) -> int:
        """Return the next number. A job that is lost leaves a gap."""
        self.last += 1
        return self.last

    def call(self, name: str, ident: str) -> None:
        """Map what one source calls it to that id."""
        self.names[name] = ident
        while len(self.names) > NAMES:
            del self.names[next(iter(self.names))]

    def came_whole(self, ident: str, turn: int, text: str) -> None:
        """Remember a text of which no part was told before: another source, which is slower, may have them."""
        self.early[ident] = (turn, squeezed(text[: 4 * ALIKE])[:ALIKE])
        while len(self.early) > EARLY:
            del self.early[next(iter(self.early))]

    def came_late(self, ident: str, turn: int, part: str) -> str:
        """Return the id of the text whose first lines this part is, if that came whole before; else empty. Each text
        has one such name.
        """
        words, lines = squeezed(part[: 4 * ALIKE])[:ALIKE], part.endswith("\n")
        alike = (name for name, (n, text) in self.early.items()
                 if n == turn and words and (words == text or (lines and text.startswith(words))))  # fmt: skip
        found = next(alike, "")
        if found:
            del self.early[found]
            self.late[ident] = found
            while len(self.late) > NAMES:
                del self.late[next(iter(self.late))]
        return found

    def know(self, read: Mapping[str, Mark | None]) -> None:
        """Record how far these files are read; None: it is gone."""
        for path, mark in read.items():
            self.marks.pop(path, None)
            if mark is not None:
                self.marks[path] = mark

    def block(self, kind: str, ident: str, turn: int, parent: str, begun: Begun | None) -> Block:
        """Return the block that grows; begun now if there is none."""
        found = self.blocks.get((kind, ident))
        if found is None:
            found = Block(turn, parent, begun, Grown(LONG if kind == "text" else OUTPUT))
            self.blocks[kind, ident] = found
        return found


class Live:
    """The channels of all sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[str, Channel] = {}
        self._waiting: dict[str, dict[object, Callable[[], bool]]] = {}

    def channel(self, session: str) -> Channel | None:
        """Return the channel of a session; None: it was not used yet by this daemon. Store's thread."""
        return self._channels.get(session)

    def begin(self, session: str, last: int, cwd: str) -> Channel:
        """Return a new one, which continues after the ``last`` number that a previous daemon recorded; ``cwd`` is the
        session's directory. Store's thread.
        """
        start = (last // GAP + 1) * GAP if last else 0
        with self._lock:
            found = self._channels[session] = Channel(start, start, cwd)
        return found

    def publish(self, session: str, items: tuple[Item, ...], whole: tuple[tuple[str, str], ...]) -> None:
        """Pass these to readers: they are on disk, or need not be. Blocks that are ``whole`` grow no more. Store's
        thread.
        """
        channel = self._channels.get(session)
        if channel is None:
            return
        for one in whole:
            channel.blocks.pop(one, None)
        with self._lock:
            for item in items:
                channel.ring.append(item)
                channel.size += len(item.line)
            while channel.ring and (len(channel.ring) > RING or channel.size > BYTES):
                gone = channel.ring.popleft()
                channel.size -= len(gone.line)
                channel.floor = gone.seq
            waiting = list(self._waiting.get(session, {}).items())
        for key, wake in waiting:
            if wake():
                self._answered(session, key, wake)

    def _answered(self, session: str, key: object, wake: Callable[[], bool]) -> None:
        """Note that it waits no more, unless it has begun to wait again."""
        with self._lock:
            waiting = self._waiting.get(session, {})
            if waiting.get(key) is wake:
                del waiting[key]
            if not waiting:
                self._waiting.pop(session, None)

    def drop(self, session: str) -> None:
        """Drop a session that is gone: readers see the end."""
        with self._lock:
            self._channels.pop(session, None)
            waiting = list(self._waiting.get(session, {}).values())
        for wake in waiting:
            wake()

    # -- readers (9P thread) ------------------------------------------------------------------------------------------------

    def after(self, session: str, cursor: int, count: int, turn: int | None) -> "Now":
        """Return what comes after ``cursor``, at most about ``count`` bytes of it."""
        with self._lock:
            channel = self._channels.get(session)
            if channel is None or cursor < channel.floor:
                return Now([], cursor, behind=True)
            new = list(itertools.takewhile(lambda item: item.seq > cursor, reversed(channel.ring)))
        found, size = list[Item](), 0
        for item in reversed(new):
            if turn is None or item.turn == turn:
                if found and size + len(item.line) > count:
                    break
                found.append(item)
                size += len(item.line)
            cursor = item.seq
        return Now(found, cursor)

    def wait(self, session: str, key: object, wake: Callable[[], bool]) -> None:
        """Call ``wake`` at each object until it returns True or ``forget(session, key)``."""
        with self._lock:
            self._waiting.setdefault(session, {})[key] = wake

    def forget(self, session: str, key: object) -> None:
        """Stop waking ``key``."""
        with self._lock:
            waiting = self._waiting.get(session, {})
            waiting.pop(key, None)
            if not waiting:
                self._waiting.pop(session, None)


class Now(NamedTuple):
    """What a reader gets of the ring, and the cursor behind it; ``behind``: what it wants is in the store only."""

    items: list[Item]
    cursor: int
    behind: bool = False
