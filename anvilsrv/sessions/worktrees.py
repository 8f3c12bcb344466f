"""The sessions that work on a branch of their own: the table ``worktrees``.

Threads: everything runs on the store's thread, in a job.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any, NamedTuple

from anvilsrv.store.store import Tx


class Worktree(NamedTuple):
    """``branch`` are the fields of a ``Branch`` (``sandbox/git_branch.py``); ``merged`` is the commit of it that was merged last."""

    session: str
    branch: dict[str, Any]
    merged: str


def of(tx: Tx, session: str) -> Worktree | None:
    """Return that of a session, if it has one."""
    row = tx.one("SELECT * FROM worktrees WHERE session = ?", session)
    return None if row is None else _worktree(row)


def every(tx: Tx) -> list[Worktree]:
    """Return all of them."""
    return [_worktree(row) for row in tx.all("SELECT * FROM worktrees")]


def _worktree(row: sqlite3.Row) -> Worktree:
    found = dict(row) | {"made": bool(row["made"])}
    return Worktree(found.pop("session"), found, found.pop("merged"))


def add(tx: Tx, session: str, branch: Mapping[str, Any]) -> None:
    """Record where a session works."""
    names = ", ".join(branch)
    tx.run(
        f"INSERT INTO worktrees(session, {names}, merged) VALUES(?{', ?' * len(branch)}, '')", session, *branch.values()
    )


def merge(tx: Tx, session: str, commit: str) -> None:
    """Record that commit of it as merged."""
    tx.run("UPDATE worktrees SET merged = ? WHERE session = ?", commit, session)


def forget(tx: Tx, session: str) -> None:
    """Remove that of a session; the work tree stays."""
    tx.run("DELETE FROM worktrees WHERE session = ?", session)
