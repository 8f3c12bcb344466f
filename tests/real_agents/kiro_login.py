"""The login of a Kiro stand-in: `login` leaves it in the table auth_kv of data.sqlite3, beside what else the real one keeps there.

The tables are those of the migrations of the program that Kiro CLI was made from. A table that is there already is an error to it.
"""

import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

KEY = "kirocli:odic:token"
MIGRATIONS = (
    "CREATE TABLE history (id INTEGER PRIMARY KEY, command TEXT)",
    "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB)",
    "CREATE TABLE auth_kv (key TEXT PRIMARY KEY, value TEXT)",
    "CREATE TABLE conversations (key TEXT PRIMARY KEY, value TEXT)",
)


def opened() -> sqlite3.Connection:
    """Return the database, with what migrations are missing."""
    top = Path(os.environ.get("XDG_DATA_HOME") or Path(os.environ["HOME"]) / ".local/share") / "kiro-cli"
    top.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(top / "data.sqlite3", timeout=20)
    if os.environ.get("KIRO_STANDIN_WAL"):
        db.execute("PRAGMA journal_mode=WAL")
    with db:
        db.execute("CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY, version INTEGER NOT NULL)")
        (done,) = db.execute("SELECT count(*) FROM migrations").fetchone()
        for number, sql in enumerate(MIGRATIONS[done:], done):
            db.execute(sql)
            db.execute("INSERT INTO migrations (version) VALUES (?)", (number,))
    return db


def read() -> dict[str, str]:
    with closing(opened()) as db:
        row = db.execute("SELECT value FROM auth_kv WHERE key = ?", (KEY,)).fetchone()
    return json.loads(row[0]) if row else {}


def write(number: int) -> None:
    made = {"access_token": f"access {number}", "refresh_token": f"refresh {number}", "expires_at": "2027-01-01T00:00:00Z",
            "region": "us-east-1", "start_url": "https://x.awsapps.com/start"}  # fmt: skip
    with closing(opened()) as db, db:
        db.execute("INSERT OR REPLACE INTO auth_kv VALUES (?, ?)", (KEY, json.dumps(made)))
        profile = json.dumps({"arn": "arn:profile"})
        db.execute("INSERT OR REPLACE INTO state VALUES ('api.codewhisperer.profile', ?)", (profile.encode(),))


def renew() -> str:
    write(int(read()["access_token"].split()[1]) + 1)
    return "renewed"


def token() -> str:
    return read().get("access_token", "none")


def run(argv: list[str]) -> None:
    """`login` ends here; whatever else needs a login or a key."""
    if argv[:1] == ["login"]:
        write(1)
        sys.exit(0)
    if not os.environ.get("KIRO_API_KEY") and not read():
        sys.exit("error: You are not logged in, please log in with kiro-cli login")
