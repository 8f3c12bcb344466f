"""The door's name server: an invented address for each name that is granted, and no such name for every other.

Answers on a socket inside the sandbox (RFC 1035). Every query gets an answer, malformed ones too: silence costs a client 5 s. There are
no IPv6 addresses; nothing is ever asked outside on behalf of a query.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from sandbox import hosts
from sandbox.hosts import Host
from sandbox.listeners import BASE

LEARNED = 4096  # names below patterns that are remembered
_FIRST = int(ipaddress.IPv4Address(bytes(BASE))) + 1
_TTL = 60
_A, _AAAA, _ANY, _IN = 1, 28, 255, 1
_FORMERR, _SERVFAIL, _NXDOMAIN, _NOTIMP = 1, 2, 3, 4


class Names:
    """Which invented address stands for which name. ``learned`` are names below patterns that an earlier door gave addresses, in
    order; ``remember`` is told of each new one."""

    def __init__(self, granted: Iterable[Host], learned: Iterable[str], remember: Callable[[str], None]) -> None:
        self._granted = list(granted)
        self._remember = remember
        self._names = [*dict.fromkeys(host.name for host in self._granted if not host.name.startswith("*.")), *learned]
        self._numbers = {name: number for number, name in enumerate(self._names)}

    def covered(self, name: str) -> bool:
        """Return whether any grant covers the name."""
        return name in self._numbers or any(host.covers(name) for host in self._granted)

    def address(self, name: str) -> bytes | None:
        """Return the invented address of a covered name; None if too many were given away."""
        if name not in self._numbers:
            if len(self._names) >= LEARNED + len(self._granted):
                return None
            self._numbers[name] = len(self._names)
            self._names.append(name)
            self._remember(name)
        return (_FIRST + self._numbers[name]).to_bytes(4, "big")

    def meant(self, address: str) -> str | None:
        """Return the name that an address stands for."""
        number = int(ipaddress.IPv4Address(address)) - _FIRST
        return self._names[number] if 0 <= number < len(self._names) else None

    def grant(self, name: str, port: int) -> Host | None:
        """Return the grant by which a name can be reached on a port (as seen from inside); an exact one before a
        pattern.
        """
        fit = [host for host in hosts.covering(self._granted, name) if host.inside == port]
        return max(fit, key=lambda host: (host.name == name, len(host.name)), default=None)


def answer(query: bytes, names: Names) -> tuple[bytes, str]:
    """Return the reply to a query, and the name that was refused (empty if none was). An empty reply: nothing can be
    said to that.
    """
    if len(query) < 2:
        return b"", ""
    if len(query) < 12:
        return _reply(query[:2], 0, _FORMERR), ""
    ident, flags, questions = query[:2], query[2], int.from_bytes(query[4:6], "big")
    if flags & 0x80:  # an answer, to us
        return b"", ""
    if flags >> 3 & 15:
        return _reply(ident, flags, _NOTIMP), ""
    try:
        if questions != 1:
            raise ValueError
        text, end = _question(query)
        kind, family = int.from_bytes(query[end : end + 2], "big"), int.from_bytes(query[end + 2 : end + 4], "big")
    except ValueError:
        return _reply(ident, flags, _FORMERR), ""
    question = query[12 : end + 4]
    try:
        name = hosts.checked(text)
    except ValueError:
        return _reply(ident, flags, _NXDOMAIN, question), text
    if name == "localhost" or name.endswith(".localhost"):
        return _reply(ident, flags, 0, question, b"\x7f\0\0\x01" if kind == _A else b""), ""
    if family not in (_IN, _ANY) or not names.covered(name):
        return _reply(ident, flags, _NXDOMAIN, question), name
    if kind not in (_A, _ANY):
        return _reply(ident, flags, 0, question), ""
    address = names.address(name)
    return _reply(ident, flags, 0 if address else _SERVFAIL, question, address or b""), ""


def _question(query: bytes) -> tuple[str, int]:
    """Return the name that is asked for, and where its type begins. Raises ValueError for one that is not a name: it
    may not be compressed.
    """
    at, labels = 12, []
    while True:
        if at >= len(query) or query[at] > 63 or at > 12 + 254:
            raise ValueError
        length = query[at]
        at += 1 + length
        if length == 0:
            break
        labels.append(query[at - length : at])
    if at + 4 > len(query) or not labels or any(b"." in label for label in labels):
        raise ValueError
    return b".".join(labels).decode("latin-1"), at


def _reply(ident: bytes, flags: int, code: int, question: bytes = b"", address: bytes = b"") -> bytes:
    """Return the reply; ``address`` is that of the name asked for; without one there is no record."""
    head = ident + bytes([0x80 | flags & 0x79, 0x80 | code])  # an answer; the opcode and RD of the question; RA
    counts = bytes([0, 1 if question else 0, 0, 1 if address else 0, 0, 0, 0, 0])
    record = b"\xc0\x0c\0\x01\0\x01" + _TTL.to_bytes(4, "big") + b"\0\x04" + address if address else b""
    return head + counts + question + record
