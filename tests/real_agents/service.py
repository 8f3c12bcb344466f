"""An HTTP service on loopback that serves one model; the stand-ins derive from it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.real_agents.model import Model


class Handler(BaseHTTPRequestHandler):
    """Reads a JSON request, records it, lets the service answer it."""

    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        body = json.loads(data) if data else {}
        service = self.server.service
        service.record(self.command, self.path, dict(self.headers.items()), body)
        try:
            service.answer(self, self.path.partition("?")[0], body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # an agent that is interrupted hangs up

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST

    def log_message(self, format: str, *args: object) -> None:
        pass

    def send_json(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_events(self, events: Iterable[tuple[str | None, Any]]) -> None:
        """Send server-sent events, each flushed as it comes: (event name or None, JSON value or bare string)."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, value in events:
            head = f"event: {name}\n" if name else ""
            text = value if isinstance(value, str) else json.dumps(value)
            data = f"{head}data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, service: Service, port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.service = service
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        if self._tls is None:
            return sock, address
        # who serves it shakes hands, with the first bytes that it reads: others need not wait for that
        return self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        with self._lock:
            for request in self._open:
                with contextlib.suppress(OSError):  # its other end was killed
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away between two requests


class Service:
    """Context manager; `url` is where it listens and `requests` is all that it was ever asked. With `tls` it speaks TLS."""

    def __init__(self, model: Model | None = None, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.model = model or Model()
        self.requests: list[dict[str, Any]] = []
        self._listener = _Listener(self, port, tls)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), name="stand-in")
        self.port = self._listener.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.inside = f"http://model.test:{self.port}"  # where an agent's sandbox finds it: through the door

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.model.close()
        self._listener.shutdown()
        self._thread.join()
        self._listener.hang_up()
        self._listener.server_close()

    def record(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        self.requests.append({"method": method, "path": path, "headers": headers, "body": body})

    def answer(self, http: Handler, path: str, body: dict[str, Any]) -> None:
        raise NotImplementedError
