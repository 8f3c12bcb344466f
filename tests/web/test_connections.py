"""Who may hold connections, and at which addresses we listen."""

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from tests.conftest import PATIENCE
from tests.web.conftest import Site
from web import connections, server


def silent(port: int, count: int, said: bytes = b"") -> list[socket.socket]:
    """Open connections that say no more than this."""
    held = []
    for _ in range(count):
        held.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        held[-1].sendall(said)
    return held


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: loc"], ids=["silent", "half a head"])
def test_hundreds_of_connections_that_ask_nothing_lock_nobody_out(site: Site, said: bytes) -> None:
    held: list[socket.socket] = []
    try:
        for _ in range(3):
            held += silent(site.port, 150, said)
            assert site.ask("GET", "/api/sessions").status == 200
    finally:
        for one in held:
            one.close()


def test_answered_connections_that_stay_open_lock_nobody_out(site: Site) -> None:
    held: list[socket.socket] = []
    try:
        for _ in range(300):
            held += silent(site.port, 1, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert held[-1].recv(12) == b"HTTP/1.1 401"
        assert site.ask("GET", "/api/sessions").status == 200
    finally:
        for one in held:
            one.close()


def test_a_stream_that_is_read_outlives_hundreds_of_others(site: Site) -> None:
    reader = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    held: list[socket.socket] = []
    try:
        reader.request("GET", "/api/stream", headers={"Authorization": f"Bearer {site.token}"})
        stream = reader.getresponse()
        assert stream.readline()
        held += silent(site.port, 300)
        assert stream.status == 200 and reader.sock is not None
        reader.sock.setblocking(False)
        try:
            assert reader.sock.recv(1, socket.MSG_PEEK) != b"", "it was closed"
        except BlockingIOError:
            pass  # it is open, and there is no news
    finally:
        reader.close()
        for one in held:
            one.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port at which a request's head may take a fifth of a second."""
    monkeypatch.setattr(connections, "HEAD", 0.2)

    async def app(scope: object, receive: object, send: object) -> None:
        raise AssertionError("nobody asked")

    [listening] = server.listen("127.0.0.2", 0)
    with listening:
        running = uvicorn.Server(uvicorn.Config(app, http=connections.Connection, lifespan="off", log_level="warning"))
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        yield listening.getsockname()[1]
        running.should_exit = True
        thread.join(PATIENCE)


def test_who_does_not_finish_the_head_of_a_request_in_time_is_cut_off(hasty: int) -> None:
    for said in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
        with socket.create_connection(("127.0.0.2", hasty), timeout=PATIENCE) as one:
            one.sendall(said)
            assert one.recv(1) == b""


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_both_addresses_that_localhost_may_mean_are_ours(host: str) -> None:
    made = server.listen(host, 0)
    try:
        assert {one.getsockname()[0] for one in made} == {"127.0.0.1", "::1"}
        assert len({one.getsockname()[1] for one in made}) == 1
    finally:
        for one in made:
            one.close()


@pytest.mark.parametrize(("ours", "theirs"), [("127.0.0.1", "::1"), ("localhost", "::1"), ("::1", "127.0.0.1")])
def test_a_port_whose_other_address_is_somebody_elses_is_refused(ours: str, theirs: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in theirs else socket.AF_INET) as other:
        other.bind((theirs, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"at {theirs}, which 'localhost' may mean too"):
            server.listen(ours, port)
    for one in server.listen(ours, port):  # and nothing of ours was left there
        one.close()


def test_an_address_that_localhost_does_not_mean_is_taken_alone() -> None:
    [made] = server.listen("127.0.0.2", 0)
    with made:
        assert made.getsockname()[0] == "127.0.0.2"
