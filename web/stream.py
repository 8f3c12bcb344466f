"""What happens, on its way to the pages: server-sent events, one stream a page.

A page gets what changed since it was last told, so one that reads slowly gets less, never something stale, and holds
no one up: sessions are compared when it is ready for more, events wait in a bounded queue (``sessions`` carries what counts), and
the thread that reads its conversation waits while a MiB is under way.

Threads: ``Hub``'s methods named as ``Listener``'s run on the follower's thread, ``Pieces.put`` on a tail's; all else on the loop.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from anvilsrv.front.follow import Follower, Row
from anvilsrv.front.tail import Piece, Tail, in_pieces
from anvilsrv.front.turns import Turns
from anvilsrv.strict_json import dumps

HEARTBEAT = 20.0  # s without news after which a comment shows that the stream lives
QUEUED = 500  # events that wait for one page
UNDER_WAY = 1 << 20  # characters of a conversation that wait for one page
STREAMS = 64  # at once


class Hub:
    """Everything the pages share: the follower, the sessions as last seen, and who listens."""

    def __init__(self, socket: str | None = None) -> None:
        self.follower = Follower(self, socket)
        self.rows: list[Row] | None = None
        self.why: str | None = None
        self.feeds: set[Feed] = set()
        self.closing = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to follow; on the loop."""
        self._loop = asyncio.get_running_loop()
        self.follower.start()

    def close_soon(self) -> None:
        """End all streams, so that the server can end; on the loop."""
        self.closing = True
        for feed in self.feeds:
            feed.wake.set()

    async def stop(self) -> None:
        """Stop following; its thread is gone afterwards."""
        self.close_soon()
        await asyncio.to_thread(self.follower.stop)

    # -- the follower's thread ----------------------------------------------------------------------------------------

    def sessions(self, rows: list[Row]) -> None:
        self._hand(rows=rows)

    def events(self, found: list[Row]) -> None:
        self._hand(found=found)

    def away(self, why: str) -> None:
        self._hand(why=why)

    def _hand(self, **news: Any) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is no listener left
            self._loop.call_soon_threadsafe(lambda: self._take(**news))

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _take(self, rows: list[Row] | None = None, found: list[Row] | None = None, why: str | None = None) -> None:
        if found is None:
            self.rows, self.why = rows, why
        for feed in self.feeds:
            feed.queue.extend(found or ())
            feed.wake.set()

    async def serve(self, session: str | None, turns: bool = False, after: int | None = None) -> AsyncIterator[bytes]:
        """Yield the lines of one stream; ``session`` is whose conversation it shows, with ``turns`` what happens in it
        ``after`` a number.
        """
        feed = Feed(self, session, turns, after, asyncio.get_running_loop())
        self.feeds.add(feed)
        try:
            while not self.closing:
                for line in feed.news():
                    yield line
                try:
                    await asyncio.wait_for(feed.wake.wait(), HEARTBEAT)
                    feed.wake.clear()
                except TimeoutError:
                    yield b":\n\n"
        finally:
            self.feeds.discard(feed)
            feed.pieces.close()
            if feed.tail is not None:
                threading.Thread(target=feed.tail.stop, name="tail ends").start()


class Feed:
    """What one page knows, and what it must be told."""

    def __init__(
        self, hub: Hub, session: str | None, turns: bool, after: int | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._hub = hub
        self.wake = asyncio.Event()
        self.queue: deque[Row] = deque(maxlen=QUEUED)
        self._known: dict[str, Row] | None = None
        self._why: str | None = None
        self.pieces = Pieces(lambda: loop.call_soon_threadsafe(self.wake.set))
        self.tail: Tail | None = None
        self._first: int | None = None
        self._follows = False
        self._loop = loop
        if session and turns:
            self.tail = Turns(hub.follower, session, self.pieces.put, self.pieces.end, self._begin, after, self._follow)
        elif session:
            self.tail = Tail(hub.follower, session, in_pieces(self.pieces.put), self.pieces.end)
        if self.tail is not None:
            self.tail.start()

    def _begin(self, first: int) -> None:
        self._first = first

    def _follow(self) -> None:
        self._follows = True
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.wake.set)

    def news(self) -> list[bytes]:
        """Return the events that bring the page up to date."""
        found: list[bytes] = []
        rows, why = self._hub.rows, self._hub.why
        if why is not None and why != self._why:
            found.append(sse("away", {"why": why}))
        if rows is not None:
            now = {row["id"]: row for row in rows}
            before = self._known or {}
            changed = [row for key, row in now.items() if row != before.get(key)]
            gone = [key for key in before if key not in now]
            if changed or gone or self._known is None or self._why is not None:
                found.append(sse("sessions", {"rows": changed, "gone": gone}))
            self._known = now
        self._why = why
        if self.queue:
            found.append(sse("events", list(self.queue)))
            self.queue.clear()
        follows, self._follows = self._follows, False  # before what it follows is taken
        pieces, ended = self.pieces.take()
        if self._first is not None:
            found.append(sse("first", {"turn": self._first}))
            self._first = None
        lines = [one for one in pieces if isinstance(one, str)]
        if lines:
            found.append(f"event: activity\ndata: [{','.join(lines)}]\n\n".encode())
        elif pieces:
            found.append(sse("pieces", [one._asdict() for one in pieces if isinstance(one, Piece)]))
        if follows:
            found.append(sse("follows", {}))
        if ended is not None:
            found.append(sse("ended", {"why": ended}))
        return found


class Pieces:
    """Pieces of a conversation, or lines of what happens in it, between the thread that reads them and the loop that sends them."""

    def __init__(self, wake: Any) -> None:
        self._wake = wake
        self._changed = threading.Condition()
        self._held: list[Piece | str] = []
        self._size = 0
        self._closed = False
        self._ended: str | None = None

    def put(self, pieces: Sequence[Piece | str]) -> None:
        """Wait for room, then hand over. From the tail's thread."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._size < UNDER_WAY)
            if self._closed:
                return
            self._held += pieces
            self._size += sum(len(one if isinstance(one, str) else one.text) for one in pieces)
        with contextlib.suppress(RuntimeError):
            self._wake()

    def end(self, why: str) -> None:
        """End the stream: nothing more comes. From the tail's thread."""
        with self._changed:
            self._ended = why
        with contextlib.suppress(RuntimeError):
            self._wake()

    def take(self) -> tuple[list[Piece | str], str | None]:
        """Return what came, and why no more will (once)."""
        with self._changed:
            held, self._held, self._size = self._held, [], 0
            ended, self._ended = self._ended, None
            self._changed.notify_all()
            return held, ended

    def close(self) -> None:
        """Stop taking any."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def sse(event: str, data: Any) -> bytes:
    """Return one server-sent event; JSON holds no line end, so the data is one line."""
    return f"event: {event}\ndata: {dumps(data)}\n\n".encode()
