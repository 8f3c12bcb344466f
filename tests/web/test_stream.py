"""The stream of what happens: whole, bounded, and over restarts of the daemon."""

import http.client
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from anvilsrv.front.tail import Piece
from tests.conftest import PATIENCE, Daemon, wait_until
from tests.session import Session
from tests.web.conftest import Site
from web.stream import UNDER_WAY, Pieces

Told = tuple[str, Any]


@contextmanager
def stream(site: Site, query: str = "") -> Iterator[Iterator[Told]]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    try:
        connection.request("GET", f"/api/stream{query}", headers={"Authorization": f"Bearer {site.token}"})
        response = connection.getresponse()
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield told(response)
    finally:
        connection.close()


def told(response: http.client.HTTPResponse) -> Iterator[Told]:
    while line := response.readline():
        if line.startswith(b"event: "):
            yield line[7:].strip().decode(), json.loads(response.readline().removeprefix(b"data: "))


def until(events: Iterator[Told], event: str, fits: Any = lambda data: True) -> Any:
    return next(data for name, data in events if name == event and fits(data))


def test_all_sessions_come_first_then_only_what_changed(site: Site, shared: Daemon) -> None:
    client = shared.client()
    one = client.write_read("ctl", f"new shell {shared.home.work}\n".encode()).decode().strip()
    with stream(site) as events:
        until(events, "sessions", lambda data: one in {row["id"] for row in data["rows"]})
        two = client.write_read("ctl", f"new shell {shared.home.work}\n".encode()).decode().strip()
        client.write(f"{two}/alias", b"second\n")
        assert until(events, "sessions", lambda data: any(row["alias"] == "second" for row in data["rows"]))
        client.write(f"{two}/ctl", b"kill\n")
        seen = until(events, "sessions", lambda data: data["gone"])
        assert seen["gone"] == [two]
        assert one not in {row["id"] for row in seen["rows"]}


def test_events_are_passed_on(site: Site, shared: Daemon) -> None:
    with stream(site) as events:
        next(events)
        shared.client().write("user/mail", b'{"to":"user","type":"LOG_ERROR","subject":"to myself"}')
        found = until(events, "events", lambda data: data[0]["type"] == "message")
        assert (found[0]["to"], found[0]["subject"]) == ("user", "to myself")


def test_a_conversation_comes_whole_and_goes_on(site: Site, shared: Daemon) -> None:
    client = shared.client()
    session = client.write_read("ctl", f"new shell {shared.home.work}\n".encode()).decode().strip()
    client.write(f"{session}/in", b"echo one; echo; echo two")
    client.read(f"{session}/out")
    with stream(site, f"?session={session}") as events:
        seen: list[dict[str, str]] = []
        while not any(piece["role"] == "ASSISTANT" for piece in seen):
            seen += until(events, "pieces")
        assert [(piece["role"], piece["text"]) for piece in seen] == [
            ("USER", "echo one; echo; echo two"), ("ASSISTANT", "one\n\ntwo"),
        ]  # fmt: skip
        client.write(f"{session}/in", b"echo three")
        assert until(events, "pieces")[0]["text"] == "echo three"
        assert until(events, "pieces")[0]["text"] == "three"
        client.write(f"{session}/ctl", b"kill\n")
        assert session in until(events, "ended")["why"]


def test_it_is_said_when_the_turns_that_were_over_have_been_told(site: Site, shared: Daemon) -> None:
    session = Session.new(shared)
    session.ask("echo one")
    with stream(site, f"?session={session.id}&as=turns") as events:
        names = [name for name, _ in itertools.takewhile(lambda told: told[0] != "follows", events)]
        assert [name for name in names if name != "events"][-1] == "activity"  # of all sessions, whenever they come
    with stream(site, f"?session={session.id}&as=turns&after=100000") as events:
        assert until(events, "follows") == {}


def test_a_conversation_of_no_session_ends_with_the_reason(site: Site) -> None:
    with stream(site, "?session=deadbeef") as events:
        assert "deadbeef" in until(events, "ended")["why"]


def test_it_goes_on_over_a_daemon_that_is_killed(daemon: Daemon) -> None:
    site = Site(daemon.home)
    client = daemon.client()
    session = client.write_read("ctl", f"new shell {daemon.home.work}\n".encode()).decode().strip()
    client.write(f"{session}/in", b"echo before")
    client.read(f"{session}/out")
    try:
        with stream(site, f"?session={session}") as events:
            until(events, "pieces", lambda pieces: pieces[-1]["text"] == "before")
            daemon.kill()
            assert until(events, "away")["why"]
            daemon.start()
            until(events, "sessions", lambda data: session in {row["id"] for row in data["rows"]} or not data["rows"])
            wait_until(lambda: daemon.client().read(f"{session}/state") == b"idle\n", "it is not adopted")
            daemon.client().write(f"{session}/in", b"echo after")
            pieces = until(events, "pieces")
            assert [piece["text"] for piece in pieces] == ["echo after"]
    finally:
        assert site.close() == 0


def test_only_so_many_pages_are_served(site: Site) -> None:
    held = []
    try:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
            held.append(connection)
            connection.request("GET", "/api/stream", headers={"Authorization": f"Bearer {site.token}"})
            if connection.getresponse().status == 503:
                break
        assert 32 < len(held) < 100
    finally:
        for connection in held:
            connection.close()
    wait_until(lambda: site.ask("GET", "/api/sessions").status == 200, "it serves nobody any more")


def test_a_page_that_does_not_read_holds_up_its_own_conversation_alone() -> None:
    pieces = Pieces(lambda: None)
    big = [Piece("ASSISTANT", "", "x" * UNDER_WAY)]
    pieces.put(big)
    blocked = threading.Thread(target=pieces.put, args=(big,))
    blocked.start()
    blocked.join(0.1)
    assert blocked.is_alive()
    assert pieces.take()[0] == big
    blocked.join(PATIENCE)
    assert pieces.take()[0] == big
    pieces.put(big)
    blocked = threading.Thread(target=pieces.put, args=(big,))
    blocked.start()
    pieces.close()
    blocked.join(PATIENCE)
    assert not blocked.is_alive()


@pytest.mark.parametrize("query", ["?session=", "?session=a%0ab", "?session=../list"])
def test_a_malformed_name_is_refused(site: Site, query: str) -> None:
    assert site.ask("GET", f"/api/stream{query}").status == 400
