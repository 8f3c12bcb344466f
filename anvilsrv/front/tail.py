"""Following a conversation: the file ``<id>/log`` as it grows, across restarts of the daemon, and the pieces it is made of.

The log is blocks, ``USER <time>``, ``ASSISTANT <time>`` or ``NOTE <time>``, then lines that begin with a tab or are empty, then an
empty line (anvilsrv(4)). A line at the margin is therefore always a head, whatever was said.

Threads: a ``Tail`` owns one, which calls ``tell`` and ``end``.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.front.follow import Follower
from anvilsrv.p9.client import Cancelled, Client, File


class Piece(NamedTuple):
    """What came: with ``role`` the beginning of a block, without one more of the text of the last block."""

    role: str
    time: str
    text: str


class Parser:
    """Bytes of a log into pieces. Empty lines at a block's end are held until the next block shows where they belong."""

    def __init__(self) -> None:
        self._rest = b""
        self._empty = 0
        self._begun = False  # a line of the block was given
        self._head: Piece | None = None  # of a block of which nothing else came yet

    def feed(self, data: bytes) -> list[Piece]:
        """Return the pieces that ``data`` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        found: list[Piece] = []
        for raw in whole:
            line = raw.decode("utf-8", "replace")
            if not line.startswith("\t") and line:
                role, _, time = line.partition(" ")
                found += [self._head] if self._head else []
                self._head = Piece(role, time, "")
                self._begun, self._empty = False, 0
                continue
            found += [self._head] if self._head else []
            self._head = None
            if line:
                self._text(found, line[1:])
            else:
                self._empty += 1
        return found

    def _text(self, found: list[Piece], line: str) -> None:
        before = "\n" * (self._empty + (1 if self._begun else 0))
        self._begun, self._empty = True, 0
        last = found.pop() if found else Piece("", "", "")
        found.append(last._replace(text=f"{last.text}{before}{line}"))


def in_pieces(tell: Callable[[list[Piece]], None]) -> Callable[[bytes], None]:
    """Return a function that passes on what a ``Tail`` reads, parsed."""
    parser = Parser()

    def told(data: bytes) -> None:
        if pieces := parser.feed(data):
            tell(pieces)

    return told


class Tail:
    """Follows the log of ``session`` until ``stop``: ``tell`` gets each byte once, ``end(why)`` is called if it can go on no more."""

    def __init__(
        self, follower: Follower, session: str, tell: Callable[[bytes], None], end: Callable[[str], None]
    ) -> None:
        self.session = session
        self._follower = follower
        self._tell = tell
        self._end = end
        self._lock = threading.Lock()  # of the two that follow
        self._file: File | None = None
        self._taken = 0  # bytes of the log
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"tail {session}", daemon=True)

    def start(self) -> None:
        """Begin with the first block."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; the thread ends at once."""
        with self._lock:
            self._stopping = True
            file = self._file
        if file is not None:
            file.cancel()
        self._follower.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        client: Client | None = None
        while (client := self._follower.next_client(client, lambda: self._stopping)) is not None:
            try:
                self._follow(client)
            except Unavailable:
                continue  # the follower notices as well, and connects again
            except Cancelled:
                return
            except AnvilError as error:
                self._end(str(error))
                return

    def _open(self, file: File) -> None:
        """Set what is read from now on: ``stop`` cancels it."""
        with self._lock:
            self._file = file
            if self._stopping:
                raise Cancelled("stopped")

    def _follow(self, client: Client) -> NoReturn:
        """Hand on what has come since the bytes taken before: a log only grows."""
        with client.open(f"{self.session}/log") as file:
            self._open(file)
            skip = self._taken
            while data := file.read(timeout=None):
                fresh = data[skip:]
                skip = max(0, skip - len(data))
                self._taken += len(fresh)
                if fresh:
                    self._tell(fresh)
            raise Unavailable("the log ended")
