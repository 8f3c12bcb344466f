"""A tmux server whose socket was deleted, as those do who clear /tmp: it runs on, and so do the agents in it, but no one reaches it.

It makes its socket again when it gets SIGUSR1. The kernel knows who listens, by the path that is gone.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from anvilsrv.linux.inotify import IN_CREATE, IN_MOVED_TO, Inotify
from anvilsrv.tmux.process import peer
from anvilsrv.tmux.protocol import Hung

ACCEPTS = 1 << 16  # __SO_ACCEPTCON of <linux/net.h>, in /proc/net/unix
LISTEN = 1.0  # s between a socket's bind and its listen


def revive(socket: Path, timeout: float) -> None:
    """Have a server whose socket is gone make it again; no-op where there is none. Raises Hung."""
    if os.path.lexists(socket):
        return
    for server in listeners(socket):
        try:
            fd = os.pidfd_open(server)
        except ProcessLookupError:
            continue
        try:
            if server in listeners(socket):  # it still is the one that was found
                _revive(socket, fd, timeout)
                return
        finally:
            os.close(fd)


def _revive(socket: Path, server: int, timeout: float) -> None:
    made = Inotify()
    try:
        made.add(str(socket.parent), IN_CREATE | IN_MOVED_TO)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(server, signal.SIGUSR1)
        until = time.monotonic() + timeout
        poll = select.poll()
        poll.register(made, select.POLLIN)
        poll.register(server, select.POLLIN)
        while not os.path.lexists(socket):
            ready = poll.poll(max(0.0, until - time.monotonic()) * 1000)
            if not ready:
                raise Hung(timeout)
            if (server, select.POLLIN) in ready:
                return  # it has ended
            made.read()
    finally:
        made.close()
    until = time.monotonic() + LISTEN
    while time.monotonic() < until:
        with suppress(OSError):
            peer(socket)
            return
        time.sleep(0.005)  # there is no event for a listen(2)


def listeners(socket: Path) -> list[int]:
    """Return the processes of ours that listen at that path, whether it still leads to them or not."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(os.fsencode(socket))}
    if not inodes:
        return []
    return [int(process.name) for process in _ours() if any(link in inodes for link in _descriptors(process))]


def _inodes(path: bytes) -> Iterator[str]:
    for line in Path("/proc/net/unix").read_bytes().splitlines()[1:]:
        _, _, _, flags, _, _, inode, *bound = line.split(None, 7)
        if bound == [path] and int(flags, 16) & ACCEPTS:
            yield inode.decode()


def _ours() -> Iterator[Path]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if process.stat().st_uid == os.geteuid():
                    yield process


def _descriptors(process: Path) -> Iterator[str]:
    with suppress(OSError):
        for one in (process / "fd").iterdir():
            with suppress(OSError):
                yield os.readlink(one)
