"""The launcher's part of the door: listening sockets inside an empty network, which the door outside accepts on.

The launcher makes them while it still has the network namespace's capabilities: the addresses 198.18.0.0/15 (RFC 2544: they exist
nowhere else) on the loopback, a listener for each granted port, and a name server's socket. The door tells by the address to which a
connection came which name was meant. The keeper holds copies: they give them to the next door when one dies, and until then
connections wait. Nothing of ours runs inside, and no one inside can bind over them.

Single-threaded; imports no more than the launcher may.
"""

from __future__ import annotations

import _socket
import os
import time

from sandbox.address import by_name
from sandbox.errors import SandboxRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

BASE, PREFIX = (198, 18, 0, 1), 15
PATIENCE = 5.0  # seconds in which a door that lives answers
AGAIN = 0.2  # seconds between two attempts to find the next door
_SOCK_SEQPACKET, _SCM_RIGHTS, _BACKLOG = 5, 1, 1024


def address_message(index: int) -> bytes:
    """Return RTM_NEWADDR (rtnetlink(7)): BASE/PREFIX, scope host, on the interface ``index``: the whole network becomes
    local.
    """
    octets = bytes(BASE)
    attributes = b"".join((8).to_bytes(2, "little") + kind.to_bytes(2, "little") + octets for kind in (1, 2))
    body = bytes([_socket.AF_INET, PREFIX, 0, 254]) + index.to_bytes(4, "little") + attributes
    head = (16 + len(body)).to_bytes(4, "little") + (20).to_bytes(2, "little") + (0x605).to_bytes(2, "little")
    return head + (1).to_bytes(4, "little") + bytes(4) + body


def _invent_addresses() -> None:
    sock = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, 0)
    try:
        sock.settimeout(PATIENCE)
        sock.send(address_message(_socket.if_nametoindex("lo")))
        error = int.from_bytes(sock.recv(4096)[16:20], "little", signed=True)
    finally:
        sock.close()
    if error:
        raise SandboxRefused(f"no addresses for the hosts: {os.strerror(-error)}")


def _listener(port: int) -> Any:
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0)
    sock.bind(("0.0.0.0", port))
    sock.listen(_BACKLOG)
    return sock


def _name_server() -> Any:
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM, 0)
    sock.bind(("127.0.0.1", 53))
    return sock


class Held:
    """The sockets of one sandbox and the connection to its door. ``door`` is that part of the specification: the door's socket, the
    ports, and the words (``hello``) that tell the door what is granted."""

    def __init__(self, door: dict[str, Any] | None) -> None:
        self._door = door
        self._sockets: list[Any] = []
        self._connection: Any = None
        self._next = 0.0  # when to look for a door again
        if door is None:
            return
        if door["ports"]:
            _invent_addresses()
            self._sockets = [_name_server(), *map(_listener, door["ports"])]

    def pass_out(self) -> None:
        """Give them to the door and wait until it serves. Raises SandboxRefused."""
        if self._door is None:
            return
        deadline = time.monotonic() + PATIENCE
        while True:
            why, answer = "it closed the connection", b""
            try:
                self._connect()
                answer = self._connection.recv(4096)
            except OSError as error:
                why = error.strerror or "timed out"
            if answer == b"k":
                return
            if why == os.strerror(2):  # ENOENT: none has been started
                raise SandboxRefused(f"the door of the network does not answer ({why})")
            if answer:
                raise SandboxRefused(f"the door of the network refuses: {answer[1:].decode('utf-8', 'replace')}")
            if time.monotonic() >= deadline:
                raise SandboxRefused(f"the door of the network does not answer ({why})")
            time.sleep(AGAIN)

    def _connect(self) -> None:
        assert self._door is not None
        sock = _socket.socket(_socket.AF_UNIX, _SOCK_SEQPACKET, 0)
        try:
            sock.settimeout(PATIENCE)
            by_name(self._door["socket"], sock.connect)
            _send(sock, self._door["hello"].encode(), [one.fileno() for one in self._sockets])
        except OSError:
            sock.close()
            raise
        self._connection = sock

    def close(self) -> None:
        """Close them, by init: what it holds would keep the door alive."""
        for sock in (*self._sockets, *([self._connection] if self._connection else [])):
            sock.close()

    # --- the keeper's part

    def fileno(self) -> int:
        """Return the connection to the door; -1 if there is none at present."""
        return -1 if self._connection is None else self._connection.fileno()

    def wait(self) -> float | None:
        """Return the seconds until ``look`` is due; None if only a message makes it so."""
        if self._door is None or self._connection is not None:
            return None
        return max(0.0, self._next - time.monotonic())

    def hear(self) -> None:
        """Take a message of the door, or its end. ``f`` asks for a socket of this network, not connected yet."""
        try:
            word = self._connection.recv(4096)
            if word == b"f":
                sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0)
                other = _socket.socket(_socket.AF_INET6, _socket.SOCK_STREAM, 0)
                try:
                    _send(self._connection, b"s", [sock.fileno(), other.fileno()])
                finally:
                    sock.close()
                    other.close()
        except OSError:
            word = b""
        if not word or word[:1] == b"r":
            self._connection.close()
            self._connection, self._next = None, time.monotonic() + AGAIN

    def look(self) -> None:
        """Look for the next door, if it is time: it gets the sockets as the first one did."""
        if self._door is None or self._connection is not None or time.monotonic() < self._next:
            return
        try:
            self._connect()
        except OSError:  # it is being started
            self._next = time.monotonic() + AGAIN


def _send(sock: Any, data: bytes, descriptors: Sequence[int]) -> None:
    packed = b"".join(fd.to_bytes(4, "little") for fd in descriptors)
    sock.sendmsg([data], [(_socket.SOL_SOCKET, _SCM_RIGHTS, packed)] if packed else [])
