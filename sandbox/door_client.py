"""What others need of the door: that there is one, and a connection that tells what was refused and has ports forwarded.

Threads: any; nothing is kept but in a ``Watch``, which has one reader.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from sandbox import outside
from sandbox.address import by_name
from sandbox.errors import SandboxRefused
from sandbox.pathnames import absolute

START = 30.0  # seconds in which a door begins to serve: a busy machine starts Python slowly
PATIENCE = 5.0  # seconds for an answer of one that serves


def ensure(path: str) -> None:
    """Ensure that there is a door at the socket ``path``: start one if there is none. Raises SandboxRefused."""
    deadline = time.monotonic() + START
    while not _serves(path):
        if time.monotonic() > deadline:
            raise SandboxRefused(f"the door of the network did not start ({path})")
        _start(path)


def _serves(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(PATIENCE)
        try:
            by_name(path, sock.connect)
            sock.send(json.dumps({"ping": True}).encode())
            return sock.recv(16) == b"k"  # one that is being killed takes connections to the last
        except OSError:
            return False


def _start(path: str) -> None:
    """Start one, and wait until it serves, or has left that to another."""
    top = os.path.dirname(path)
    os.makedirs(top, 0o700, exist_ok=True)  # the door before may have removed it
    with open(top + "/door.log", "ab") as log:
        process = subprocess.Popen(
            outside.python("sandbox.door", path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            start_new_session=True, cwd="/", env=outside.environment(),
        )  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        if select.select([process.stdout], [], [], START)[0]:
            process.stdout.read(1)
        else:
            process.kill()
    process.wait()


def temporary(env: Mapping[str, str]) -> str:
    """Return the path of the socket of a door of its own, in a directory of its own that goes with it."""
    home = env.get("HOME") or os.path.expanduser("~")
    top = absolute("{XDG_STATE_HOME}/anvillm", {**env, "HOME": home})
    os.makedirs(top, 0o700, exist_ok=True)
    return tempfile.mkdtemp(prefix="door-", dir=top) + "/door"


class Watch:
    """A connection to the door at ``path``. Raises OSError where there is none."""

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._sock.settimeout(PATIENCE)
            by_name(path, self._sock.connect)
            self._sock.send(json.dumps({"watch": True}).encode())
        except OSError:
            self._sock.close()
            raise
        self._sock.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._sock.fileno()

    def read(self) -> list[dict[str, Any]] | None:
        """Return what came; None if the door is gone."""
        found: list[dict[str, Any]] = []
        while True:
            try:
                data = self._sock.recv(1 << 17)
            except BlockingIOError:
                return found
            except OSError:
                return None
            if not data:
                return found or None
            found.append(json.loads(data))

    def forward(self, session: str, port: int, on: bool, ticket: int) -> None:
        """Serve a session's port on this machine's loopback, or no more; the answer comes with the ticket. Raises OSError."""
        self._sock.send(json.dumps({"session": session, "forward": on, "port": port, "ticket": ticket}).encode())

    def close(self) -> None:
        """End it."""
        self._sock.close()
