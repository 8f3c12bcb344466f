"""Connections that ask for nothing, and how long they are kept.

Anyone on this machine may connect, and without a token gets no further than that. So that no one can lock the user out by holding
connections open: one that does not send a whole request head in time is closed, and when there are many, the one that
has been silent longest makes room, of the client that holds the most. One that is answered, or reads a stream, is never closed here.

Threads: all on the loop.
"""

import asyncio
from collections import Counter

from uvicorn.protocols.http.h11_impl import H11Protocol

MANY = 128  # connections; beyond them the oldest silent one goes
HEAD = 10.0  # s for the head of a request, from the connection or from the reply before


class Connection(H11Protocol):
    """One connection, as uvicorn makes them."""

    transport: asyncio.Transport
    _since = 0.0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._silent()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.silent:
            self._done_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.silent:  # else the next request was here already
            self._silent()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done_waiting()
        super().connection_lost(exc)

    @property
    def silent(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _silent(self) -> None:
        self._done_waiting()
        self._since = self.loop.time()
        self._late = self.loop.call_later(HEAD, self.transport.close)

    def _done_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _make_room(self) -> None:
        there = [one for one in self.connections if isinstance(one, Connection) and not one.transport.is_closing()]
        if len(there) <= MANY:
            return
        silent = [one for one in there if one.silent and one is not self]
        held = Counter(one.peer for one in silent)
        if silent:
            min(silent, key=lambda one: (-held[one.peer], one._since)).transport.close()

    @property
    def peer(self) -> str:
        """The address that it came from."""
        return self.client[0] if self.client else ""
