"""The store is shared by threads, processes and daemons; what goes wrong with it is said clearly and harms nothing."""

from __future__ import annotations

import json
import os
import queue
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anvilsrv.beads import beads
from anvilsrv.beads import store as beads_store
from anvilsrv.beads.beads import Beads
from anvilsrv.beads.store import BELL
from anvilsrv.errors import AnvilError, Unavailable

from .conftest import Desk


def test_changes_of_another_daemon_are_told_without_being_asked_for(
    open_desk: Callable[[], Desk], tmp_path: Path
) -> None:
    one = open_desk()
    one("init")
    heard = threading.Event()
    listener = Beads(tmp_path / "beads", lambda change: heard.set() if change["op"] == "claim" else None, print)
    try:
        bead = one("new", "x")
        one("claim", bead, actor="a1")
        assert heard.wait(10)
    finally:
        listener.close()


def test_a_store_that_takes_the_place_of_another_is_listened_to_as_well(
    open_desk: Callable[[], Desk], tmp_path: Path
) -> None:
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    first = open_desk()("new", "x")
    listener = Beads(tmp_path / "beads", lambda change: heard.put(change["bead_id"]), print)
    try:
        (tmp_path / "beads").rename(tmp_path / "away")
        other = open_desk()
        other("init")
        assert listener.ids() == []  # its only use since; everything after comes by itself
        for _ in range(3):
            bead = other("new", "y")
            assert heard.get(timeout=10) == bead != first
            os.replace(shutil.copy(tmp_path / "beads" / BELL, tmp_path / "bell"), tmp_path / "beads" / BELL)
    finally:
        listener.close()


def test_a_listener_that_fails_is_told_and_does_not_end_the_listening(
    open_desk: Callable[[], Desk], tmp_path: Path
) -> None:
    def fails(change: dict[str, object]) -> None:
        raise ZeroDivisionError(change["bead_id"])

    errors: queue.SimpleQueue[BaseException] = queue.SimpleQueue()
    one = open_desk()
    one("init")
    listener = Beads(tmp_path / "beads", fails, errors.put)
    try:
        for _ in range(2):
            bead = one("new", "x")
            assert str(errors.get(timeout=10)) == bead
    finally:
        listener.close()


def test_a_store_made_after_the_daemon_began_is_noticed(open_desk: Callable[[], Desk]) -> None:
    early, later = open_desk(), open_desk()
    bead = later("new", "x")
    assert early.beads.ids() == [bead]
    assert [change["bead_id"] for change in early.told] == [bead]


def test_a_store_taken_away_and_put_back_is_used_as_it_then_is(desk: Desk) -> None:
    folder = desk.path
    first = desk("new", "first")
    desk.beads.list_json()
    shutil.rmtree(folder)
    assert desk.beads.ids() == []
    second = desk("new", "second")
    assert first != second
    assert desk.beads.ids() == [second]


def test_a_locked_store_is_an_error_in_bounded_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beads_store, "BUSY", 0.05)
    desk.path.mkdir()
    seed = Beads(desk.path, lambda _: None, print)
    bead = seed.command(["new", "x"], "user", True)
    seed.close()
    other = sqlite3.connect(desk.path / beads_store.FILE, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match=r"^beads are locked by another process: "):
            desk("claim", str(bead), actor="a1")
        assert desk.ready() == [bead]  # reading goes on
    finally:
        other.close()
    desk("claim", str(bead), actor="a1")


@pytest.mark.parametrize(
    "rubbish", [b"not a database at all, but long enough to look at", b"SQLite format 3\0" + b"\7" * 4096]
)
def test_a_damaged_store_is_named_and_left_alone(desk: Desk, rubbish: bytes) -> None:
    file = desk.path / beads_store.FILE
    desk.path.mkdir()
    file.write_bytes(rubbish)
    for use in (desk.beads.list_json, desk.beads.ready_json, lambda: desk("new", "x")):
        with pytest.raises(AnvilError, match=f"damaged: {file}$"):
            use()
    assert file.read_bytes() == rubbish
    file.unlink()
    assert desk("new", "works again") == desk.ready()[0]


def test_a_store_of_a_later_version_is_not_touched(desk: Desk) -> None:
    desk("init")
    desk.beads.close()
    db = sqlite3.connect(desk.path / beads_store.FILE)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Unavailable, match="newer anvilsrv"):
        desk("new", "x")


def test_a_path_that_is_no_directory_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    beads = Beads(tmp_path / "file", lambda _: None, print)
    assert beads.list_json() == b"[]\n"
    with pytest.raises(Unavailable, match=r"exists|not a directory"):
        beads.command(["new", "x"], "user", True)
    beads.close()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A directory that another user could reach."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


AS_NOBODY = """
import os, sys
from pathlib import Path
from anvilsrv.beads.beads import Beads
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
beads = Beads(Path(sys.argv[1]), lambda _: None, print)
print(len(beads.ids()))
try:
    beads.command(["new", "x"], "user", True)
except Exception as error:
    print(type(error).__name__, error)
beads.close()
"""


def test_a_read_only_store_can_be_read_and_says_so_when_written(public_folder: Path) -> None:
    beads = Beads(public_folder, lambda _: None, print)
    beads.command(["new", "x"], "user", True)
    beads.close()
    for path in (*public_folder.iterdir(), public_folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(public_folder)], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.splitlines() == ["1", f"Unavailable beads are read-only: {public_folder / 'anvillm.db'}"], done
    public_folder.chmod(0o755)


CLAIMER = """
import json, sys
from pathlib import Path
from anvilsrv.beads.beads import Beads
from anvilsrv.errors import AnvilError
beads = Beads(Path(sys.argv[1]), lambda _: None, print)
got = []
sys.stdin.readline()
for bead in beads.ids():
    try:
        got.append(beads.command(["claim", bead], sys.argv[2], False))
    except AnvilError as error:
        assert "is not open: in_progress by" in str(error), error
print(json.dumps(got))
beads.close()
"""


def test_fifty_agents_claim_a_hundred_beads_and_each_goes_to_exactly_one(open_desk: Callable[[], Desk]) -> None:
    """Threads of two daemons and processes of their own, all at once."""
    desk, second = open_desk(), open_desk()
    ids = [desk("new", f"bead {n}") for n in range(100)]
    others = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(desk.path), f"p{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(4)
    ]
    got: dict[str, list[str]] = {}
    start = threading.Barrier(47)

    def agent(name: str, at: Desk) -> None:
        mine = got[name] = []
        start.wait()
        for bead in ids:
            try:
                mine.append(at("claim", bead, actor=name))
            except AnvilError as error:
                assert "is not open: in_progress by" in str(error)

    threads = [threading.Thread(target=agent, args=(f"t{n}", (desk, second)[n % 2])) for n in range(46)]
    for thread in threads:
        thread.start()
    start.wait()
    for n, process in enumerate(others):
        got[f"p{n}"] = json.loads(process.communicate("go\n", timeout=60)[0])
        assert process.returncode == 0
    for thread in threads:
        thread.join(60)
    assert sorted(bead for mine in got.values() for bead in mine) == sorted(ids)
    assert all(desk.record(bead)["assignee"] == name for name, mine in got.items() for bead in mine)
    claims = [change["bead_id"] for change in desk.told if change["op"] == "claim"]
    assert sorted(claims) == sorted(ids)


KILLED = """
import sys
from pathlib import Path
from anvilsrv.beads.beads import Beads
beads = Beads(Path(sys.argv[1]), lambda _: None, print)
n = 0
while True:
    print(beads.command(["new", f"bead {n}"], "user", True), flush=True)
    n += 1
"""


def test_what_was_answered_survives_a_kill_at_any_instant(desk: Desk) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(desk.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    answered = [process.stdout.readline().strip() for _ in range(50)]
    process.kill()
    answered += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    kept = desk.beads.ids()
    assert kept[: len(answered)] == answered
    assert len(kept) - len(answered) <= 1
    desk("claim", answered[0], actor="a1")


def test_ids_that_are_asked_for_one_by_one_are_those_of_the_list(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beads, "SOME", 2)
    assert list(desk.beads.each_id()) == []
    for number in range(5):
        desk("new", f"bead {number}")
    assert list(desk.beads.each_id()) == desk.beads.ids() and len(desk.beads.ids()) == 5
