"""A server with the sample tree, and raw connections to it."""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client
from anvilsrv.p9.server import Server
from tests.p9.sample import Sample


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name: a unix socket's path holds 108 bytes."""
    where = tempfile.mkdtemp(prefix="p9-")
    yield Path(where)
    shutil.rmtree(where)


class Served:
    """A running server: its sample tree, its socket, and the exceptions that it reported."""

    def __init__(self, path: str, trace: Callable[[str], None] | None) -> None:
        self.path = path
        self.sample = Sample()
        self.errors: list[BaseException] = []
        self.server = Server(on_error=self.errors.append, trace=trace)
        self.server.start()
        self.server.listen(path, self.sample.root, "me")


@pytest.fixture
def serve(place: Path) -> Iterator[Callable[..., Served]]:
    """Start servers that are stopped at the end. Every exception that one reports must be expected by the test."""
    with contextlib.ExitStack() as stack:

        def start(name: str = "agent", trace: Callable[[str], None] | None = None) -> Served:
            served = Served(str(place / name), trace)
            stack.callback(lambda: all_expected(served))
            stack.callback(served.server.stop)
            return served

        yield start


def all_expected(served: Served) -> None:
    assert served.errors == []


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.path, timeout=10) as client:
        yield client


class Raw:
    """A connection that sends what it is told: no rules are kept."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(path)
        self.buffer = b""

    def send(self, *msgs: Any) -> None:
        self.sock.sendall(b"".join(map(wire.encode, msgs)))

    def receive(self) -> Any:
        """Return the next message; None at the end of the connection."""
        while len(self.buffer) < 4 or len(self.buffer) < wire.size_at(self.buffer, 0)[0]:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.buffer += data
        size = wire.size_at(self.buffer, 0)[0]
        frame, self.buffer = self.buffer[:size], self.buffer[size:]
        return wire.decode(frame)

    def call(self, msg: Any) -> Any:
        self.send(msg)
        return self.receive()

    def error(self, msg: Any) -> str:
        """Return the text of the Rerror that this must give."""
        answer = self.call(msg)
        assert type(answer) is wire.Rerror and answer.tag == msg.tag, answer
        return answer.ename

    def ok(self, msg: Any) -> Any:
        """Return the answer, which must be the one that belongs to this request."""
        answer = self.call(msg)
        wanted = "R" + type(msg).__name__[1:]
        assert type(answer).__name__ == wanted and answer.tag == msg.tag, answer
        return answer

    def start(self, msize: int = 8192) -> "Raw":
        self.ok(wire.Tversion(wire.NOTAG, msize, wire.VERSION))
        self.ok(wire.Tattach(1, 0, wire.NOFID, "me", ""))
        return self

    def open(self, fid: int, path: str, mode: int = wire.OREAD) -> "Raw":
        self.ok(wire.Twalk(1, 0, fid, tuple(path.split("/"))))
        self.ok(wire.Topen(1, fid, mode))
        return self

    def close(self) -> None:
        self.sock.close()


@pytest.fixture
def dial(served: Served) -> Iterator[Callable[..., Raw]]:
    """Raw connections to the server, closed at the end. ``dial()`` has nothing sent yet."""
    with contextlib.ExitStack() as stack:

        def connect(path: str | None = None) -> Raw:
            raw = Raw(path or served.path)
            stack.callback(raw.close)
            return raw

        yield connect


@pytest.fixture
def raw(dial: Callable[..., Raw]) -> Raw:
    """A raw connection with a version and fid 0 at the root."""
    return dial().start()
