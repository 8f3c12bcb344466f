"""The plumber's port `anvil`: what was right-clicked in windows that are not Assist's (plumb(7))."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client

PORT = "anvil"
_HEADERS = 6  # lines before the data: src dst wdir type attr ndata


def receive(socket: str, plumbed: Callable[[str, str], None], connected: Callable[[Client], None]) -> None:
    """Give each message's text to `plumbed`, with the directory in which it was clicked, until the connection ends. Without a
    plumber, or without the rule that makes the port, there is nothing to receive."""
    with suppress(AnvilError):
        client = Client(socket)
        connected(client)
        with client, client.open(PORT) as port:
            data = b""
            while more := port.read(timeout=None):
                data += more
                while (message := unpack(data)) is not None:
                    text, directory, data = message
                    plumbed(text.strip(), directory)


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
