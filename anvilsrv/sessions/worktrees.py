"""The sessions that work on a branch of their own: the table ``worktrees``.

Threads: everything runs on the store's thread, in a job.
"""

import sqlite3
from typing import NamedTuple

from anvilsrv.store.store import Tx


class Worktree(NamedTuple):
    """``top`` is the user's work tree, ``directory`` its git directory; ``path`` that of the branch. ``merged`` was merged last."""

    session: str
    top: str
    directory: str
    common: str
    path: str
    branch: str
    base: str
    made: bool
    merged: str


def of(tx: Tx, session: str) -> Worktree | None:
    """That of a session, if it has one."""
    row = tx.one("SELECT * FROM worktrees WHERE session = ?", session)
    return None if row is None else _worktree(row)


def every(tx: Tx) -> list[Worktree]:
    """All of them."""
    return [_worktree(row) for row in tx.all("SELECT * FROM worktrees")]


def _worktree(row: sqlite3.Row) -> Worktree:
    return Worktree(**{**dict(row), "made": bool(row["made"])})


def add(tx: Tx, one: Worktree) -> None:
    """A session works there."""
    tx.run("INSERT INTO worktrees VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)", *one)


def merge(tx: Tx, session: str, commit: str) -> None:
    """That commit of it was merged."""
    tx.run("UPDATE worktrees SET merged = ? WHERE session = ?", commit, session)


def forget(tx: Tx, session: str) -> None:
    """Remove that of a session; the work tree stays."""
    tx.run("DELETE FROM worktrees WHERE session = ?", session)
