"""Turns that end without a word: seen in the title that an agent gives its terminal.

Some agents report nothing when a person breaks a turn off before it has begun to answer, neither by a hook nor in the transcript; their
title alone changes from busy to idle. A title proves nothing by itself, since it may change before the hook of a regular end has
reported; so it is believed only when it stays idle for a while with the same turn still running and nothing asked.

Threads: ``changed`` is called by the reader of tmux, everything else runs on the supervisor's thread.
"""

import re
from collections.abc import Callable
from typing import Any

from anvilsrv.errors import AnvilError
from anvilsrv.sessions import state as s
from anvilsrv.sessions.registry import Sessions
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Tx

PATIENCE = 1.0  # s that the title must stay idle, twice after an interrupt of ours
UNASKED = 8  # times, where nobody asked: on a busy machine the hook that says why comes late
BACK = 8  # times that the input is looked at after an interrupt, and emptied: an agent may do so line by line
ALIKE = 30  # characters of a line that tell whose it is
PASTED = re.compile(r"\[Pasted ")  # how agents show a long text


class Titles:
    """Watches the titles of agents that are in a turn. ``at(delay, command)`` runs a command on the supervisor's thread."""

    def __init__(
        self,
        sessions: Sessions,
        turns: Turns,
        tmux: Any,
        backend: Callable[[str], Any],
        at: Callable[[float, Callable[[], None]], None],
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._tmux = tmux
        self._backend = backend
        self._at = at

    def changed(self, pane: str, title: str) -> None:
        """A title changed (or tmux tells all there are, when it is asked first)."""
        view = next((v for v in self._sessions.views.values() if v.pane == pane), None)
        if view is not None and view.state == s.RUNNING:
            self.look(view.id)

    def look(self, session: str, clear: bool = False) -> None:
        """See whether the turn of ``session`` is over without a word; with ``clear`` take away what came back into the input."""
        view = self._sessions.find(session)
        if view is None:
            return
        if self._backend(view.backend).titles.idle is not None:
            self._at(PATIENCE, lambda: self._check(session, view.turns, 2 if clear else UNASKED, clear))
        if clear:
            self._at(PATIENCE, lambda: self._take_back(session, view.turns, BACK))

    def recalled(self, session: str, times: int = 3) -> None:
        """A prompt was broken off while it was being submitted: take away what the agent put back into its input.

        Only while nothing of ours is on its way there: the session is idle, or its next prompt waits for the line to be free.
        """
        self._at(PATIENCE, lambda: self._tidy(session, times))

    def _tidy(self, session: str, times: int) -> None:
        view = self._sessions.find(session)
        if view is None or not view.pane or not view.pid:
            return
        keys = self._backend(view.backend).input.clear
        if keys and (view.state == s.IDLE or view.held):
            self._tmux.keys(view.pane, *keys)
        elif times > 1:
            self.recalled(session, times - 1)

    def _take_back(self, session: str, turn: int, times: int) -> None:
        """The turn was broken off by us: where the agent put its prompt back into the input, take that away, and nothing else."""
        view = self._sessions.find(session)
        if view is None or not view.pane or not view.pid:
            return
        text = self._sessions.store.call(lambda tx: self._broken_off(tx, session, turn))
        backend = self._backend(view.backend)
        try:
            screen = self._tmux.screen(view.pane, styled=backend.input.styled)
            if (
                text
                and not backend.free(screen)
                and stands_in(text, backend.input_line(screen))
                and backend.input.clear
            ):
                self._tmux.keys(view.pane, *backend.input.clear)
        except AnvilError:
            return
        if times > 1:
            self._at(PATIENCE, lambda: self._take_back(session, turn, times - 1))

    def _broken_off(self, tx: Tx, session: str, turn: int) -> str | None:
        """The prompt of that turn, if it is over and nothing of another was typed yet."""
        if self._turns.active(tx, session) is not None and not self._turns.waits(tx, session):
            return None
        row = tx.one("SELECT text FROM prompts WHERE session = ? AND turn = ?", session, turn)
        return None if row is None else str(row["text"])

    def _check(self, session: str, turn: int, times: int, clear: bool) -> None:
        view = self._sessions.find(session)
        if view is None or view.state != s.RUNNING or view.turns != turn or view.ask or not view.pane or not view.pid:
            return
        backend = self._backend(view.backend)
        try:
            idle = backend.titles.idle.search(self._tmux.title(view.pane)) is not None
        except AnvilError:
            return
        if not idle:
            return
        if times > 1:
            self._at(PATIENCE, lambda: self._check(session, turn, times - 1, clear))
            return
        if clear and backend.input.clear:
            self._tmux.keys(view.pane, *backend.input.clear)
        self._sessions.store.post(lambda tx: self._over(tx, session, turn))

    def _over(self, tx: Tx, session: str, turn: int) -> None:
        current = self._turns.active(tx, session)
        if current is not None and current["status"] == "running" and current["turn"] == turn:
            self._turns.interrupted(tx, session)


def stands_in(text: str, shown: str | None) -> bool:
    """Whether an input shows the beginning of ``text``, or that something long was pasted."""
    line = "".join((shown or "").split())
    first = "".join(next((one for one in text.splitlines() if one.strip()), "").split())[:ALIKE]
    return bool(first) and (first in line or PASTED.search(shown or "") is not None)
