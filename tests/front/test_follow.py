"""Following the daemon: nothing falls between, nothing comes twice, and everything ends."""

import queue
import threading
import time
from typing import Any

import pytest

from anvilsrv.errors import Conflict, Unavailable
from anvilsrv.front import requests
from anvilsrv.front.follow import APART, Follower, Row
from anvilsrv.front.tail import Piece, Tail, in_pieces
from tests.conftest import PATIENCE, Daemon, Home
from tests.scripted import install, script
from tests.session import Session


class Heard:
    """A listener that writes down."""

    def __init__(self) -> None:
        self.all: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.seqs: list[int] = []
        self.looks: list[list[Row]] = []
        self.goes_on = threading.Event()  # while it is not set, who says that the daemon is away waits
        self.goes_on.set()

    def sessions(self, rows: list[Row]) -> None:
        self.looks.append(rows)
        self.all.put(("sessions", rows))

    def events(self, found: list[Row]) -> None:
        self.seqs += [one["seq"] for one in found]
        self.all.put(("events", found))

    def away(self, why: str) -> None:
        self.all.put(("away", why))
        assert self.goes_on.wait(PATIENCE)

    def next(self, kind: str, fits: Any = lambda data: True) -> Any:
        while True:
            name, data = self.all.get(timeout=PATIENCE)
            if name == kind and fits(data):
                return data


def test_sessions_come_first_and_again_when_they_change(daemon: Daemon) -> None:
    heard = Heard()
    follower = Follower(heard, str(daemon.home.socket))
    follower.start()
    try:
        assert heard.next("sessions") == []
        made = requests.new(follower.client(), "shell", str(daemon.home.work), alias="it")
        assert heard.next("sessions", lambda rows: rows and rows[0]["state"] == "idle")[0]["id"] == made
    finally:
        follower.stop()
    with pytest.raises(Unavailable):
        follower.client()


def test_of_changes_without_end_many_are_told_with_one_look_and_the_last_one_is_seen(daemon: Daemon) -> None:
    heard, agent = Heard(), Session.new(daemon)
    follower = Follower(heard, str(daemon.home.socket))
    began = time.monotonic()
    follower.start()
    try:
        for n in range(100):
            agent.write("alias", f"a{n}")
        heard.next("events", lambda found: any(one.get("alias") == "a99" for one in found))
        looks = heard.looks
        assert looks[-1][0]["alias"] == "a99"
        assert len(looks) <= (time.monotonic() - began) / APART + 2
    finally:
        follower.stop()


def test_after_a_kill_it_goes_on_behind_the_last_event(daemon: Daemon) -> None:
    """What happens before it is connected again is told as well."""
    heard = Heard()
    follower = Follower(heard, str(daemon.home.socket))
    follower.start()
    try:
        heard.next("sessions")
        session = Session.new(daemon).id
        heard.next("events", lambda found: any(one.get("state") == "idle" for one in found))
        heard.goes_on.clear()
        daemon.kill()
        assert heard.next("away")
        with pytest.raises(Unavailable, match="anvilsrv does not answer"):
            follower.client()
        daemon.start()
        daemon.client().write(f"{session}/alias", b"later\n")
        heard.goes_on.set()
        assert [row["id"] for row in heard.next("sessions")] == [session]
        heard.next("events", lambda found: any(one.get("alias") == "later" for one in found))
        assert heard.seqs == sorted(set(heard.seqs))
    finally:
        follower.stop()


def test_a_conversation_goes_on_over_a_kill_and_nothing_is_told_twice(daemon: Daemon) -> None:
    heard, pieces = Heard(), queue.Queue[list[Piece]]()
    follower = Follower(heard, str(daemon.home.socket))
    follower.start()
    session = Session.new(daemon).id
    tail = Tail(follower, session, in_pieces(pieces.put), lambda why: pieces.put([Piece("END", "", why)]))
    tail.start()
    try:
        daemon.client().write(f"{session}/in", b"echo one")
        said = [piece for _ in range(2) for piece in pieces.get(timeout=PATIENCE)]
        daemon.kill()
        heard.next("away")
        daemon.start()
        heard.next("sessions", lambda rows: rows and rows[0]["state"] == "idle")
        daemon.client().write(f"{session}/in", b"echo two")
        while len(said) < 4:
            said += pieces.get(timeout=PATIENCE)
        assert [piece.text for piece in said] == ["echo one", "one", "echo two", "two"]
        daemon.client().write(f"{session}/ctl", b"kill\n")
        end = pieces.get(timeout=PATIENCE)[0]
        assert end.role == "END"
        assert session in end.text
    finally:
        tail.stop()
        follower.stop()


def test_a_daemon_that_is_away_is_told_once_and_found_when_it_comes(home: Home, stopped_daemon: Daemon) -> None:
    heard = Heard()
    follower = Follower(heard, str(home.socket))
    follower.start()
    try:
        assert "no such file" in heard.next("away")
        stopped_daemon.start()
        assert heard.next("sessions") == []
        assert heard.all.empty()
    finally:
        follower.stop()


def test_stopping_ends_every_thread_at_once(daemon: Daemon) -> None:
    before = threading.active_count()
    follower = Follower(Heard(), str(daemon.home.socket))
    follower.start()
    session = Session.new(daemon).id
    tails = [Tail(follower, session, lambda pieces: None, lambda why: None) for _ in range(3)]
    for tail in tails:
        tail.start()
    began = time.monotonic()
    for tail in tails:
        tail.stop()
    follower.stop()
    assert time.monotonic() - began < 5
    assert threading.active_count() == before


def test_stopping_one_that_never_found_a_daemon_ends_too(home: Home) -> None:
    follower = Follower(Heard(), str(home.socket))
    tail = Tail(follower, "deadbeef", lambda pieces: None, lambda why: None)
    follower.start()
    tail.start()
    tail.stop()
    follower.stop()


def test_only_the_question_that_was_seen_is_answered(daemon: Daemon) -> None:
    install(daemon.home.config)
    script(daemon.home.work, turns=[{"ask": "sure?", "say": ""}])
    session = Session.new(daemon, "scripted").id
    client = daemon.client()
    with client.open("events") as events:
        client.write(f"{session}/in", b"go")
        assert any(b'"type":"ask"' in line for line in events.lines())
    with pytest.raises(Conflict, match="the question is gone"):
        requests.answer(client, session, "yes", "another")
    asked = requests.read_json(client, f"{session}/ask")["id"]  # type: ignore[attr-defined]
    requests.answer(client, session, "yes", asked)
    assert client.read(f"{session}/out", timeout=PATIENCE) == b"answer: yes\n"
