"""Whether the door of the sandbox would come to the hosts that are granted, from this machine: each is connected to as the door does.

Threads: one for each host, ``way``; a look-up cannot be broken off, so one that takes too long is left behind.
"""

import threading
import time
from collections.abc import Iterable

from sandbox import door_address
from sandbox.hosts import Host

UNKNOWN = "cannot be resolved"  # how the door begins its sentence about a name that no name server knows


def refused(hosts: Iterable[Host], patience: float) -> dict[Host, str]:
    """Return why, for each host that cannot be reached, after at most ``patience`` seconds. Patterns are not tried."""
    said: dict[Host, str] = {}

    def look(host: Host) -> None:
        try:
            door_address.connect(host.name, host).close()
            said[host] = ""
        except door_address.Refused as error:
            said[host] = str(error)

    tried = [host for host in hosts if not host.name.startswith("*.")]
    threads = [threading.Thread(target=look, args=(host,), name="way", daemon=True) for host in tried]
    for thread in threads:
        thread.start()
    until = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return {host: why for host in tried if (why := said.get(host, f"does not answer in {patience:g} s"))}
