"""One listener is served beside the others, and no more than they are."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from anvilsrv.allowance import BOUNDS, Allowance
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client
from anvilsrv.p9.pace import FairQueue
from tests.conftest import PATIENCE, wait_until
from tests.p9.conftest import Raw, Served


@pytest.fixture
def paced(served: Served, place: Path) -> Allowance:
    """The allowance of a listener at ``paced``."""
    made = Allowance()
    served.server.listen(str(place / "paced"), served.sample.root, "it", allowance=made)
    return made


def test_a_few_of_one_key_are_done_at_a_time_and_the_others_in_turn() -> None:
    queue: FairQueue[str] = FairQueue(2)
    for number in range(4):
        queue.put("a", f"a{number}")
    queue.put("b", "b0")
    queue.put(None, "mine")
    assert [queue.get() for _ in range(4)] == [(None, "mine"), ("a", "a0"), ("b", "b0"), ("a", "a1")]
    later: list[object] = []
    waiting = threading.Thread(target=lambda: later.append(queue.get()))
    waiting.start()
    queue.done("b")
    queue.done("a")
    waiting.join(PATIENCE)
    assert later == [("a", "a2")]
    queue.close()
    queue.done("a")
    assert queue.get() == ("a", "a3") and queue.get() is None


def test_fids_and_requests_of_all_connections_of_a_listener_are_bounded_together(
    served: Served, place: Path, dial: Callable[..., Raw], paced: Allowance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BOUNDS, "fids", BOUNDS["fids"]._replace(most=5))
    first, second = (dial(str(place / "paced")).start() for _ in range(2))  # each has a fid for the root
    for fid in (10, 11, 12):
        first.ok(wire.Twalk(1, 0, fid, ()))
    assert "too many fids: 5 at most for a session" in second.error(wire.Twalk(1, 0, 10, ()))
    first.ok(wire.Tclunk(1, 10))
    second.ok(wire.Twalk(1, 0, 10, ()))
    first.close()
    wait_until(lambda: paced.has("fids") == 2, "fids of a connection that has ended count on")
    other = dial(served.path).start()
    for fid in range(10, 30):
        other.ok(wire.Twalk(1, 0, fid, ()))


def test_who_asks_without_end_holds_up_nobody_else(served: Served, place: Path, paced: Allowance) -> None:
    """What a storm costs the others is that of a few requests, whatever it has sent already."""
    over = threading.Event()
    walks = b"".join(wire.encode(wire.Twalk(1, 0, 0, ())) for _ in range(1000))

    def storm() -> None:
        raw = Raw(str(place / "paced"))
        with raw.sock:
            raw.send(wire.Tversion(wire.NOTAG, 8192, wire.VERSION), wire.Tattach(1, 0, wire.NOFID, "x", ""))
            while not over.is_set():
                try:
                    raw.sock.sendall(walks)
                    raw.sock.recv(1 << 20)
                except OSError:
                    return

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with Client(served.path, timeout=PATIENCE) as client:
            for _ in range(20):
                assert client.read("hello")
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
    with Client(str(place / "paced"), timeout=PATIENCE) as client:
        assert client.read("hello"), "it is served as well"


def test_one_that_has_much_to_say_is_heard_to_the_end(served: Served, place: Path, paced: Allowance) -> None:
    raw = Raw(str(place / "paced"))
    raw.send(wire.Tversion(wire.NOTAG, 8192, wire.VERSION), wire.Tattach(1, 0, wire.NOFID, "x", ""))
    writer = threading.Thread(target=lambda: [raw.send(wire.Twalk(1, 0, 0, ())) for _ in range(5000)])
    writer.start()
    answers = [raw.receive() for _ in range(5002)]
    writer.join(PATIENCE)
    raw.sock.close()
    assert {type(one) for one in answers[2:]} == {wire.Rwalk}
    wait_until(lambda: paced.has("fids") == 0 and paced.has("requests") == 0, "something counts on")


def test_nothing_is_read_of_those_of_whom_too_much_waits(served: Served, place: Path) -> None:
    """Through whichever of the sockets that share an allowance."""
    full, allowance = threading.Event(), Allowance()
    full.set()
    served.server.listen(str(place / "full"), served.sample.root, "it", allowance=allowance, full=full.is_set)
    served.server.listen(str(place / "child"), served.sample.root, "child", allowance=allowance)
    answers: list[bytes] = []

    def ask() -> None:
        with Client(str(place / "child"), timeout=PATIENCE) as client:
            answers.append(client.read("hello"))

    asking = threading.Thread(target=ask)
    asking.start()
    with Client(served.path, timeout=PATIENCE) as client:
        for _ in range(20):
            assert client.read("hello")
    assert answers == []
    full.clear()
    asking.join(PATIENCE)
    assert len(answers) == 1


def test_keys_of_one_payer_rest_together() -> None:
    queue: FairQueue[str] = FairQueue(1, payer=lambda key: str(key)[0])
    queue.put("a1", "first")
    assert queue.get() == ("a1", "first")
    queue.done("a1", 3600.0)
    queue.put("a2", "of the same")
    queue.put("b1", "of another")
    assert queue.get() == ("b1", "of another")
    queue.close()
    assert queue.get() == ("a2", "of the same"), "at the end nobody rests"
