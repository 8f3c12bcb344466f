"""The store: jobs in order, answered when on disk, refused without a trace."""

import json
import logging
import queue
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.errors import Conflict, Unavailable
from anvilsrv.store.effects import Effect, Wake
from anvilsrv.store.schema import MIGRATIONS
from anvilsrv.store.store import Store, Tx
from tests.conftest import wait_until


def settle(tx: Tx, touched: set[str], effects: list[Effect]) -> None:
    """Nobody wants to know."""


@pytest.fixture
def errors() -> list[BaseException]:
    return []


@pytest.fixture
def store(tmp_path: Path, errors: list[BaseException]) -> Iterator[Store]:
    made = Store(tmp_path / "store.db", settle, errors.append)
    made.start()
    yield made
    made.stop()


def add(tx: Tx, name: str) -> None:
    tx.run("INSERT INTO reports(id, ts) VALUES(?, 0)", name)


def names(tx: Tx) -> list[str]:
    return [row["id"] for row in tx.all("SELECT id FROM reports ORDER BY id")]


def test_a_job_that_raises_changes_nothing_and_the_others_of_its_batch_stay(store: Store) -> None:
    def refused(tx: Tx) -> None:
        add(tx, "b")
        raise Conflict("no")

    outcomes: list[BaseException | None] = []
    store.post(lambda tx: add(tx, "a"))
    store.post(refused, lambda _, error: outcomes.append(error))
    store.post(lambda tx: add(tx, "c"))
    assert store.call(names) == ["a", "c"]
    assert [str(error) for error in outcomes] == ["no"]


def test_effects_and_what_was_touched_are_told_after_the_commit_and_never_of_a_refused_job(
    tmp_path: Path, errors: list[BaseException]
) -> None:
    told: list[tuple[set[str], list[Effect], list[str]]] = []

    def settle(tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        with sqlite3.connect(tmp_path / "store.db") as other:
            told.append((touched, effects, [row[0] for row in other.execute("SELECT id FROM reports")]))
        other.close()

    def job(tx: Tx) -> None:
        add(tx, "a")
        tx.touch("a")
        tx.after(Wake("a"))

    def refused(tx: Tx) -> None:
        tx.touch("b")
        tx.after(Wake("b"))
        raise Conflict("no")

    store = Store(tmp_path / "store.db", settle, errors.append)
    store.start()
    store.call(job)
    with pytest.raises(Conflict):
        store.call(refused)
    store.stop()
    assert [one for one in told if one[0]] == [({"a"}, [Wake("a")], ["a"])]
    assert [one for one in told if not one[0] and one[1]] == [] and errors == []


def test_a_session_is_not_charged_for_the_time_in_which_the_store_waits(store: Store) -> None:
    """As where the disk is slow, or the daemon is stopped: it would rest ten times as long."""
    still = threading.Event()
    store.call(lambda tx: still.wait(1.0), by="a")
    store.call(names, timeout=4.0, by="a")


def test_jobs_run_in_the_order_they_were_posted(store: Store) -> None:
    ran: list[int] = []
    for number in range(300):
        store.post(lambda tx, number=number: ran.append(number))  # type: ignore[misc]
    store.call(names)
    assert ran == list(range(300))


def test_a_disk_error_fails_every_job_of_the_batch_and_the_store_goes_on(
    store: Store, errors: list[BaseException]
) -> None:
    def broken(tx: Tx) -> None:
        add(tx, "a")
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    with pytest.raises(Unavailable, match="cannot save: database disk image is malformed"):
        store.call(broken)
    store.call(lambda tx: add(tx, "b"))
    assert store.call(names) == ["b"]
    assert any("disk image is malformed" in str(error) for error in errors)


@pytest.mark.parametrize(
    ("sql", "args"),
    [
        ("SELECT json_extract(?, '$.x')", ['{"x":NaN}']),
        ("SELECT * FROM nowhere", []),
        ("INSERT INTO reports(id, ts) VALUES('a', NULL)", []),
        ("INSERT INTO reports(id, ts) VALUES('b', 0), ('b', 0)", []),
        ("SELECT zeroblob(?)", [1 << 40]),
        ("SELECT abs(?)", [-(1 << 63)]),
        ("SELECT ?", ["\ud800"]),
        ("SELECT ?", [1 << 70]),
        ("SELECT ?", []),
    ],
)
def test_an_error_of_one_statement_costs_its_job_alone(
    store: Store, errors: list[BaseException], sql: str, args: list[object]
) -> None:
    def broken(tx: Tx) -> None:
        add(tx, "lost")
        tx.all(sql, *args)

    store.call(names)
    began, gate = threading.Event(), threading.Event()
    store.post(lambda tx: (began.set(), gate.wait(10)))
    assert began.wait(10)
    outcomes: list[BaseException | None] = []
    for job in (lambda tx: add(tx, "a"), broken, lambda tx: add(tx, "c")):
        store.post(job, lambda _, error: outcomes.append(error))
    gate.set()  # what was posted meanwhile is one batch
    assert store.call(names) == ["a", "c"]
    assert [error is None for error in outcomes] == [True, False, True]
    assert len(errors) == 1


def test_an_exception_that_is_no_refusal_is_reported_and_the_store_goes_on(
    store: Store, errors: list[BaseException]
) -> None:
    with pytest.raises(ZeroDivisionError):
        store.call(lambda tx: 1 // 0)
    assert store.call(names) == []
    assert isinstance(errors[0], ZeroDivisionError)


def test_a_store_written_by_a_newer_program_is_refused(tmp_path: Path, errors: list[BaseException]) -> None:
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    db.close()
    made = Store(tmp_path / "store.db", settle, errors.append)
    with pytest.raises(Unavailable, match="newer anvilsrv"):
        made.start()
    made.stop()


def test_the_totals_of_a_box_follow_its_messages_and_a_store_of_before_gets_them(
    tmp_path: Path, errors: list[BaseException]
) -> None:
    def add_mail(db: sqlite3.Connection | Tx, number: int, box: str) -> None:
        run = db.run if isinstance(db, Tx) else lambda sql, *args: db.execute(sql, args)
        run(
            "INSERT INTO messages(id, sender, recipient, type, subject, body, ts, json, box) VALUES(?,'a','b','t','','',0,?,?)",
            str(number), "é" * number, box,
        )  # fmt: skip

    with sqlite3.connect(tmp_path / "store.db") as db:
        db.executescript(f"{MIGRATIONS[0]} PRAGMA user_version=1;")
        for number in range(1, 6):
            add_mail(db, number, "archive")
        add_mail(db, 6, "inbox")
    db.close()
    made = Store(tmp_path / "store.db", settle, errors.append)
    made.start()

    def totals(tx: Tx) -> dict[str, tuple[int, int]]:
        counted = {
            row["box"]: (row["n"], row["size"])
            for row in tx.all(
                "SELECT box, count(*) AS n, sum(length(CAST(json AS BLOB)) + 2) AS size FROM messages GROUP BY box"
            )
        }
        kept = {row["box"]: (row["messages"], row["bytes"]) for row in tx.all("SELECT * FROM boxes") if row["messages"]}
        assert kept == counted
        return kept

    def move(tx: Tx) -> None:
        add_mail(tx, 7, "inbox")
        tx.run("UPDATE messages SET box = 'archive' WHERE id IN ('6', '7')")
        tx.run("DELETE FROM messages WHERE id = '1'")
        tx.run("UPDATE messages SET json = 'x' WHERE id = '2'")

    assert made.call(totals) == {"archive": (5, 40), "inbox": (1, 14)}
    made.call(move)
    assert made.call(totals) == {"archive": (6, 63)}
    made.stop()
    assert errors == []


def test_sessions_of_before_go_on_with_the_kiro_that_they_were_begun_with(
    tmp_path: Path, errors: list[BaseException]
) -> None:
    at = next(number for number, one in enumerate(MIGRATIONS) if "'kiro-tui'" in one)
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.executescript(f"{''.join(MIGRATIONS[:at])} PRAGMA user_version={at};")
        for number, backend in enumerate(("kiro-cli", "kiro-acp", "shell")):
            db.execute(
                "INSERT INTO sessions(id, seq, backend, cwd, role, tasks, state, tier, policy, created, changed)"
                " VALUES(?, ?, ?, '/', '', '[]', 'stopped', '', '', 0, 0)",
                (str(number), number, backend),
            )
    db.close()
    made = Store(tmp_path / "store.db", settle, errors.append)
    made.start()
    assert made.call(lambda tx: [row["backend"] for row in tx.all("SELECT backend FROM sessions ORDER BY id")]) == [
        "kiro-tui", "kiro-cli", "shell",
    ]  # fmt: skip
    made.stop()
    assert errors == []


def test_messages_of_a_store_of_before_get_the_type_that_answers_them(
    tmp_path: Path, errors: list[BaseException]
) -> None:
    kinds = {"1": "REVIEW_REQUEST", "2": "PROMPT_RESPONSE", "3": "LOG_ERROR"}
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.executescript(f"{MIGRATIONS[0]} {MIGRATIONS[1]} PRAGMA user_version=2;")
        for one, kind in kinds.items():
            # NaN: not JSON to SQLite, but a writer's metadata may hold it
            line = json.dumps({"id": one, "type": kind, "body": "é", "metadata": {"n": float("nan")}})
            db.execute(
                "INSERT INTO messages(id, sender, recipient, type, subject, body, ts, json, box)"
                " VALUES(?,'a','b',?,'','',0,?,'inbox')",
                (one, kind, line),
            )
    db.close()
    made = Store(tmp_path / "store.db", settle, errors.append)
    made.start()
    rows = made.call(lambda tx: [json.loads(row["json"]) for row in tx.all("SELECT json FROM messages ORDER BY id")])
    [total] = made.call(lambda tx: tx.all("SELECT bytes FROM boxes WHERE owner = 'b'"))
    [counted] = made.call(lambda tx: tx.all("SELECT sum(length(CAST(json AS BLOB)) + 2) AS bytes FROM messages"))
    made.stop()
    assert [row["reply_type"] for row in rows] == ["REVIEW_RESPONSE", "QUERY_REQUEST", "QUERY_REQUEST"]
    assert [(row["id"], row["body"]) for row in rows] == [(one, "é") for one in kinds]
    assert total["bytes"] == counted["bytes"]
    assert errors == []


WRITER = """
import sys
import threading
from pathlib import Path
from anvilsrv.store.store import Store
store = Store(Path(sys.argv[1]), lambda *settled: None, print)
store.start()
number = 0
while True:
    store.call(lambda tx: tx.run("INSERT INTO reports(id, ts) VALUES(?, 0)", f"{number:06}"))
    print(number, flush=True)
    number += 1
"""


def test_what_was_answered_is_there_after_kill_9(tmp_path: Path, errors: list[BaseException]) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "store.db")], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    answered = [int(writer.stdout.readline()) for _ in range(50)]
    writer.kill()
    answered += [int(line) for line in writer.stdout]
    writer.wait()
    writer.stdout.close()
    made = Store(tmp_path / "store.db", settle, errors.append)
    made.start()
    found = made.call(names)
    made.stop()
    assert [f"{number:06}" for number in answered] == found[: len(answered)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [MemoryError, ZeroDivisionError])
def test_what_is_shown_and_cannot_be_made_anew_ends_the_thread(
    tmp_path: Path, errors: list[BaseException], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views that are not what is on disk are worse than no daemon: the thread's end is the daemon's (programs/daemon.py)."""
    died: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def settle(tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        raise error

    monkeypatch.setattr(threading, "excepthook", lambda args: died.put(args.exc_value))
    made = Store(tmp_path / "store.db", settle, errors.append)
    made.start()
    made.post(lambda tx: add(tx, "a"))
    assert isinstance(died.get(timeout=10), error)
    made.stop()
    assert errors == []


def grow(tx: Tx) -> None:
    for number in range(5):
        tx.run("INSERT INTO chunks VALUES(?, 0, ?)", number, bytes(4 << 20))


def size(path: Path) -> int:
    return sum(one.stat().st_size for one in path.glob("store.db*"))


@pytest.mark.slow(8)
def test_what_is_deleted_leaves_the_disk(store: Store, tmp_path: Path, errors: list[BaseException]) -> None:
    store.call(grow)
    assert size(tmp_path) > 20 << 20
    store.call(lambda tx: tx.run("DELETE FROM chunks"))
    wait_until(lambda: size(tmp_path) < 8 << 20, "the store stays large")
    store.call(lambda tx: add(tx, "a"))
    assert store.call(names) == ["a"] and errors == []


def test_a_store_of_before_that_could_not_become_smaller_is_written_anew(
    tmp_path: Path, errors: list[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.executescript(f"PRAGMA journal_mode=WAL; {MIGRATIONS[0]} PRAGMA user_version=1;")
        db.execute("INSERT INTO reports VALUES('a', 0)")
    db.close()
    for _ in range(2):
        made = Store(tmp_path / "store.db", settle, errors.append)
        made.start()
        assert made.call(names) == ["a"]
        assert made.call(lambda tx: tx.one("PRAGMA auto_vacuum")[0]) == 2  # type: ignore[index]
        made.stop()
    assert [one for one in caplog.messages if "is rewritten" in one] == [
        "the store, 0 MB, is rewritten so that it can return free space"
    ]


def test_a_commit_that_need_not_outlast_a_power_cut_is_not_synced_and_the_others_are(store: Store) -> None:
    def level(tx: Tx) -> int:
        row = tx.one("PRAGMA synchronous")
        assert row is not None
        return int(row[0])

    assert [store.call(level, durable=durable) for durable in (True, False, True)] == [2, 1, 2]
