"""A login in an agent's database comes from the JSON file that sessions share, and what is renewed on one side reaches the other."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.inside import database_login
from tests.conftest import ROOT, wait_until

TABLE = "auth"
KEY = "x:token"
AGENT = "import sys; print('up', flush=True); sys.stdin.read()"


def written(path: Path, wal: bool, **token: Any) -> None:
    with closing(sqlite3.connect(path, timeout=20)) as db:
        db.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
        with db:
            db.execute("INSERT OR REPLACE INTO auth VALUES (?, ?)", (KEY, json.dumps(token)))


def rows(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path, timeout=20)) as db:
        return dict(db.execute("SELECT key, value FROM auth"))


class Agent:
    """A session's directory, with the login of a first database in it, and an agent that waits."""

    def __init__(self, top: Path, wal: bool) -> None:
        self.file, self.database, self.wal = top / "login/x.json", top / "data/x.sqlite3", wal
        first = top / "first.sqlite3"
        with closing(sqlite3.connect(first)) as db:
            with db:
                db.execute("CREATE TABLE auth (key TEXT PRIMARY KEY, value TEXT)")
                db.execute("CREATE TABLE more (n INTEGER, bytes BLOB)")
                db.execute("CREATE INDEX fast ON more (n)")
                db.execute("INSERT INTO more VALUES (7, x'00ff')")
                db.execute("INSERT INTO auth VALUES ('plain', 'no object')")
        written(first, wal, access="a1", refresh="r1")
        self.file.parent.mkdir()
        self.file.write_text(json.dumps(database_login.dump(first, TABLE)))
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "Agent":
        argv = [sys.executable, "-m", "anvilsrv.inside.database_login", str(self.file), str(self.database), TABLE]
        self.process = subprocess.Popen(
            [*argv, sys.executable, "-c", AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "up\n"
        return self

    def end(self) -> None:
        """Its output closes with it: nothing that is beside it holds that."""
        if self.process is not None:
            self.process.communicate(timeout=60)

    def said(self) -> Any:
        return json.loads(self.file.read_text())["rows"]

    def renews(self, **token: Any) -> None:
        """As the daemon hands over what another session has renewed."""
        found = json.loads(self.file.read_text())
        found["rows"][KEY] = token
        fresh = self.file.with_name("fresh")
        fresh.write_text(json.dumps(found))
        os.replace(fresh, self.file)


@pytest.fixture(params=["journal", pytest.param("wal", marks=pytest.mark.slow(1))])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path, request.param == "wal")
    yield made
    made.end()


def test_the_database_is_as_it_was_at_the_login(agent: Agent) -> None:
    agent.start()
    assert rows(agent.database) == {"plain": "no object", KEY: '{"access": "a1", "refresh": "r1"}'}
    with closing(sqlite3.connect(agent.database)) as db:
        assert db.execute("SELECT * FROM more").fetchall() == [(7, b"\x00\xff")]
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'fast'").fetchone() == (1,)
    assert agent.database.stat().st_mode & 0o077 == 0


def test_what_the_agent_renews_is_in_the_file_and_the_other_way_round(agent: Agent) -> None:
    agent.start()
    written(agent.database, agent.wal, access="a2", refresh="r2")
    wait_until(lambda: agent.said()[KEY] == {"access": "a2", "refresh": "r2"}, "the file has it")
    agent.renews(access="a3", refresh="r3")
    wait_until(lambda: json.loads(rows(agent.database)[KEY])["access"] == "a3", "the database has it")
    assert agent.said()["plain"] == {"": "no object"}


def test_what_was_renewed_as_it_ended_is_not_lost(agent: Agent) -> None:
    agent.start().end()
    written(agent.database, agent.wal, access="a2", refresh="r2")
    agent.start()
    assert agent.said()[KEY]["access"] == "a2"
    agent.end()
    agent.renews(access="a3", refresh="r3")
    agent.start()
    assert json.loads(rows(agent.database)[KEY])["access"] == "a3"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"rows": 7}', '{"rows": {}, "schema": ["DROP"], "rest": {}}', "[" * 9999]
)
def test_a_file_that_is_no_login_keeps_no_agent_from_its_start(agent: Agent, text: str) -> None:
    agent.file.write_text(text)
    agent.start()


def test_a_session_without_a_login_starts_as_it_is(agent: Agent) -> None:
    agent.file.unlink()
    agent.start()
    assert not agent.database.exists()
