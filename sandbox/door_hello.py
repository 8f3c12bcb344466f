"""The name in a ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3), from the first bytes of a connection. No TLS is opened."""

from __future__ import annotations

LIMIT = 16384  # bytes of a ClientHello with its records; seen: 309 to 1601
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0


class Incomplete(Exception):
    """More bytes must come."""


def server_name(data: bytes) -> str:
    """Return the name, in lower case; empty if there is none. Raises Incomplete, or ValueError if this is not a
    ClientHello.
    """
    hello = _Reader(_handshake(data))
    hello.take(2 + 32)  # version, random
    hello.vector(1)  # session
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression
    extensions = _Reader(hello.vector(2)) if hello.left else _Reader(b"")
    found = None
    while extensions.left:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            if found is not None:
                raise ValueError("two names")
            found = _name(body)
    return found or ""


def _handshake(data: bytes) -> bytes:
    """Return the body of the first handshake message, put together from its records."""
    records, message = _Reader(data), b""
    while True:
        if not records.left:
            raise Incomplete
        if data[:1] != bytes([_HANDSHAKE]) or records.number(1, wait=True) != _HANDSHAKE:
            raise ValueError("not TLS")
        if records.number(1, wait=True) != 3:
            raise ValueError("not TLS")
        records.take(1, wait=True)
        part = records.vector(2, wait=True)
        if not part:
            raise ValueError("an empty record")
        message += part
        if message[0] != _CLIENT_HELLO:
            raise ValueError("not a ClientHello")
        if len(message) >= 4:
            length = int.from_bytes(message[1:4], "big")
            if length > LIMIT:
                raise ValueError("too long")
            if len(message) >= 4 + length:
                return message[4 : 4 + length]


def _name(body: bytes) -> str:
    names = _Reader(_Reader(body).vector(2))
    found = ""
    while names.left:
        kind, name = names.number(1), names.vector(2)
        if kind == _HOST_NAME:
            if found or not name:
                raise ValueError("two names, or an empty one")
            found = name.decode("ascii").lower().removesuffix(".")  # UnicodeDecodeError is a ValueError
    return found


class _Reader:
    """Reads numbers and vectors; past the end it is Incomplete with ``wait``, else ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int, wait: bool = False) -> bytes:
        if self.left < count:
            raise Incomplete if wait else ValueError("cut short")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, width: int, wait: bool = False) -> int:
        return int.from_bytes(self.take(width, wait), "big")

    def vector(self, width: int, wait: bool = False) -> bytes:
        return self.take(self.number(width, wait), wait)
