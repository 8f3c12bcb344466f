"""Plain http through the door: what the service gets is what the door has checked, and it knows who pays only from the door."""

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from door_world import HTTP, PATIENCE, DoorWorld, Service, Web, beside, lines

from sandbox import door_http
from sandbox.door_address import Refused
from sandbox.hosts import Host

HOST = Host("api.test", HTTP)


class Events(http.server.BaseHTTPRequestHandler):
    """A stream of events, each when it is asked for."""

    protocol_version = "HTTP/1.1"
    go = threading.Semaphore(0)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(3):
            assert self.go.acquire(timeout=PATIENCE)
            data = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


class Early(http.server.BaseHTTPRequestHandler):
    """Answers before it has heard the body, and closes."""

    def do_POST(self) -> None:
        self.send_error(413)

    def log_message(self, *_: object) -> None:
        pass


class Client:
    """A connection to an exchange; ``refused`` is what it told."""

    def __init__(self, host: Host | None, connect: Callable[[], socket.socket], secrets: dict[str, str]) -> None:
        self.sock, inner = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        self.refused: list[tuple[str, str]] = []
        exchange = door_http.Exchange(
            inner, "api.test", host, connect, secrets, lambda name, why: self.refused.append((name, why))
        )
        self.thread = threading.Thread(target=exchange.serve)
        self.thread.start()
        self.file = self.sock.makefile("rb")

    def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        self.sock.sendall(data)
        return self.hear()

    def hear(self) -> tuple[int, dict[str, str], bytes]:
        """Receive one answer: its status, its fields, its body."""
        status = int(self.file.readline().split()[1])
        fields = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            fields[name.lower()] = value.strip()
        return status, fields, self.file.read(int(fields.get("content-length", 0)))

    def close(self) -> None:
        self.file.close()
        self.sock.close()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


class Between:
    """A service on the loopback, and clients that reach it through the door's http."""

    def __init__(self) -> None:
        self.closing: list[Any] = []
        self.service: Service | None = None

    def serve(self, handler: type[http.server.BaseHTTPRequestHandler]) -> Service:
        service = self.service = Service(("127.0.0.1", 0), handler, None)
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        self.closing.append(lambda: (service.shutdown(), thread.join(PATIENCE), service.server_close()))
        return service

    def connect(self) -> socket.socket:
        assert self.service is not None
        return socket.create_connection(self.service.server_address[:2], PATIENCE)

    def client(self, host: Host | None = HOST, secrets: dict[str, str] | None = None) -> Client:
        made = Client(host, self.connect, secrets or {})
        self.closing.append(made.close)
        return made


@pytest.fixture
def between() -> Iterator[Between]:
    made = Between()
    yield made
    for close in reversed(made.closing):
        close()


def test_a_request_is_made_anew_for_the_granted_host_with_its_own_fields(between: Between) -> None:
    between.serve(Web)
    status, _, body = between.client().ask(
        b"POST /a?b=c HTTP/1.1\r\nHost: evil.example\r\nX-Mine: 1\r\nConnection: X-Drop\r\nX-Drop: 1\r\nTE: trailers\r\n"
        b"Proxy-Authorization: x\r\nContent-Length: 4\r\n\r\ntext"
    )
    told = json.loads(body)
    assert (status, told["method"], told["path"], told["body"]) == (200, "POST", "/a?b=c", "text")
    fields = {name.lower(): value for name, value in told["headers"]}
    assert fields == {"host": f"api.test:{HTTP}", "x-mine": "1", "content-length": "4"}


def test_one_connection_carries_many_requests_and_each_is_checked(between: Between) -> None:
    service = between.serve(Web)
    client = between.client()
    client.sock.sendall(
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\nGET http://evil/3 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert [json.loads(client.hear()[2])["path"] for _ in range(2)] == ["/1", "/2"]
    assert client.hear()[0] == 400 and service.came == 1
    assert client.sock.recv(1) == b""


def test_a_body_in_chunks_arrives_in_chunks(between: Between) -> None:
    between.serve(Web)
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    told = json.loads(between.client().ask(data)[2])
    assert told["body"] == "abcde" and ["transfer-encoding", "chunked"] in [[n.lower(), v] for n, v in told["headers"]]


def test_a_client_that_waits_for_100_continue_gets_it(between: Between) -> None:
    between.serve(Web)
    client = between.client()
    assert client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")[0] == 100
    assert json.loads(client.ask(b"ok")[2])["body"] == "ok"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 426),
        (b"CONNECT evil:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://u:p@api.test/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET @evil/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (b"GET / HTTP/1.1\nHost: a\n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70000, 431),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_and_never_sent_on(between: Between, data: bytes, status: int) -> None:
    service = between.serve(Web)
    assert between.client().ask(data)[0] in (status, 501)
    assert service.came == 0


@pytest.mark.slow(15)
def test_a_name_without_a_grant_gets_403_with_a_sentence(between: Between) -> None:
    client = between.client(None)
    status, _, body = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status == 403 and body == b"anvil-sandbox: api.test:80 is not granted to this sandbox\n"
    client.thread.join(PATIENCE)
    assert client.refused == [("api.test", "api.test:80 is not granted to this sandbox")]


def test_a_service_that_cannot_be_reached_gives_502_and_why(between: Between) -> None:
    def connect() -> socket.socket:
        raise Refused("its address 10.0.0.1 is not public")

    client = Client(HOST, connect, {})
    between.closing.append(client.close)
    status, _, body = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status == 502 and b"api.test its address 10.0.0.1 is not public" in body


def test_events_arrive_one_by_one(between: Between) -> None:
    between.serve(Events)
    client = between.client()
    client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    while client.file.readline().strip():
        pass
    for number in range(3):
        Events.go.release()
        size = int(client.file.readline(), 16)
        assert client.file.read(size + 2) == f"data: {number}\n\n\r\n".encode()
    assert client.file.readline() == b"0\r\n"


def test_an_answer_before_the_body_was_heard_arrives(between: Between) -> None:
    between.serve(Early)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (1 << 20)
    assert between.client().ask(head + b"x" * (1 << 20))[0] == 413


def test_with_a_header_the_door_adds_the_key_and_drops_what_comes_from_inside(door: DoorWorld) -> None:
    """By TLS to the service; inside there is plain http, and no other way to it."""
    watch = door.start(SERVICE_KEY="the-real-key")
    service = door.serve(HTTP, "api.test")
    hosts = [door.host(f"api.test:{HTTP}", header={"X-Api-Key": "env:SERVICE_KEY"}), door.host("api.test:7443")]
    code = f"""
mine = {{"X-Api-Key": "mine", "Authorization": "Bearer mine", "Cookie": "a=mine"}}
request = urllib.request.Request("http://api.test/v1/x?key=mine&b=1", headers=mine)
print(urllib.request.urlopen(request).read().decode())
print(os.environ.get("SERVICE_KEY"), [told(reach, "api.test", port) for port in ({HTTP}, 7443, 443)])
"""
    text, others = door.python(code, hosts).splitlines()
    got = json.loads(text)
    assert got["path"] == "/v1/x?b=1" and "mine" not in text
    assert [value for name, value in got["headers"] if name.lower() == "x-api-key"] == ["the-real-key"]
    assert others == "None ['ECONNREFUSED', 'ECONNREFUSED', 'ECONNREFUSED']" and service.came == 1
    assert beside(watch.read()) == []


def test_a_header_whose_variable_is_not_set_is_refused_at_the_start(door: DoorWorld) -> None:
    door.start()
    result = door.run(["true"], [door.host("api.test", header={"x-api-key": "env:NO_SUCH"})])
    assert result.returncode == 126
    assert (
        "the door of the network refuses: api.test: x-api-key: the variable NO_SUCH is not set where the door runs"
        in result.stderr
    )


def test_a_stand_in_with_a_wrong_certificate_is_not_given_the_key(door: DoorWorld) -> None:
    watch = door.start(SERVICE_KEY="the-real-key")
    door.serve(HTTP, "other.test")
    code = "print(reach('api.test', 80, b'GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'))"
    found = door.python(code, [door.host(f"api.test:{HTTP}", header={"x-api-key": "env:SERVICE_KEY"})])
    assert found.startswith("HTTP/1.1 502") and "certificate" in found.lower()
    assert lines(watch, 1)[0]["refused"] == "api.test"
