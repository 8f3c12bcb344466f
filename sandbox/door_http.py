"""Plain http through the door: each request is parsed, checked and rewritten, so that what the door checked is what the service gets.

A request names one host, the granted one. What could be read in two ways is refused: a bare line feed, a folded field, a length beside
an encoding, a target with a host in it, CONNECT, ``PRI *``. Upgrade gets 426 (Codex then falls back at once). For a host with a header
the door speaks TLS, adds it, and drops what credentials come from inside.

Threads: one for each connection, from a bounded pool (see ``door_session``); sockets block, with a time limit for each step.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

import h11

from sandbox.door_address import Refused
from sandbox.hosts import HTTP_PORT, TLS_PORT, Host, variable

HEAD = 65536  # bytes of the head of a request or response
WAIT = 30.0  # seconds for a head, once it has begun
IDLE = 90.0  # seconds between two requests
ANSWER = 900.0  # seconds between two pieces of an answer: a model thinks long
_HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"host",
    b"expect", b"proxy-authorization", b"proxy-authenticate", b"http2-settings", b"alt-svc",
}  # fmt: skip
#: Fields and parameters by which a request says who pays.
_CREDENTIALS = {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"}
_PARAMETERS = {"key", "api_key", "api-key", "apikey", "access_token", "token"}
_REASONS = {
    400: "Bad Request", 403: "Forbidden", 426: "Upgrade Required", 431: "Request Header Fields Too Large", 502: "Bad Gateway",
}  # fmt: skip
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\r\n[ \t]|\0")


class _Answer(Exception):
    """A request that the door answers itself."""

    def __init__(self, status: int, sentence: str, refused: bool = False) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.refused = status, sentence, refused


class Exchange:
    """The requests of one connection from inside to ``name``. ``host`` is its grant, None where it has none on this port: then each
    gets 403. ``connect`` gives a connection to the service."""

    def __init__(
        self, client: socket.socket, name: str, host: Host | None, connect: Callable[[], socket.socket], secrets: Mapping[str, str],
        refuse: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self._client, self._name, self._host = client, name, host
        self._connect, self._secrets, self._refuse = connect, secrets, refuse
        self._rest = b""  # what came after the last request
        self._service: socket.socket | None = None
        self._upstream: h11.Connection | None = None

    def serve(self) -> None:
        """Serve until either side ends."""
        try:
            while self._one():
                pass
        except (OSError, h11.ProtocolError):
            return  # the other side is told by the end of the connection
        finally:
            self._hang_up()
            self._client.close()

    def _one(self) -> bool:
        """Serve one request. Returns whether there may be another."""
        try:
            head = self._head()
            if head is None:
                return False
            down = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD)
            down.receive_data(head)
            request = down.next_event()
            if not isinstance(request, h11.Request):
                raise _Answer(400, "not a request")
            if self._rest:  # nothing would mean the end of the connection
                down.receive_data(self._rest)
            self._check(request)
            self._forward(down, request)
        except h11.RemoteProtocolError as error:
            return self._say(_Answer(400, str(error)))
        except _Answer as answer:
            if answer.refused:
                self._refuse(self._name, str(answer))
            return self._say(answer)
        if down.our_state is not h11.DONE or down.their_state is not h11.DONE:
            return False
        self._rest = down.trailing_data[0]
        return True

    def _head(self) -> bytes | None:
        self._client.settimeout(IDLE)
        while (end := self._rest.find(b"\r\n\r\n")) < 0:
            if len(self._rest) > HEAD:
                raise _Answer(431, "the head of the request is too long")
            data = self._client.recv(HEAD)
            self._client.settimeout(WAIT)
            if not data:
                if self._rest:
                    raise _Answer(400, "the head of the request is cut short")
                return None
            self._rest += data
        head, self._rest = self._rest[: end + 4], self._rest[end + 4 :]
        if _BARE.search(head):
            raise _Answer(400, "a bare line feed or a folded field")
        return head

    def _check(self, request: h11.Request) -> None:
        names = [name for name, _ in request.headers]
        if self._host is None:
            raise _Answer(403, f"{self._name}:{HTTP_PORT} is not granted to this sandbox", refused=True)
        if b"upgrade" in names:
            raise _Answer(426, "upgrades are not supported")
        if b"transfer-encoding" in names and b"content-length" in names:
            raise _Answer(400, "a length beside an encoding")
        options = request.method == b"OPTIONS" and request.target == b"*"
        if request.method in (b"CONNECT", b"PRI") or not (request.target.startswith(b"/") or options):
            raise _Answer(400, "a target that is not a path")
        if any(byte <= 32 or byte >= 127 for byte in request.target):
            raise _Answer(400, "a target with invalid characters")

    def _forward(self, down: h11.Connection, request: h11.Request) -> None:
        up = self._service_ready()
        assert self._service is not None
        if down.they_are_waiting_for_100_continue:
            self._client.sendall(down.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        self._send(up.send(self._anew(request)))
        self._client.settimeout(WAIT)
        while not isinstance(event := self._next(down, self._client), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise _Answer(400, "the request is cut short")
            self._send(up.send(h11.Data(data=bytes(event.data))))
        self._send(up.send(h11.EndOfMessage()))
        self._back(down, up)

    def _service_ready(self) -> h11.Connection:
        """Return the connection to the service: that of the request before, if it can be used again."""
        up = self._upstream
        if up is not None and up.our_state is h11.DONE and up.their_state is h11.DONE and not self._closed_meanwhile():
            up.start_next_cycle()
            return up
        self._hang_up()
        assert self._host is not None
        try:
            self._service = self._connect()
            self._service.settimeout(WAIT)
            if self._host.header:
                self._service = ssl.create_default_context().wrap_socket(self._service, server_hostname=self._name)
        except Refused as error:
            raise _Answer(502, f"{self._name} {error}", refused=True) from None
        except OSError as error:
            raise _Answer(502, f"{self._name}: {error.strerror or error}", refused=True) from None
        self._upstream = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD)
        return self._upstream

    def _closed_meanwhile(self) -> bool:
        assert self._service is not None
        self._service.settimeout(0)
        try:
            self._service.recv(1)  # the end, or unsolicited data
        except (BlockingIOError, ssl.SSLWantReadError):
            self._service.settimeout(WAIT)
            return False
        except OSError:
            pass
        return True

    def _anew(self, request: h11.Request) -> h11.Request:
        assert self._host is not None
        named = {
            option.strip().lower()
            for name, value in request.headers
            if name == b"connection"
            for option in value.split(b",")
        }
        dropped = _HOP | named
        target = request.target
        if self._host.header:
            dropped = dropped | _CREDENTIALS | {field.encode() for field, _ in self._host.header}
            target = _without_credentials(target)
        encoded = any(name == b"transfer-encoding" for name, _ in request.headers)
        kept = [(name, value) for name, value in request.headers if name not in dropped]
        port = TLS_PORT if self._host.header else HTTP_PORT
        to = self._name if self._host.port == port else f"{self._name}:{self._host.port}"
        added = [(b"host", to.encode()), *([(b"transfer-encoding", b"chunked")] if encoded else [])]
        added += [(field.encode(), self._secrets[value].encode()) for field, value in self._host.header]
        return h11.Request(method=request.method, target=target, headers=added + kept)

    def _back(self, down: h11.Connection, up: h11.Connection) -> None:
        assert self._service is not None
        self._service.settimeout(ANSWER)
        self._client.settimeout(WAIT)
        begun = False
        while True:
            try:
                event = self._next(up, self._service)
            except (OSError, h11.RemoteProtocolError) as error:
                if begun:
                    raise
                raise _Answer(502, f"{self._name} gave no answer: {error}") from None
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    raise _Answer(502, f"{self._name} wants to upgrade")
                continue
            if isinstance(event, h11.Response):
                begun = True
                kept = [(name, value) for name, value in event.headers if name not in _HOP]
                event = h11.Response(status_code=event.status_code, reason=event.reason, headers=kept)
            elif not isinstance(event, h11.Data | h11.EndOfMessage):
                raise OSError("the service has closed the connection")
            if isinstance(event, h11.EndOfMessage):
                event = h11.EndOfMessage()  # trailers stay behind
            elif isinstance(event, h11.Data):
                event = h11.Data(data=bytes(event.data))
            self._client.sendall(down.send(event) or b"")
            if isinstance(event, h11.EndOfMessage):
                return

    @staticmethod
    def _next(connection: h11.Connection, sock: socket.socket) -> object:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(sock.recv(HEAD))
        return event

    def _send(self, data: bytes | None) -> None:
        assert self._service is not None
        try:
            self._service.sendall(data or b"")
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it heard all

    def _say(self, answer: _Answer) -> bool:
        body = f"anvil-sandbox: {answer.sentence}\n".encode()
        fields = f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        head = f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n{fields}"
        self._client.settimeout(WAIT)
        self._client.sendall(head.encode() + body)
        self._client.shutdown(socket.SHUT_WR)
        for _ in range(64):  # what is still on its way would reset the connection before the answer is read
            if not self._client.recv(HEAD):
                break
        return False

    def _hang_up(self) -> None:
        if self._service is not None:
            self._service.close()
        self._service = self._upstream = None


def _without_credentials(target: bytes) -> bytes:
    parts = urlsplit(target.decode("ascii"))
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in pairs if key.lower() not in _PARAMETERS]
    if len(kept) == len(pairs):
        return target
    return (parts.path + ("?" + urlencode(kept) if kept else "")).encode()


def secrets(hosts: list[Host]) -> dict[str, str]:
    """Return what each value of a header stands for: ``env:NAME`` at its end is a variable of the door's. ValueError
    names one that is not set.
    """
    found = {}
    for host in hosts:
        for field, value in host.header:
            before, name = variable(value)
            found[value] = before + os.environ.get(name, "") if name else value
            if found[value] == before or not found[value].isprintable():
                raise ValueError(f"{host.name}: {field}: the variable {name} is not set where the door runs")
    return found
