"""What network a session has: none, hosts by name, ports of every host, or all; the union of what its layers say.

``hosts`` is held by an empty network namespace and the door (``door``); where a layer names ports, the network of the machine is
shared, and with it the ports of the hosts are open to every host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sandbox import hosts, layers
from sandbox.hosts import Host
from sandbox.layers import Layer, Origin

MODES = ("none", "hosts", "ports", "all")  # each gives more than those before it
_DNS = 53


class Network(NamedTuple):
    """``mode`` is one of MODES; the ports are those of TCP. Each with who said so."""

    mode: str
    connect: dict[int, Origin]
    bind: dict[int, Origin]
    origins: tuple[Origin, ...]
    hosts: dict[Host, tuple[Origin, ...]] = {}
    publish: dict[int, Origin] = {}

    @property
    def private(self) -> bool:
        """Whether the full tier gives a network namespace of its own."""
        return self.mode in ("none", "hosts")

    def shared(self) -> Network:
        """Return the same without a network namespace: the ports of the hosts are open, to every host."""
        if self.mode != "hosts":
            return self
        ports = {host.port: origins[0] for host, origins in self.hosts.items()}
        return self._replace(mode="ports", connect=_with_dns(ports))

    def secrets(self) -> set[str]:
        """Return the variables that the door adds to requests: no agent has them."""
        return {hosts.variable(value)[1] for host in self.hosts for _, value in host.header} - {""}

    def widened(self) -> list[int]:
        """Return ports that were granted for some hosts alone, and are open to all of them since another layer gives
        ports.
        """
        if self.mode != "ports":
            return []
        return sorted({host.port for host in self.hosts} - set(self.connect))


def united(found: Sequence[Layer]) -> Network:
    """Return the network of all layers. One that does not enable it adds nothing; one with hosts does, unless it says
    ``enabled: false``.
    """
    connect: dict[int, Origin] = {}
    bind: dict[int, Origin] = {}
    publish: dict[int, Origin] = {}
    origins: list[Origin] = []
    unrestricted = False
    for layer in (layer for layer in found if _enabled(layer)):
        said = layer.network
        origins.append(next(iter(said.values())).origin if "enabled" not in said else said["enabled"].origin)
        unrestricted |= "unrestricted" in said and said["unrestricted"].value
        for key, ports in (("connect_tcp", connect), ("bind_tcp", bind), ("publish", publish)):
            for port in said[key].value if key in said else ():
                ports.setdefault(port, said[key].origin)
    named = _hosts([layer for layer in found if _enabled(layer)])
    if unrestricted:
        return Network("all", connect, bind, tuple(origins), named, publish)
    if connect:
        connect = _with_dns(connect)
    mode = "ports" if connect or bind else "hosts" if named else "none"
    return Network(mode, connect, bind, tuple(origins) if mode != "none" or publish else (), named, publish)


def _enabled(layer: Layer) -> bool:
    said = layer.network
    return bool(said["enabled"].value if "enabled" in said else said.keys() & {"hosts", "publish"})


def _with_dns(ports: dict[int, Origin]) -> dict[int, Origin]:
    return {_DNS: Origin("dns over tcp", "", 0)} | ports


def _hosts(found: list[Layer]) -> dict[Host, tuple[Origin, ...]]:
    said = [one for layer in found for one in layer.hosts]
    try:
        result = hosts.united(one.value for one in said)
    except ValueError as error:
        raise layers.wrong(said[-1], "network.hosts", str(error)) from None
    return {host: tuple(dict.fromkeys(one.origin for one in said if one.value[:2] == host[:2])) for host in result}
