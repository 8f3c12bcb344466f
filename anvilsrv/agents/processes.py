"""The supervisor: starts agents, sees them die, restarts them, ends them gently, adopts those that outlived a daemon.

One thread does all of it, one thing after another: it waits (epoll) for the death of the processes it watches (pidfd_open(2)),
for commands from other threads, and for its own deadlines. Nothing is polled. What it learns becomes a job of the store;
what the jobs decide comes back as a command.

Threads: ``launch``, ``end``, ``destroy``, ``keys`` and ``at`` may be called from any thread.
"""

import heapq
import os
import select
import signal
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from anvilsrv.backends.backend import Stop
from anvilsrv.errors import AnvilError, Conflict, Invalid
from anvilsrv.sessions import state as s
from anvilsrv.sessions.registry import Sessions
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Tx

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)  # s before the restart after the first, second … crash in a row; then `error`
STABLE = 60.0  # s of life after which a crash counts as the first again
REFUSED = 126  # exit status of the sandbox launcher when it does not start the agent (DESIGN section 8)
GRACE = 3.0  # s, where the backend's file cannot be asked
STATUS_TRIES = 20  # looks at 25 ms for tmux to have noticed a death that pidfd told us of already


class Supervisor:
    """Processes of all sessions. ``launch`` prepares a start; see ``launch.py``."""

    def __init__(self, sessions: Sessions, turns: Turns, tmux: Any, backend: Callable[[str], Any], launch: Any,
                 on_error: Callable[[BaseException], None]) -> None:  # fmt: skip
        self._sessions = sessions
        self._turns = turns
        self._tmux = tmux
        self._backend = backend
        self._prepare = launch.prepare
        self._can_resume = launch.can_resume
        self._written = launch.ended
        self._on_error = on_error
        self._commands: deque[Callable[[], None]] = deque()
        self._deadlines: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._watched: dict[int, tuple[str, int]] = {}  # pidfd -> (session, pid)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="supervisor")
        self.buried: Callable[[Tx, str], None] = lambda tx, session: None
        self.ask_gone: Callable[[Tx, str], None] = lambda tx, session: None
        self.cleared: Callable[[Any], None] = lambda view: None
        self.interrupted: Callable[[str, bool], None] = lambda session, recalled: None
        self.started: Callable[[str, str], None] = lambda session, pane: None

    # -- from other threads ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching and join the thread; agents live on."""
        self._closing = True
        os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join()
        for fd in self._watched:
            os.close(fd)
        self._watched.clear()
        self._epoll.close()
        os.close(self._wake)

    def do(self, command: Callable[[], None]) -> None:
        """Run ``command`` on the supervisor's thread."""
        self._commands.append(command)
        if not self._closing:
            os.eventfd_write(self._wake, 1)

    def at(self, delay: float, command: Callable[[], None]) -> None:
        """Run ``command`` on the supervisor's thread after ``delay`` seconds."""
        self.do(lambda: self._push(delay, command))

    def launch(self, session: str) -> None:
        """Start the agent of a session that is ``starting``."""
        self.do(lambda: self._launch(session))

    def end(self, session: str) -> None:
        """End the agent gently: by its own keys, then SIGTERM, then SIGKILL."""
        self.do(lambda: self._end(session))

    def destroy(self, view: Any) -> None:
        """End what is left of a killed session at once."""
        self.do(lambda: self._destroy(view))

    def keys(self, session: str, names: list[str]) -> None:
        """Press keys in the agent's pane."""
        self.do(lambda: self._keys(session, names))

    # -- jobs -------------------------------------------------------------------------------------------------------

    def want_stop(self, tx: Tx, session: str) -> None:
        """``stop``: the agent ends, the session stays."""
        row = self._sessions.row(tx, session)
        if row["state"] not in s.LIVE:
            if row["state"] == s.ERROR:
                self._sessions.change(tx, session, s.STOPPED)
            return
        self._sessions.set(tx, session, wanted="stop")
        if row["pid"]:
            tx.after(lambda: self.end(session))
        else:
            self._sessions.change(tx, session, s.STOPPED)

    def want_restart(self, tx: Tx, session: str) -> None:
        """``restart``: the agent ends if it runs, and starts again with its conversation."""
        row = self._sessions.row(tx, session)
        self._sessions.set(tx, session, crashes=0, held="", held_until=None)
        if row["pid"] and row["state"] in s.LIVE:
            self._sessions.set(tx, session, wanted="restart")
            tx.after(lambda: self.end(session))
        else:
            self._again(tx, session)

    def want_kill(self, tx: Tx, session: str) -> None:
        """``kill``: the agent and the session go for good."""
        view = self._sessions.views.get(session)
        self._sessions.row(tx, session)
        self.ask_gone(tx, session)
        self.buried(tx, session)
        self._turns.drop(tx, session)
        self._sessions.remove(tx, session)
        if view is not None:
            tx.after(lambda: self.destroy(view))

    def want_interrupt(self, tx: Tx, session: str) -> None:
        """``interrupt``: break off the turn. Raises Conflict when there is none."""
        row = self._sessions.row(tx, session)
        if row["state"] != s.RUNNING:
            raise Conflict(f"session '{session}' is {row['state']}")
        names = list(self._backend(row["backend"]).interrupt)
        if not names:
            raise Invalid(f"backend '{row['backend']}' cannot be interrupted")
        waits = self._turns.waits(tx, session)
        recalled = self._turns.recalled(tx, session)
        if not waits:  # what a person has half typed is not ours to break off
            tx.after(lambda: self.keys(session, names))
            tx.after(lambda: self.interrupted(session, recalled))

    def _again(self, tx: Tx, session: str) -> None:
        self._sessions.set(tx, session, wanted="run", pid=0)
        self._sessions.change(tx, session, s.STARTING)
        tx.after(lambda: self.launch(session))

    def _launched(self, tx: Tx, session: str, pane: str, pid: int, start: Any) -> None:
        row = tx.one("SELECT * FROM sessions WHERE id = ?", session)
        if row is None:  # killed while it was being started
            tx.after(lambda: self.do(lambda: self._remove(session, pane, pid)))
            return
        self._sessions.set(tx, session, pane=pane, pid=pid, started=time.time())
        if start is not None:
            self._sessions.set(tx, session, tier=start.tier, policy=start.policy)
        if row["state"] not in s.LIVE or row["wanted"] == "stop":
            tx.after(lambda: self.end(session))
            return
        self._turns.pump(tx, session)

    def _unlaunched(self, tx: Tx, session: str, why: str) -> None:
        self._sessions.set(tx, session, pid=0)
        self._turns.died(tx, session, why)
        self._sessions.change(tx, session, s.ERROR, why)
        self._sessions.error(tx, session, why)

    def died(self, tx: Tx, session: str, pid: int, status: int | None, words: str) -> None:
        """The agent's process ended: ``status`` as a shell gives it (128 + signal), None when nobody knows."""
        if tx.one("SELECT 1 FROM sessions WHERE id = ? AND pid = ?", session, pid) is None:
            return
        row = self._sessions.row(tx, session)
        why = f"agent ended: {describe(status)}"
        self._sessions.set(tx, session, pid=0)
        self.ask_gone(tx, session)
        self._turns.died(tx, session, why)
        if row["wanted"] == "restart":
            self._again(tx, session)
        elif row["wanted"] == "stop" or status == 0:
            self._sessions.set(tx, session, wanted="stop")
            self._sessions.change(tx, session, s.STOPPED)
        elif status == REFUSED:
            self._unlaunched(tx, session, words or "the sandbox refused to start the agent")
        else:
            self._crashed(tx, session, row, why + (f": {words}" if words else ""))

    def _crashed(self, tx: Tx, session: str, row: Any, why: str) -> None:
        lived = time.time() - (row["started"] or 0)
        crashes = 1 if lived > STABLE else row["crashes"] + 1
        self._sessions.set(tx, session, crashes=crashes)
        if crashes > len(PAUSES):
            self._sessions.change(tx, session, s.ERROR, f"crashed {crashes} times in a row; {why}")
            self._sessions.error(tx, session, f"crashed {crashes} times in a row; {why}")
            return
        self._sessions.change(tx, session, s.STARTING)
        self._sessions.error(tx, session, why)
        tx.after(lambda: self.at(PAUSES[crashes - 1], lambda: self._launch(session)))

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._closing:
            wait = max(0.0, self._deadlines[0][0] - time.monotonic()) if self._deadlines else -1.0
            for fd, _ in self._epoll.poll(wait):
                if fd == self._wake:
                    os.eventfd_read(fd)
                else:
                    self._guard(lambda fd=fd: self._gone(fd))  # type: ignore[misc]
            while self._commands and not self._closing:
                self._guard(self._commands.popleft())
            while self._deadlines and self._deadlines[0][0] <= time.monotonic() and not self._closing:
                self._guard(heapq.heappop(self._deadlines)[2])

    def _guard(self, command: Callable[[], None]) -> None:
        try:
            command()
        except Exception as error:
            self._on_error(error)

    def _push(self, delay: float, command: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._deadlines, (time.monotonic() + delay, self._count, command))

    def _watch(self, session: str, pid: int) -> None:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._ended(session, pid)
            return
        self._watched[fd] = (session, pid)
        self._epoll.register(fd, select.EPOLLIN)

    def _gone(self, fd: int) -> None:
        session, pid = self._watched.pop(fd)
        self._epoll.unregister(fd)
        os.close(fd)
        self._ended(session, pid)

    def _ended(self, session: str, pid: int) -> None:
        status, words = self._status(session, pid)
        self._sessions.store.post(lambda tx: self.died(tx, session, pid, status, words))

    def _status(self, session: str, pid: int) -> tuple[int | None, str]:
        """How the process ended and what it said last: from the launcher, which writes it down, or else (it was killed) from tmux."""
        written = self._written(session)
        if written is not None:
            code, sentence = written
            if code == 0 and not any(pane.pid == pid for pane in self._panes()):
                # Some leave politely when tmux, or the machine, is shut down under them.
                return None, "its terminal went away"
            return code, sentence or (self._last_words(session, pid) if code else "")
        for _ in range(STATUS_TRIES):
            pane = next((p for p in self._panes() if p.pid == pid), None)
            if pane is None:
                return None, ""
            if pane.dead and (pane.status is not None or pane.signal is not None):
                return 128 + pane.signal if pane.signal else pane.status, ""
            threading.Event().wait(0.025)
        return None, ""

    def _last_words(self, session: str, pid: int) -> str:
        pane = next((p for p in self._panes() if p.pid == pid), None)
        try:
            return last_words(self._tmux.capture(pane.id)) if pane is not None else ""
        except AnvilError:
            return ""

    def _panes(self) -> list[Any]:
        try:
            return list(self._tmux.panes())
        except AnvilError:
            return []

    def _launch(self, session: str) -> None:
        view = self._sessions.views.get(session)
        if view is None or view.state != s.STARTING or view.pid:
            return
        try:
            if self._backend(view.backend).conversation == "uuid" and not self._can_resume(view):
                self._sessions.store.call(lambda tx: self._sessions.set(tx, session, conversation=str(uuid.uuid4())))
                view = self._sessions.get(session)
            start = self._prepare(view)
            self._tmux.ensure()
            pane = next((p.id for p in self._panes() if p.window == session), None)
            if pane is None:
                made = self._tmux.new_window(session, start.argv, cwd=start.cwd, env={})
                pane, pid = made.id, made.pid
            else:
                pid = self._tmux.respawn(pane, start.argv, cwd=start.cwd, env={})
        except AnvilError as error:
            why = str(error)
            self._sessions.store.post(lambda tx: self._unlaunched(tx, session, why))
            return
        self._sessions.store.post(lambda tx: self._launched(tx, session, pane, pid, start))
        self._watch(session, pid)
        patience = self._backend(view.backend).ready_timeout
        self._push(patience, lambda: self._not_ready(session, pid, patience))
        self.started(session, pane)

    def _not_ready(self, session: str, pid: int, patience: float) -> None:
        view = self._sessions.views.get(session)
        if view is not None and view.pid == pid and view.state == s.STARTING:
            why = f"the agent was not ready within {patience:g} s"
            self._sessions.store.post(lambda tx: self._sessions.error(tx, session, why))
            self._signal(pid, signal.SIGKILL)

    def _end(self, session: str) -> None:
        view = self._sessions.views.get(session)
        if view is None or not view.pid:
            return
        pid, stop = view.pid, self.gentle(view.backend)
        if stop.keys:
            self._keys(session, list(stop.keys))
            self._push(stop.grace, lambda: self._signal(pid, signal.SIGTERM))
        else:
            self._signal(pid, signal.SIGTERM)
        self._push(2 * stop.grace, lambda: self._signal(pid, signal.SIGKILL))

    def gentle(self, backend: str) -> Stop:
        """How an agent is ended; by a signal alone where its backend's file has gone or is wrong now."""
        try:
            stop: Stop = self._backend(backend).stop
            return stop
        except AnvilError:
            return Stop((), GRACE)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        """Signal a process that we still watch (so the number cannot have been given to another)."""
        for fd, (_, watched) in self._watched.items():
            if watched == pid:
                try:
                    signal.pidfd_send_signal(fd, number)
                except ProcessLookupError:
                    return

    def _keys(self, session: str, names: list[str]) -> None:
        view = self._sessions.views.get(session)
        if view is not None and view.pane and view.pid:
            self._tmux.keys(view.pane, *names)

    def _destroy(self, view: Any) -> None:
        self._remove(view.id, view.pane, view.pid)
        self.cleared(view)

    def _remove(self, session: str, pane: str | None, pid: int) -> None:
        """End a process that belongs to no session any more, stop watching it, close its window."""
        if pid:
            self._signal(pid, signal.SIGKILL)
        for fd in [fd for fd, (one, _) in self._watched.items() if one == session]:
            self._epoll.unregister(fd)
            os.close(fd)
            del self._watched[fd]
        if pane:
            try:
                self._tmux.kill(pane)
            except AnvilError as error:
                self._on_error(error)

    # -- adoption -------------------------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """Take over what a daemon before us left: on the supervisor's thread, once, at start."""
        panes = {p.window: p for p in self._panes()}
        for session, view in self._sessions.views.items():
            pane = panes.pop(session, None)
            if view.state in s.LIVE:
                self._adopt(view, pane)
            elif pane is not None and not pane.dead:
                self._tmux.kill(pane.id)  # it was to be stopped
        for stray in panes.values():
            self._tmux.kill(stray.id)

    def _adopt(self, view: Any, pane: Any) -> None:
        session = view.id
        if pane is not None and not pane.dead:
            if view.pid != pane.pid or view.pane != pane.id:
                self._sessions.store.post(lambda tx: self._launched(tx, session, pane.id, pane.pid, None))
            self._watch(session, pane.pid)
            self._sessions.store.post(lambda tx: self._resume(tx, session))
        elif view.pid:
            self._ended(session, view.pid)
        elif view.wanted == "stop":
            self._sessions.store.post(lambda tx: self._sessions.change(tx, session, s.STOPPED))
        else:
            self._launch(session)

    def _resume(self, tx: Tx, session: str) -> None:
        """An adopted agent: go on with what was wanted of it and with what was being typed."""
        row = self._sessions.row(tx, session)
        if row["wanted"] != "run":
            tx.after(lambda: self.end(session))
            return
        self._turns.resume(tx, session)


def describe(status: int | None) -> str:
    """``status 1``, ``killed by SIGKILL``; as a person says it."""
    if status is None:
        return "nobody saw how"
    if status > 128:
        try:
            return f"killed by {signal.Signals(status - 128).name}"
        except ValueError:
            return f"status {status}"
    return f"status {status}"


def last_words(screen: str) -> str:
    """The last line of a screen that says anything, for an error message."""
    lines = [line.strip() for line in screen.splitlines()]
    said = [line for line in lines if line and not line.startswith("Pane is dead")]
    return said[-1][:300] if said else ""
