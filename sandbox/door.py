"""The door: the one way out of sandboxes whose network is held by host. ``python -P -m sandbox.door SOCKET``.

Keepers connect to its socket and pass what was made inside (``listeners``); for each session the door forks a process that serves it
(``door_session``), so that a busy session takes no turn of another's, and one that fails ends alone. A daemon connects to be told what
was refused, and to have ports forwarded. One door serves a socket, held by a lock on a file beside it; it ends with the
last of both. A session's process that loses the door starts the next one.

What comes and goes are JSON objects, one a message:

    session   {"session": ID, "hosts": [...], "publish": [...]}, with descriptors; the answer is "k", or "r" and a sentence
    ping      {"ping": true}; the answer is "k"
    watch     {"watch": true}; then {"session": ID, "forward": BOOL, "port": N, "ticket": N}
    to it     {"session": ID, "came": true} of each that is there or comes; {"session": ID, "refused": NAME, "why": SENTENCE} and
              {"session": ID, "answer": TICKET, "error": SENTENCE}

Threads: one, so that it can fork.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from sandbox import door_client
from sandbox.address import by_name
from sandbox.door_session import Session

LINGER = 10.0  # seconds in which the first of those that need a door comes
_WORDS = 1 << 17  # bytes of a message
_KEPT = 256  # refusals that wait for a daemon


class _Child:
    """A session: its process, or, as long as nothing leads into or out of it, its keeper's connection alone."""

    def __init__(self, hello: dict[str, Any], keeper: socket.socket | None) -> None:
        self.hello, self.keeper = hello, keeper
        self.link: socket.socket | None = None


class Door:
    """One door. ``path`` is the socket."""

    def __init__(self, path: str, listener: socket.socket) -> None:
        self._path, self._listener = path, listener
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._sessions: dict[str, _Child] = {}
        self._learned: dict[str, list[str]] = {}
        self._watchers: list[socket.socket] = []
        self._waiting: deque[bytes] = deque(maxlen=_KEPT)
        self._processes: dict[int, int] = {}  # a pidfd, and its process
        self._watch(listener.fileno(), self._accept)

    def _watch(self, fd: int, call: Callable[[], None]) -> None:
        self._calls[fd] = call
        self._epoll.register(fd, select.EPOLLIN)

    def _drop(self, sock: socket.socket) -> None:
        self._calls.pop(sock.fileno(), None)
        self._epoll.unregister(sock.fileno())
        sock.close()

    def run(self) -> None:
        """Serve until it is not needed any more."""
        came, deadline = False, time.monotonic() + LINGER
        while True:
            for fd, _ in self._epoll.poll(LINGER):
                if fd in self._calls:
                    self._calls[fd]()
            needed = bool(self._sessions or self._watchers or self._processes)
            came |= needed
            if not needed and len(self._calls) == 1 and (came or time.monotonic() >= deadline):
                return

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (0, os.geteuid()):
            sock.close()
            return
        sock.setblocking(False)
        self._watch(sock.fileno(), lambda: self._first(sock))

    def _first(self, sock: socket.socket) -> None:
        """Take the first message, which says who it is."""
        words, fds = _receive(sock)
        sockets = [socket.socket(fileno=fd) for fd in fds]
        if words and words.get("watch"):
            self._calls[sock.fileno()] = lambda: self._command(sock)
            self._watchers.append(sock)
            for name in self._sessions:
                _send(sock, _came(name))
            while self._waiting:
                _send(sock, self._waiting.popleft())
        elif words and isinstance(words.get("session"), str):
            self._begin(sock, words, sockets)
        else:
            if words and words.get("ping"):
                _send(sock, b"k")
            self._drop(sock)
        for one in sockets:
            one.close()

    # --- sessions

    def _begin(self, keeper: socket.socket, hello: dict[str, Any], sockets: list[socket.socket]) -> None:
        before = self._sessions.get(hello["session"])
        if before is not None and before.hello["hosts"] != hello["hosts"]:
            self._learned.pop(hello["session"], None)  # another run: addresses are given again
        child = self._sessions[hello["session"]] = _Child(hello, keeper)
        for watcher in self._watchers:
            _send(watcher, _came(hello["session"]))
        if hello["hosts"] or hello["publish"]:
            self._fork(child, sockets)
        else:
            self._calls[keeper.fileno()] = lambda: self._gone(child)
            _send(keeper, b"k")

    def _gone(self, child: _Child) -> None:
        """Note that the keeper of a session without a process is gone: it has nothing to say."""
        if child.keeper is not None:
            self._drop(child.keeper)
        self._forget(child)

    def _fork(self, child: _Child, sockets: list[socket.socket]) -> None:
        keeper = child.keeper
        assert keeper is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if not pid:
            self._serve(child, keeper, sockets, theirs)
        theirs.close()
        self._drop(keeper)
        child.keeper, child.link = None, ours
        ours.setblocking(False)
        self._watch(ours.fileno(), lambda: self._heard(child, ours))
        pidfd = os.pidfd_open(pid)
        self._processes[pidfd] = pid
        self._watch(pidfd, lambda: self._reap(pidfd))

    def _serve(
        self, child: _Child, keeper: socket.socket, sockets: list[socket.socket], link: socket.socket
    ) -> NoReturn:
        """Serve in the new process: nothing of the door's or another session's stays open."""
        status = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            kept = {0, 1, 2, keeper.fileno(), link.fileno(), *(one.fileno() for one in sockets)}
            for name in os.listdir("/proc/self/fd"):
                if int(name) not in kept:
                    with suppress(OSError):
                        os.close(int(name))
            try:
                session = Session(keeper, sockets, child.hello, link, self._learned.get(child.hello["session"], []))
            except ValueError as error:
                keeper.send(b"r" + str(error).encode()[:4000])
                os._exit(0)
            session.run()
            keeper.close()
            door_client.ensure(self._path)
            status = 0
        except BaseException as error:  # it has no caller
            sys.stderr.write(f"anvil-sandbox: the door of {child.hello['session']}: {error!r}\n")
        os._exit(status)

    def _reap(self, pidfd: int) -> None:
        os.waitpid(self._processes.pop(pidfd), 0)
        self._calls.pop(pidfd)
        self._epoll.unregister(pidfd)
        os.close(pidfd)

    def _heard(self, child: _Child, link: socket.socket) -> None:
        """Take a message from a session's process, or its end."""
        words, _ = _receive(link)
        name = child.hello["session"]
        if words is None:
            self._drop(link)
            self._forget(child)
        elif "learned" in words:
            self._learned.setdefault(name, []).append(words["learned"])
        else:
            self._tell(json.dumps(words | {"session": name}).encode())

    def _forget(self, child: _Child) -> None:
        name = child.hello["session"]
        if self._sessions.get(name) is child:
            del self._sessions[name]

    # --- daemons

    def _tell(self, words: bytes) -> None:
        heard = [_send(sock, words) for sock in self._watchers]
        if not any(heard):
            self._waiting.append(words)

    def _command(self, sock: socket.socket) -> None:
        words, _ = _receive(sock)
        if words is None:
            self._watchers.remove(sock)
            self._drop(sock)
            return
        child = self._sessions.get(words["session"])
        if child is None:
            self._tell(
                json.dumps(
                    {"session": words["session"], "answer": words["ticket"], "error": "it is not running"}
                ).encode()
            )
            return
        if child.link is None:
            self._fork(child, [])
        assert child.link is not None
        _send(child.link, json.dumps(words).encode())


def _came(session: str) -> bytes:
    return json.dumps({"session": session, "came": True}).encode()


def _receive(sock: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return one message; None at the end of the connection, or for one that cannot be read."""
    try:
        data, fds, flags, _ = socket.recv_fds(sock, _WORDS, 64)
    except BlockingIOError:
        return {}, []
    except OSError:
        return None, []
    try:
        words = json.loads(data)
    except ValueError:
        words = None
    return (words if isinstance(words, dict) and not flags & socket.MSG_CTRUNC else None), list(fds)


def _send(sock: socket.socket, data: bytes) -> bool:
    try:
        return bool(sock.send(data))
    except OSError:
        return False  # it is gone, or does not listen; its end is seen where it is read


def main(path: str) -> int:
    """Serve until it is not needed, as an orphan. Says ``ready`` on its standard output once it listens; if another door serves
    there, it ends without."""
    if os.fork():
        return 0
    top = os.path.dirname(path)
    lock = os.open(top, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.umask(0o077)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with suppress(FileNotFoundError):
        os.unlink(path)
    by_name(path, listener.bind)
    listener.listen(128)
    os.write(1, b"ready\n")
    os.dup2(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC), 1)
    Door(path, listener).run()
    log = top + "/door.log"
    with suppress(OSError):  # it may all have been removed
        os.unlink(path)
        if os.path.exists(log) and not os.path.getsize(log):
            os.unlink(log)
        os.rmdir(top)  # where it is the door's alone
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
