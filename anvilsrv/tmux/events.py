"""What tmux tells without being asked: titles that change, and how the programs in panes ended.

tmux evaluates its subscriptions once a second, so an event comes within a second; after each attachment it tells the state of every
pane first, so that nothing is missed while no one was attached.

tmux misses a SIGCHLD now and then: while it runs utempter(8) for a pane that it opens or closes, the signal has its default disposition
and is lost; the program stays a zombie and its status unknown until the next SIGCHLD. So one is sent where tmux tells of such a pane.

Threads: ``notice`` runs on the Reactor of ``Server``; the rest may be called from any thread. The lock guards the tables and is not
held while a callback runs.
"""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from anvilsrv.tmux.options import SUBSCRIPTIONS
from anvilsrv.tmux.protocol import quote

CHANGED = b"%subscription-changed "


@dataclass(frozen=True)
class Death:
    """How the program in a pane ended: by itself with ``status``, or by a ``signal``."""

    pane: str
    pid: int  # 0 where tmux has forgotten it (3.8)
    status: int | None
    signal: int | None

    @property
    def code(self) -> int:
        """As a shell gives it: the status, or 128 + signal."""
        return 128 + self.signal if self.signal else self.status or 0


OnTitle = Callable[[str, str], None]
Told = Callable[[Death | None], None]


def number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


class Events:
    """Who wants to be told what."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._titles: list[OnTitle] = []
        self._awaited: dict[tuple[str, int], list[Told]] = {}

    def on_title(self, callback: OnTitle) -> None:
        with self._lock:
            self._titles.append(callback)

    def wait(self, pane: str, pid: int, told: Told) -> None:
        """Call ``told`` once: by ``settle``."""
        with self._lock:
            self._awaited.setdefault((pane, pid), []).append(told)

    def waits(self, pane: str, pid: int) -> bool:
        with self._lock:
            return (pane, pid) in self._awaited

    def settle(self, pane: str, pid: int, death: Death | None) -> None:
        """Set how the program ``pid`` in ``pane`` ended; None if unknown. No-op without a waiter."""
        with self._lock:
            waiting = self._awaited.pop((pane, pid), [])
        for told in waiting:
            told(death)

    def notice(self, line: bytes) -> None:
        """Take a line of the control client that is not a reply."""
        if line.startswith(CHANGED):
            place, _, value = line.removeprefix(CHANGED).decode("utf-8", "replace").partition(" : ")
            name, *_, pane = place.split(" ")
            if name in self._readers:
                self._readers[name](self, pane, value)

    def _title(self, pane: str, value: str) -> None:
        with self._lock:
            callbacks = list(self._titles)
        for callback in callbacks:
            callback(pane, value)

    def _dead(self, pane: str, value: str) -> None:
        server, pid, dead, status, killed = value.split(" ")
        death = Death(pane, number(pid) or 0, number(status), number(killed))
        if dead != "1":
            return
        if death.status is None and death.signal is None:
            with suppress(ProcessLookupError):
                os.kill(int(server), signal.SIGCHLD)
            return
        with self._lock:
            awaited = [key for key in self._awaited if key[0] == pane and death.pid in (0, key[1])]
        for key in awaited:
            self.settle(*key, death)

    _readers = {"titles": _title, "deaths": _dead}


def subscribe() -> str:
    """Return the commands that subscribe; sent again, they have the state of every pane reported again."""
    return " ; ".join(f"refresh-client -B {quote(f'{name}:%*:{value}')}" for name, value in SUBSCRIPTIONS)
