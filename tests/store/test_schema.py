"""What a store of an earlier version becomes. Version 0.1 wrote the second of the migrations."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.sessions import session_rows
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import Look, Seen
from anvilsrv.sessions.machine import Status
from anvilsrv.store.schema import MIGRATIONS
from tests.desk.parts import Parts

V01 = 2
V_KILLED = 7  # the last in which ids of killed sessions had a time
V_HELD = 8  # the last in which a queue had one holder
HELD = [
    ("free", "", None, 0),
    ("limit", "limit reached; goes on at 2033-05-18 03:33:20", 2e9, 0),
    ("failed", "API error", None, 1),
]
#  id, session, message, text, status, pasted, turn, response, created, started, ended
PROMPTS = [
    (1, "runs", None, "first", "done", 0, 1, b"one", 10.0, 10.0, 12.5),
    (2, "types", None, "other", "failed", 0, 1, None, 11.0, 11.0, 11.5),
    (3, "runs", None, "second", "running", 0, 2, None, 12.0, 13.0, None),
    (4, "types", "m", "mail", "withdrawn", 0, None, None, 13.0, None, 13.5),
    (5, "types", None, "on its way", "typing", 0, None, None, 14.0, None, None),
    (6, "runs", None, "third", "queued", 1, None, None, 15.0, None, None),
    (7, "types", None, "last", "queued", 0, None, None, 16.0, None, None),
]


def made(path: Path, version: int) -> sqlite3.Connection:
    """Make an empty store of that version."""
    db = sqlite3.connect(path)
    db.executescript("".join(MIGRATIONS[:version]) + f"PRAGMA user_version={version};")
    return db


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """Started on a store of 0.1, with a session in a turn and one to which a prompt was being typed."""
    with made(tmp_path / "store.db", V01) as db:
        for seq, session in enumerate(("runs", "types"), 1):
            db.execute(
                "INSERT INTO sessions(id, seq, backend, cwd, state, pane, pid, created, changed)"
                " VALUES(?, ?, 'scripted', '/', 'running', ?, ?, 0, 0)", (session, seq, f"%{seq}", 100_000 + seq),
            )  # fmt: skip
        columns = "id, session, message, text, status, pasted, turn, response, created, started, ended"
        db.executemany(f"INSERT INTO prompts({columns}, origin) VALUES({'?,' * 11} 'user')", PROMPTS)
    db.close()
    made_parts = Parts(tmp_path)
    made_parts.backend()
    yield made_parts.start()
    made_parts.close()
    assert made_parts.errors == []


def test_prompts_of_version_0_1_have_a_status_a_number_and_a_place(parts: Parts) -> None:
    rows = parts.job(lambda tx: tx.all("SELECT session, n, status, took FROM prompts ORDER BY session, n"))
    assert [tuple(row) for row in rows] == [
        ("runs", 1, "done", 2.5), ("runs", 2, "taken", None), ("runs", 3, "queued", None),
        ("types", 1, "failed", 0.5), ("types", 2, "withdrawn", None), ("types", 3, "pasted", None), ("types", 4, "queued", None),
    ]  # fmt: skip
    turns = parts.job(lambda tx: tx.all("SELECT session, number, status, opened, ended FROM turns ORDER BY 1, 2"))
    assert [tuple(row) for row in turns] == [
        ("runs", 1, "closed", 10.0, 12.5), ("runs", 2, "open", 13.0, None), ("types", 1, "closed", 11.0, 11.5),
    ]  # fmt: skip
    assert parts.job(lambda tx: parts.send.accept(tx, "types", "new", "user")) == 5


def test_a_turn_that_ran_under_version_0_1_ends_with_its_answer_and_the_queue_goes_on(parts: Parts) -> None:
    parts.report("runs", "Stop", response="two")
    assert (parts.status(3), parts.get(3).response, parts.open_turns("runs")) == (Status.DONE, b"two", 0)
    assert parts.status(6) == Status.CHOSEN  # it was pasted before, and what came of it cannot be known any more
    parts.happens("runs", lambda tx: parts.turns.delivered.not_taken(tx, "runs", 6, Seen(Look.FREE)))
    assert (parts.status(6), (parts.get(6).error or "")[:8]) == (Status.FAILED, "in doubt")


def test_a_prompt_that_was_being_typed_under_version_0_1_is_the_one_that_the_agent_then_reports(parts: Parts) -> None:
    parts.report("types", "Submit", prompt="on its way")
    assert parts.status(5) == Status.TAKEN
    parts.report("types", "Stop", response="done")
    assert (parts.status(5), parts.status(7)) == (Status.DONE, Status.CHOSEN)


def test_a_prompt_of_which_nothing_is_heard_is_in_doubt_and_the_next_goes(parts: Parts) -> None:
    parts.happens("types", lambda tx: parts.turns.delivered.not_taken(tx, "types", 5, Seen(Look.FREE)))
    assert (parts.status(5), parts.status(7)) == (Status.FAILED, Status.CHOSEN)


def test_what_held_a_queue_of_an_earlier_version_holds_it_for_the_same_reason(tmp_path: Path) -> None:
    with made(tmp_path / "store.db", V_HELD) as db:
        for seq, (session, held, until, paused) in enumerate(HELD, 1):
            db.execute(
                "INSERT INTO sessions(id, seq, backend, cwd, state, created, changed, held, held_until, paused)"
                " VALUES(?, ?, 'scripted', '/', 'stopped', 0, 0, ?, ?, ?)", (session, seq, held, until, paused),
            )  # fmt: skip
    db.close()
    parts = Parts(tmp_path).start()
    try:
        assert {one: set(parts.row(one).gate.holders) for one, *_ in HELD} == {
            "free": set(), "limit": {By.LIMIT}, "failed": {By.FAILED, By.USER},
        }  # fmt: skip
        gate = parts.row("limit").gate
        assert (gate.holders[By.LIMIT].why, gate.until) == ("limit reached", 2e9)
    finally:
        parts.close()


def test_sessions_that_were_killed_are_forgotten_in_their_order_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with made(tmp_path / "store.db", V_KILLED) as db:
        db.executemany("INSERT INTO killed(id, at) VALUES(?, ?)", [("a", 20.0), ("b", 10.0)])
    db.close()
    monkeypatch.setattr("anvilsrv.sessions.session_rows.KEEP", 2)
    parts = Parts(tmp_path).start()
    try:
        assert parts.job(session_rows.killed) == {"a", "b"}
        parts.clock.set = 100 * 365 * 86400.0
        one = parts.idle()
        parts.job(lambda tx: parts.life.kill(tx, one))
        assert parts.job(session_rows.killed) == {"a", one}
    finally:
        parts.close()
