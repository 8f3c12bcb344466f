"""Where a granted name leads: looked up once, each address checked, and connected to by number, so that nothing can change in between.

``ipaddress`` calls some addresses global that lead to this machine, its network or its cloud: those are refused here by name. So is
every address of this machine, public ones too: a server on it trusts who comes from it.

Threads: any; nothing is kept.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from sandbox.hosts import Host

PATIENCE = 10.0  # seconds for all addresses of a name together
_MOST = 6  # addresses that are tried
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NEVER = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3", "::/96", "64:ff9b::/96",
        "64:ff9b:1::/48", "fec0::/10", "ff00::/8", "100::/64", "5f00::/16",
    )
]  # fmt: skip
_UNUSED = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # of documentation (RFC 5737, 3849)


class Refused(Exception):
    """The name must not be connected to, or cannot be; a sentence."""


def why_not(address: Address, also: Iterable[str]) -> str:
    """Return why an address is refused; empty if it is not. ``also`` are networks in which it may lie whatever they
    are.
    """
    if any(address in ipaddress.ip_network(one) for one in also):
        return ""
    for inner in _inner(address):
        if found := why_not(inner, ()):
            return found
    if any(address in network for network in _NEVER if network.version == address.version):
        return "is reserved"
    if address.is_multicast or address.is_reserved or not address.is_global:
        return "is not public"
    return "is of this machine" if is_ours(address) else ""


def _inner(address: Address) -> list[Address]:
    """Return the IPv4 addresses that an IPv6 one carries."""
    if address.version == 4:
        return []
    found: list[Address] = [one for one in (address.ipv4_mapped, address.sixtofour) if one is not None]
    found += list(address.teredo or ())
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if int(address) >> 32 == 0 or address in ipaddress.ip_network("64:ff9b::/96"):
        found.append(low)
    return found


def is_ours(address: Address) -> bool:
    """Return whether this machine has the address: it can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    if not _binds(family, str(address)):
        return False
    return not _binds(family, _UNUSED[family]) or _leads_home(family, str(address))


def _binds(family: int, address: str) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError:
            return False
    return True


def _leads_home(family: int, address: str) -> bool:
    """Return whether packets to the address come from it: then it is ours, also where every address can be bound
    (net.ipv4.ip_nonlocal_bind).
    """
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, 9))
            return bool(sock.getsockname()[0] == address)
        except OSError:
            return False


def addresses(name: str, host: Host) -> list[str]:
    """Return the addresses of a name that may be connected to. If the grant has only single addresses, those, without a
    query.
    """
    networks = [ipaddress.ip_network(one) for one in host.addresses]
    if networks and all(one.num_addresses == 1 for one in networks):
        return [str(one.network_address) for one in networks]
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused(f"cannot be resolved: {getattr(error, 'strerror', None) or error}") from None
    wanted = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    reasons = {one: why_not(ipaddress.ip_address(one), host.addresses) for one in wanted}
    allowed = [one for one in wanted if not reasons[one]]
    if not allowed:
        raise Refused("; ".join(f"its address {one} {why}" for one, why in list(reasons.items())[:3]))
    return allowed[:_MOST]


def connect(name: str, host: Host) -> socket.socket:
    """Return a connection to a granted name. Raises Refused."""
    last = "no address"
    found = addresses(name, host)
    for address in found:
        try:
            sock = socket.create_connection((address, host.port), timeout=PATIENCE / len(found))
        except OSError as error:
            last = f"{address}: {error.strerror or 'timed out'}"
            continue
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    raise Refused(f"cannot be reached: {last}")
