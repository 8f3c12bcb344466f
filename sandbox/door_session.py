"""The door of one session: a process that accepts what its sandbox connects to, checks it, and carries the bytes.

It ends with the session's keeper, and everything with it. What it is asked for and refuses it tells once, to ``door``.

Threads: the loop's owns everything; a bounded pool looks names up and connects, another serves plain http. Both hand back by
``Loop.hand``. The process leaves by os._exit: a look-up that hangs holds nothing up.
"""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from sandbox import door_address, door_hello, door_http
from sandbox.door_address import Refused
from sandbox.door_loop import READ, Loop, Timer
from sandbox.door_names import Names, answer
from sandbox.door_pump import Pump
from sandbox.hosts import HTTP_PORT, Host, listed

CONNECTIONS = 2048  # at a time; more wait
LOOKING_UP, SPEAKING_HTTP = 16, 128  # threads
HELLO = 10.0  # seconds for a ClientHello
REFUSALS = 200  # different ones that are told
TLS_PORTS = {443, 465, 636, 853, 989, 990, 992, 993, 995, 5061, 6443, 6697, 8443, 2053, 2083, 2087, 2096, 9443}
HTTP_PORTS = {HTTP_PORT, 8000, 8008, 8080, 8880, 2052, 2082, 2086, 2095}


class Session:
    """``keeper`` is the connection to the keeper, ``sockets`` what came over it: the name server's and a listener for each port;
    ``door`` leads to the process that made this one; ``learned`` are names that an earlier process gave addresses."""

    def __init__(
        self,
        keeper: socket.socket,
        sockets: Sequence[socket.socket],
        hello: dict[str, Any],
        door: socket.socket,
        learned: list[str],
    ) -> None:
        self.loop = Loop()
        self._keeper, self._door = keeper, door
        granted = listed(hello)
        self._secrets = door_http.secrets(granted)
        self._names = Names(granted, learned, lambda name: self._tell(learned=name))
        self._told: set[tuple[str, str]] = set()
        self._open = 0
        self._listeners = list(sockets[1:])
        self._published: dict[int, socket.socket] = {}
        self._asked: deque[socket.socket] = deque()  # from outside, each waiting for a socket inside
        self._look_up = ThreadPoolExecutor(LOOKING_UP, "look up")
        self._http = ThreadPoolExecutor(SPEAKING_HTTP, "http")
        for sock in (keeper, door, *sockets):
            sock.setblocking(False)
        if sockets:
            self.loop.watch(sockets[0].fileno(), READ, partial(self._query, sockets[0]))
        self._listen(True)
        self.loop.watch(keeper.fileno(), READ, self._from_keeper)
        self.loop.watch(door.fileno(), READ, self._from_door)
        for port in hello.get("publish", ()):
            if said := self.publish(port):
                self._tell(refused=f"port {port}", why=said)

    def run(self) -> None:
        """Run until the keeper is gone."""
        self._keeper.send(b"k")
        self.loop.run()

    # --- names

    def _query(self, sock: socket.socket, _events: int) -> None:
        for _ in range(64):
            try:
                query, asker = sock.recvfrom(4096)
                reply, refused = answer(query, self._names)
                if reply:
                    sock.sendto(reply, asker)
            except BlockingIOError:
                return
            except OSError:
                continue  # the asker is gone
            if refused:
                self._refuse(refused, "no layer names it")

    def _refuse(self, name: str, why: str) -> None:
        """Tell a refusal, the first time. Names that a resolver makes up are not told."""
        name = "".join(letter if letter.isprintable() else "?" for letter in name[:255])
        known = (name, why) in self._told or len(self._told) >= REFUSALS
        if known or name.endswith((".invalid", ".arpa", ".local")):
            return
        self._told.add((name, why))
        self._tell(refused=name, why=why)

    def _tell(self, **words: Any) -> None:
        try:
            self._door.send(json.dumps(words).encode())
        except OSError:
            pass  # it does not listen at present: an agent's refusals are not worth waiting for

    # --- connections from inside

    def _listen(self, on: bool) -> None:
        for sock in self._listeners:
            self.loop.watch(sock.fileno(), READ if on else 0, partial(self._accept, sock))

    def _accept(self, listener: socket.socket, _events: int) -> None:
        for _ in range(32):
            if self._open >= CONNECTIONS:
                self._listen(False)
                return
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self._open += 1
            address, port = sock.getsockname()[:2]
            name = self._names.meant(address)
            if name is None:  # 127.0.0.1, say: it is the session's own, and has no server
                self._close(sock)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(sock, name, port)

    def _serve(self, sock: socket.socket, name: str, port: int) -> None:
        host = self._names.grant(name, port)
        if port in HTTP_PORTS:
            self._http.submit(self._speak_http, sock, name, host)
        elif host is None:
            self._refuse(f"{name}:{port}", "no layer names it")
            self._close(sock)
        elif port in TLS_PORTS:
            sock.setblocking(False)
            _Hello(self.loop, sock, partial(self._greeted, sock, name, host))
        else:
            self._connect(sock, name, host, b"")

    def _speak_http(self, sock: socket.socket, name: str, host: Host | None) -> None:
        """Speak HTTP, on a thread of the pool."""
        connect = partial(door_address.connect, name, host) if host else _nowhere
        door_http.Exchange(
            sock, name, host, connect, self._secrets, lambda name, why: self.loop.hand(partial(self._refuse, name, why))
        ).serve()
        self.loop.hand(self._closed)

    def _greeted(self, sock: socket.socket, name: str, host: Host, data: bytes, found: str | None, why: str) -> None:
        """Handle the first bytes of a TLS connection; ``found`` is the name in them."""
        if found is None or found != name:
            other = f"the connection names '{found}'" if found else why or "the connection names no host"
            self._refuse(f"{name}:{host.port}", other)
            self._close(sock)
        else:
            self._connect(sock, name, host, data)

    def _connect(self, sock: socket.socket, name: str, host: Host, data: bytes) -> None:
        def look() -> None:
            try:
                found: socket.socket | Refused = door_address.connect(name, host)
            except Refused as error:
                found = error
            self.loop.hand(partial(self._connected, sock, name, found, data))

        self._look_up.submit(look)

    def _connected(self, sock: socket.socket, name: str, found: socket.socket | Refused, data: bytes) -> None:
        if isinstance(found, Refused):
            self._refuse(name, str(found))
            self._close(sock)
        else:
            Pump(self.loop, sock, found, data, self._closed)

    def _close(self, sock: socket.socket) -> None:
        sock.close()
        self._closed()

    def _closed(self) -> None:
        self._open -= 1
        if self._open == CONNECTIONS - 1:
            self._listen(True)

    # --- connections from outside

    def publish(self, port: int) -> str:
        """Serve a port of the sandbox on this machine's loopback; why not, if it cannot be."""
        if port in self._published:
            return ""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            sock.listen(64)
        except OSError as error:
            sock.close()
            return f"127.0.0.1:{port}: {error.strerror}"
        sock.setblocking(False)
        self._published[port] = sock
        self.loop.watch(sock.fileno(), READ, partial(self._from_outside, sock))
        return ""

    def withdraw(self, port: int) -> str:
        """Serve it no more; connections that are open stay."""
        sock = self._published.pop(port, None)
        if sock is None:
            return f"port {port} is not forwarded"
        self.loop.forget(sock.fileno())
        sock.close()
        return ""

    def _from_outside(self, listener: socket.socket, _events: int) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        self._open += 1
        try:
            if self._open > CONNECTIONS:
                raise OSError
            self._keeper.send(b"f")
            self._asked.append(sock)
        except OSError:
            self._close(sock)

    def _from_keeper(self, _events: int) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._keeper, 16, 4)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            os._exit(0)  # the session is over; whatever is open here would keep its network alive
        inner = [socket.socket(fileno=fd) for fd in fds]
        if not self._asked or len(inner) != 2:
            for one in inner:
                one.close()
            return
        sock = self._asked.popleft()
        self._look_up.submit(self._reach, sock, inner, sock.getsockname()[1])

    def _reach(self, sock: socket.socket, inner: list[socket.socket], port: int) -> None:
        """Connect one of two sockets of the sandbox's network, by IPv4 and by IPv6. On a thread."""
        found = None
        for one, address in zip(inner, ("127.0.0.1", "::1"), strict=True):
            one.settimeout(door_address.PATIENCE / 2)
            try:
                if found is None:
                    one.connect((address, port))
                    found = one
                    continue
            except OSError:
                pass
            one.close()
        done: Callable[[], object] = partial(self._close, sock)
        if found is not None:
            done = partial(Pump, self.loop, sock, found, b"", self._closed)
        self.loop.hand(done)  # type: ignore[arg-type]

    def _from_door(self, _events: int) -> None:
        try:
            data = self._door.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.loop.stopped = True  # the door died; the keeper takes its sockets to the next one
            return
        words = json.loads(data)
        said = (self.publish if words["forward"] else self.withdraw)(words["port"])
        self._tell(answer=words["ticket"], error=said)


def _nowhere() -> socket.socket:
    raise Refused("is not granted")


class _Hello:
    """Waits for a ClientHello; calls with what came, the name in it, or why there is none."""

    def __init__(self, loop: Loop, sock: socket.socket, call: Callable[[bytes, str | None, str], None]) -> None:
        self._loop, self._sock, self._call = loop, sock, call
        self._data = b""
        self._timer: Timer = loop.after(HELLO, partial(self._found, None, "nothing was said in time"))
        loop.watch(sock.fileno(), READ, self._more)

    def _more(self, _events: int) -> None:
        try:
            data = self._sock.recv(door_hello.LIMIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._data += data
        try:
            self._found(door_hello.server_name(self._data), "")
        except door_hello.Incomplete:
            if not data or len(self._data) > door_hello.LIMIT + 1024:
                self._found(None, "the connection does not begin as TLS does")
        except ValueError:
            self._found(None, "the connection does not begin as TLS does")

    def _found(self, name: str | None, why: str) -> None:
        self._timer.cancel()
        self._loop.forget(self._sock.fileno())
        self._call(self._data, name, why)
