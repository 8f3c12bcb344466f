"""``anvilsrv export``: the daemon's 9P service on standard input and output, for ssh(1) and plan9port's 9pserve(4).

One connection to the user's own socket, byte for byte, and so with all rights of the user. Messages are not looked at.

Threads: one a direction, since each blocks while its reader is slow and must not keep the other from draining.
"""

import os
import queue
import socket
import threading
from collections.abc import Callable

from anvilsrv import paths
from anvilsrv.errors import Unavailable
from anvilsrv.p9 import address

PIECE = 65536  # bytes moved at a time
UP, DOWN = "up", "down"


def export(source: int = 0, sink: int = 1) -> None:
    """Bridge the descriptors and the socket until ``source`` ends and what was asked before is answered.

    Raises Unavailable when no daemon serves the namespace, or it hangs up first. The thread that still waits for
    ``source`` then lives on until the process ends.
    """
    with connect() as daemon:
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        for way, read, write in ((UP, _reader(source), daemon.sendall), (DOWN, daemon.recv, _writer(sink))):
            threading.Thread(target=_carry, args=(way, read, write, ended), name=f"export {way}", daemon=True).start()
        if ended.get() == DOWN:
            raise Unavailable("anvilsrv, or the reader of its answers, hung up")
        daemon.shutdown(socket.SHUT_WR)
        ended.get()


def connect() -> socket.socket:
    """Return a connection to the daemon's socket. Raises Unavailable, and Denied if another user may serve it."""
    return address.connect(paths.socket())


def _carry(
    way: str, read: Callable[[int], bytes], write: Callable[[bytes], None], ended: "queue.SimpleQueue[str]"
) -> None:
    try:
        while piece := read(PIECE):
            write(piece)
    except OSError:
        pass  # the other side is gone: that is the end
    ended.put(way)


def _reader(fd: int) -> Callable[[int], bytes]:
    return lambda count: os.read(fd, count)


def _writer(fd: int) -> Callable[[bytes], None]:
    def write(piece: bytes) -> None:
        while piece:
            piece = piece[os.write(fd, piece) :]

    return write
