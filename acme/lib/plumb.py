"""The plumber's port `anvil`: what was right-clicked in windows that are not Assist's (plumb(7)).

Threads: `ports` waits in the plumber. The lock guards the connection, which any thread may end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client

PORT = "anvil"
_HEADERS = 6  # lines before the data: src dst wdir type attr ndata


class Plumber:
    """Gives each message's text to `plumbed`, with the directory in which it was clicked, on `ports`, until the connection ends.
    Without a plumber, or without the rule that makes the port, there is nothing to receive."""

    def __init__(self, socket: str, plumbed: Callable[[str, str], None]) -> None:
        self._socket = socket
        self._plumbed = plumbed
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._ended = threading.Event()
        self._thread = self._made()

    def start(self) -> None:
        self._thread.start()

    def again(self) -> None:
        """Look for the plumber again, if it was not there."""
        if not self._thread.is_alive() and not self._ended.is_set():
            self._thread = self._made()
            self._thread.start()

    def end(self) -> None:
        """End the connection."""
        self._ended.set()
        with self._lock:
            client = self._client
        if client is not None:
            client.close()

    def join(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _made(self) -> threading.Thread:
        return threading.Thread(target=self._receive, name="ports", daemon=True)

    def _receive(self) -> None:
        with suppress(AnvilError):
            client = Client(self._socket)
            with self._lock:
                self._client = client
            if self._ended.is_set():
                client.close()
            with client, client.open(PORT) as port:
                data = b""
                while more := port.read(timeout=None):
                    data += more
                    while (message := unpack(data)) is not None:
                        text, directory, data = message
                        self._plumbed(text.strip(), directory)


def unpack(data: bytes) -> tuple[str, str, bytes] | None:
    """Return the text of the first message, its directory, and what follows it; None if it is not complete."""
    parts = data.split(b"\n", _HEADERS)
    if len(parts) <= _HEADERS:
        return None
    size = int(parts[_HEADERS - 1])
    if len(parts[_HEADERS]) < size:
        return None
    text, directory = (part.decode("utf-8", "replace") for part in (parts[_HEADERS][:size], parts[2]))
    return text, directory, parts[_HEADERS][size:]
