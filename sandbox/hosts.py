"""Hosts that a sandbox may reach by name: how a layer writes one, which names it covers, and whether one grant covers another.

A name is ASCII, lower case, without its last dot. ``*.example.org`` covers every name below ``example.org`` and not that name itself.
A name of numbers alone is refused everywhere: getaddrinfo(3) reads ``127.1``, ``0177.0.0.1`` and ``2130706433`` as addresses.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

TLS_PORT, HTTP_PORT = 443, 80
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FIELD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # token of RFC 9110
#: Fields that say how a request is carried and to whom: the door writes these itself.
_CARRYING = {
    "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip


class Host(NamedTuple):
    """A name and a port. ``addresses`` are networks in which it may also lie, beside the public ones; ``header`` what the door adds
    to each request, as (field, a value or one with ``variable``): then the agent speaks plain http, and the door TLS to ``port``."""

    name: str
    port: int = TLS_PORT
    addresses: tuple[str, ...] = ()
    header: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def inside(self) -> int:
        """The port to which an agent connects."""
        return HTTP_PORT if self.header else self.port

    def covers(self, name: str) -> bool:
        """Return whether this is a grant of that name (or of that pattern)."""
        return name == self.name or (self.name.startswith("*.") and name.endswith(self.name[1:]) and name != self.name)

    def gives(self, other: Host) -> bool:
        """Return whether a holder of this may also have the other."""
        if not self.covers(other.name) or (self.port, self.header) != (other.port, other.header):
            return False
        mine = [ipaddress.ip_network(one) for one in self.addresses]
        return all(any(_within(ipaddress.ip_network(one), top) for top in mine) for one in other.addresses)


def _within(
    one: ipaddress.IPv4Network | ipaddress.IPv6Network, top: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    return one.version == top.version and one.subnet_of(top)  # type: ignore[arg-type]


def checked(name: str) -> str:
    """Return a requested name in its plain form. ValueError says what is wrong with it."""
    if not name.isascii():
        raise ValueError("has non-ASCII letters: write it in punycode (xn--...)")
    plain = name.lower().removesuffix(".")
    labels = plain.split(".")
    if len(plain) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("is not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError("is an address: hosts have names")
    return plain


def parse(entry: object) -> Host:
    """Return an entry of ``hosts:``. ValueError says what is wrong, as the rest of a sentence."""
    if isinstance(entry, str):
        return _named(entry)
    if not isinstance(entry, Mapping):
        raise ValueError(f"{entry!r} is neither NAME[:PORT] nor a mapping with a name")
    for key in entry:
        if key not in ("name", "addresses", "header"):
            raise ValueError(f"no such key {key!r} (known: name, addresses, header)")
    if not isinstance(entry.get("name"), str):
        raise ValueError("has no name")
    found = _named(entry["name"])._replace(
        addresses=_addresses(entry.get("addresses") or []), header=_header(entry.get("header") or {})
    )
    if found.header and found.name.startswith("*."):
        raise ValueError(f"'{found.name}' has a header: that is for one host, not for a pattern")
    return found


def _named(text: str) -> Host:
    if "://" in text:
        raise ValueError(f"'{text}' has a scheme: only the name is meant")
    if "/" in text:
        raise ValueError(f"'{text}' has a path: only the name is meant")
    if _is_address(text):
        raise ValueError(f"'{text}' is an address: write {{name: NAME, addresses: [...]}}")
    name, colon, port = text.partition(":")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError(f"{port!r} in '{text}' is not a port (1 to 65535)")
    if name == "*":
        raise ValueError("'*' is every host: write *.NAME, or unrestricted: true")
    pattern = name.startswith("*.")
    try:
        plain = checked(name[2:] if pattern else name)
    except ValueError as error:
        raise ValueError(f"'{name}' {error}") from None
    return Host(f"*.{plain}" if pattern else plain, int(port) if colon else TLS_PORT)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _addresses(found: object) -> tuple[str, ...]:
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise ValueError("addresses must be a list of addresses and networks")
    try:
        return tuple(str(ipaddress.ip_network(one)) for one in found)
    except ValueError as error:
        raise ValueError(f"addresses: {error}") from None


def _header(found: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(found, Mapping):
        raise ValueError("header must be a mapping")
    for field, value in found.items():
        if not isinstance(field, str) or not _FIELD.fullmatch(field) or field.lower() in _CARRYING:
            raise ValueError(f"header: {field!r} is not a field that can be added")
        if (
            not isinstance(value, str)
            or not value.isprintable()
            or not value.isascii()
            or value.strip() in ("", "env:")
        ):
            raise ValueError(f"header: {field}: must be a line of text, env:NAME, or text with env:NAME at its end")
    return tuple(sorted((field.lower(), value) for field, value in found.items()))


def variable(value: str) -> tuple[str, str]:
    """Return what precedes the variable in a header's value ``Bearer env:NAME``, and its name; empty if there is none."""
    before, mark, name = value.rpartition("env:")
    return (before, name) if mark and (not before or before.endswith(" ")) else ("", "")


def covering(granted: Iterable[Host], name: str) -> list[Host]:
    """Return the grants of a name. If one has a header there is no other way, through a pattern neither."""
    found = [host for host in granted if host.covers(name)]
    return [host for host in found if host.header] or found


def listed(spec: Mapping[str, Any]) -> list[Host]:
    """Return the hosts in a specification; it is JSON."""
    return [
        Host(name, port, tuple(addresses), tuple((field, value) for field, value in header))
        for name, port, addresses, header in spec.get("hosts", ())
    ]


def united(said: Iterable[Host]) -> list[Host]:
    """Return each name and port once, with the addresses and the header that any layer gives. Raises ValueError if two
    give different ones.

    A host with a header cannot be reached otherwise: with a key of its own an agent could carry data into an account of its own.
    """
    found: dict[tuple[str, int], Host] = {}
    for host in said:
        before = found.get(host[:2], host)
        for what in ("addresses", "header"):
            one, other = getattr(before, what), getattr(host, what)
            if one and other and one != other:
                raise ValueError(f"{host.name}: another layer gives it other {what}")
        found[host[:2]] = host._replace(
            addresses=before.addresses or host.addresses, header=before.header or host.header
        )
    headed = {host.name for host in found.values() if host.header}
    return [host for host in found.values() if host.header or host.name not in headed]
