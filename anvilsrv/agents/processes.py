"""The processes: starts agents, sees them die, starts them again, ends them gently, takes over those that outlived a daemon.

What is to be is in the rows: a session that is ``starting`` without a pid is to be launched, one whose ``wanted`` is not ``run``
or that is not live is to end, one that is gone is to be destroyed. What a process did becomes a job (desk/life.py).

Threads: works on the reactor of the agents, one thing after another; ``follow``, ``sweep`` and ``gentle`` from any thread.
"""

import signal
import time
import uuid
from collections.abc import Callable

from anvilsrv.agents.death import Deaths
from anvilsrv.agents.directories import Directories
from anvilsrv.agents.evidence import Evidence
from anvilsrv.agents.launch import Launch, Start
from anvilsrv.agents.starting import unheard
from anvilsrv.backends.backend import Backend, Stop
from anvilsrv.backends.registry import Backends
from anvilsrv.desk.around import Listener
from anvilsrv.desk.life import Life, sentence
from anvilsrv.errors import AnvilError, Full, NotFound
from anvilsrv.linux.reactor import Deadline, Process, Reactor
from anvilsrv.sessions import session_rows
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import NOTHING
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import State, View, Wanted
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.tmux.protocol import Hung
from anvilsrv.tmux.tmux import Tmux
from anvilsrv.tmux.windows import PaneInfo

PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)  # s before the restart after the first, second … crash in a row
NO_ROOM = 2.0  # s between tries to start one while the disk is full
AGAIN = 5.0  # s before tmux is asked again that has not answered
SETUP = 60  # times that an agent whose work tree is set up may take to be ready
HOOKS = 60.0  # s for which a hook program may live, as agents run it: no longer than ``LIFE`` (inside/hook.py)
GRACE = 3.0  # s, where the backend's file cannot be asked


class Run:
    """What is done about one session's process. Belongs to the reactor."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.over = 0  # pid of the process that ended last
        self.launching = False
        self.ending = 0  # pid of the process that is being ended
        self.start: Deadline | None = None
        self.no_room = False  # that there is none was told
        self.why = ""  # why we killed it
        self.setups = 0  # how often it was waited for what sets its work tree up


class Processes:
    """The processes of all sessions."""

    def __init__(
        self, reactor: Reactor, store: Store, registry: Registry, life: Life, tmux: Tmux, backends: Backends,
        directories: Directories, launch: Launch, evidence: Evidence, on_error: Callable[[BaseException], None], listener: Listener,
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._listener = listener
        self._evidence = evidence
        self._store = store
        self._registry = registry
        self._life = life
        self._tmux = tmux
        self._backends = backends
        self._directories = directories
        self._launch = launch
        self._deaths = Deaths(tmux, directories.ended)
        self._on_error = on_error
        self._runs: dict[str, Run] = {}
        self._new: list[View] = []  # followed for the first time

    # -- from other threads ---------------------------------------------------------------------------------------

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if after is None:
            if before is not None:
                self._reactor.do(lambda: self._remove(before.id, before.pane))
        elif before is None:
            self._reactor.do(lambda: self._meet(after))
        elif acts(before) != acts(after):
            self._reactor.do(lambda: self._look(after.id))

    def sweep(self) -> None:
        """Close windows of sessions that were killed; once, at start, after the last ``follow``."""
        self._reactor.do(self._sweep)

    def close(self) -> None:
        """Do nothing: the reactor releases the processes."""

    def gentle(self, backend: str) -> Stop:
        """Return how an agent is ended; by a signal alone if its backend's file has gone or is wrong now."""
        try:
            return self._backends.get(backend).stop
        except AnvilError:
            return Stop((), GRACE)

    # -- on the reactor -----------------------------------------------------------------------------------------------

    def _meet(self, view: View) -> None:
        """Look at a session for the first time: its agent may have outlived a daemon. Many are looked at together, for
        one question to tmux.
        """
        if not self._new:
            self._reactor.do(self._adopt)
        self._new.append(view)

    def _adopt(self) -> None:
        try:
            panes = {pane.window: pane for pane in self._tmux.panes()}
        except Hung as error:  # that nothing is known of the agents does not mean that they are gone
            self._on_error(error)
            self._reactor.at(AGAIN, self._adopt)
            return
        except AnvilError:
            panes = {}
        new, self._new = self._new, []
        for view in new:
            self._guarded(view.id, lambda view=view: self._adopt_one(view, panes.get(view.id)))  # type: ignore[misc]

    def _adopt_one(self, view: View, pane: PaneInfo | None) -> None:
        session, alive = view.id, pane is not None and not pane.dead
        if pane is not None and alive and view.live:
            if view.pid != pane.pid or view.pane != pane.id:  # a daemon died between the start and its row
                self._life.about(session, lambda tx: self._life.launched(tx, session, pane.id, pane.pid, None, None))
            self._directories.started(session, pane.pid)
            self._watch(session, pane.pid)
            self._life.about(session, lambda tx: self._life.adopted(tx, session))
            if view.state == State.RUNNING:
                met = time.monotonic()
                tell: Callable[[Tx], None] = lambda tx: self._life.unsaid(tx, session, met)  # noqa: E731
                self._reactor.at(HOOKS, lambda: self._life.about(session, tell))
            if view.state == State.STARTING and (backend := self._backends.last(view.backend)) is not None:
                self._reactor.at(backend.ready_timeout, lambda: self._not_ready(session, pane.pid, backend))
        elif pane is not None and alive:
            self._tmux.kill(pane.id)  # it was to be stopped
        elif view.pid and self._directories.living(session) == view.pid:
            self._stray(view)
        elif view.pid:
            self._ended(session, view.pid)
        self._look(session)

    def _sweep(self) -> None:
        """End the windows of killed sessions; others that this store does not know belong to the same namespace with
        another HOME.
        """
        strange = [pane for pane in self._panes() if pane.window not in self._registry.views]
        if strange:
            killed = self._store.call(session_rows.killed)
            for pane in strange:
                if pane.window in killed:
                    self._tmux.kill(pane.id)

    def others(self) -> bool:
        """Return whether agents run in tmux that are not of this store."""
        return any(not pane.dead and pane.window not in self._registry.views for pane in self._panes())

    def _look(self, session: str) -> None:
        """Make up the difference between what the row wants and what is done."""
        view = self._registry.views.get(session)
        if view is not None:
            self._guarded(session, lambda: self._reconcile(view, self._runs.setdefault(session, Run())))

    def _reconcile(self, view: View, run: Run) -> None:
        session = view.id
        if view.pid == run.over != 0:
            return  # that it ended is on its way to the row
        if view.pid:
            run.launching = False
            if run.process is None or run.process.pid != view.pid:
                self._watch(session, view.pid)
            if (not view.live or view.wanted != Wanted.RUN) and run.ending != view.pid:
                run.ending = view.pid
                self._end(view)
        elif view.state == State.STARTING and view.wanted == Wanted.RUN:
            if not run.launching and run.start is None:
                run.start = self._reactor.at(pause(view), lambda: self._start(session))
        elif view.live and view.wanted == Wanted.STOP:
            self._life.about(session, lambda tx: self._life.stop(tx, session))

    def _start(self, session: str) -> None:
        view, run = self._registry.views.get(session), self._runs.setdefault(session, Run())
        run.start = None
        if view is None or view.state != State.STARTING or view.pid or run.launching:
            return
        run.launching = True
        try:
            self._launch_one(view)
            run.no_room = False
        except Full as error:
            run.launching = False
            self._when_there_is_room(session, run, error)
        except Exception as error:
            run.launching = False
            if not isinstance(error, AnvilError):
                self._on_error(error)
            why = sentence(error)
            self._life.about(session, lambda tx: self._life.failed(tx, session, why))

    def _when_there_is_room(self, session: str, run: Run, error: Full) -> None:
        """Wait until the disk, which is full, has room: that is not the session's fault, so it stays ``starting``."""
        run.start = self._reactor.at(NO_ROOM, lambda: self._start(session))
        if not run.no_room:
            run.no_room = True
            self._on_error(error)  # the event may wait for space itself
            self._life.error(session, f"{error}; tried again until there is space")

    def _launch_one(self, view: View) -> None:
        session, backend = view.id, self._backends.get(view.backend)
        if backend.conversation == "uuid" and not self._directories.can_resume(view):
            number = str(uuid.uuid4())
            had = view.conversation and view.transcript and view.turns > view.since
            begin = self._life.lost if had else self._life.conversation
            self._store.call(lambda tx: begin(tx, session, number), need=Need.OWN)
            view = self._registry.get(session)
        elif view.conversation and self._evidence.shortened(view):
            self._store.call(lambda tx: self._life.shortened(tx, session), need=Need.OWN)
        start = self._launch.prepare(view)
        self._tmux.ensure()
        began = time.monotonic()
        found = next((one for one in self._panes() if one.window == session), None)
        left = self._directories.living(session)
        if left and (found is None or found.pid != left):
            self._kill_first(session, left)
            return
        pane = found.id if found is not None else None
        if pane is None:
            made = self._tmux.new_window(session, start.argv, cwd=start.cwd, env={})
            pane, pid = made.id, made.pid
        else:
            pid = self._tmux.respawn(pane, start.argv, cwd=start.cwd, env={})
        self._directories.started(session, pid)
        self._launched(session, pane, pid, start, began)
        self._watch(session, pid)
        self._reactor.at(backend.ready_timeout, lambda: self._not_ready(session, pid, backend))

    def _kill_first(self, session: str, left: int) -> None:
        """Kill an agent of the session that runs where it cannot be reached: otherwise two would work in one directory."""
        run = self._runs.setdefault(session, Run())

        def gone() -> None:
            run.launching = False
            self._start(session)

        self._reactor.process(left, gone).signal(signal.SIGKILL)

    def _launched(self, session: str, pane: str, pid: int, start: Start, began: float) -> None:
        def done(_: object, error: BaseException | None) -> None:
            if error is not None and not isinstance(error, Full):
                self._reactor.do(lambda: self._unwanted(session, pane, error))

        self._store.post(
            lambda tx: self._life.launched(tx, session, pane, pid, start.tier, start.policy, began), done, Need.HAPPENED
        )

    def _unwanted(self, session: str, pane: str, error: BaseException) -> None:
        """Discard an agent whose session was killed while it was being started, or whose row cannot be written."""
        if not isinstance(error, NotFound):
            self._life.broken(session, error)
        self._remove(session, pane)

    def _not_ready(self, session: str, pid: int, backend: Backend) -> None:
        """Handle the end of the time to become ready. It goes on waiting for the user if its screen says for what;
        without hooks it never would be ready.
        """
        view, run = self._registry.views.get(session), self._runs.get(session)
        if view is None or run is None or view.pid != pid or view.state != State.STARTING:
            return
        if By.SETUP in view.gate.holders and run.setups < SETUP:
            run.setups += 1
            self._reactor.at(backend.ready_timeout, lambda: self._not_ready(session, pid, backend))
            return
        shown, late = view.gate.holders.get(By.START), f"the agent was not ready within {backend.ready_timeout:g} s"
        if shown is None:
            run.why = late
            self._signal(run, pid, signal.SIGKILL)
        elif shown.why == unheard(backend):
            self._life.about(session, lambda tx: self._life.failed(tx, session, shown.why))
        else:
            self._life.error(session, f"{late}: {shown.why}")

    # -- the end ----------------------------------------------------------------------------------------------------------

    def _watch(self, session: str, pid: int) -> None:
        run = self._runs.setdefault(session, Run())
        if run.process is not None:
            run.process.forget()
        run.process = self._reactor.process(pid, lambda: self._ended(session, pid))

    def _ended(self, session: str, pid: int) -> None:
        run = self._runs.setdefault(session, Run())
        run.process, run.over, run.launching = None, pid, False
        self._deaths.look(session, pid, lambda status, words: self._told(session, pid, status, words))

    def _told(self, session: str, pid: int, status: int | None, words: str) -> None:
        self._reactor.do(lambda: self._died(session, pid, status, words))  # this may be the thread that reads from tmux

    def _died(self, session: str, pid: int, status: int | None, words: str) -> None:
        view, run = self._registry.views.get(session), self._runs.setdefault(session, Run())
        words, run.why = run.why or words, ""
        self._listener.catch_up(session)
        seen = self._evidence.seen(session, alive=False) if view is not None and view.on_its_way else NOTHING
        written = view is None or view.state != State.STARTING or self._evidence.written(session)
        self._life.about(session, lambda tx: self._life.died(tx, session, pid, status, words, seen, written))

    def _stray(self, view: View) -> None:
        """End an agent that lives without a terminal; what is wanted of the session decides what follows."""
        self._watch(view.id, view.pid)
        self._life.error(view.id, f"the terminal of session '{view.id}' is gone: its agent is ended")
        self._runs[view.id].ending = view.pid
        self._end(view)

    def _end(self, view: View) -> None:
        """End it by its own keys, then SIGTERM, then SIGKILL."""
        run, pid, stop = self._runs[view.id], view.pid, self.gentle(view.backend)
        if stop.keys and self._keys(view.id, stop.keys):
            self._reactor.at(stop.grace, lambda: self._signal(run, pid, signal.SIGTERM))
        else:
            self._signal(run, pid, signal.SIGTERM)
        self._reactor.at(2 * stop.grace, lambda: self._signal(run, pid, signal.SIGKILL))

    @staticmethod
    def _signal(run: Run, pid: int, number: signal.Signals) -> None:
        if run.process is not None and run.process.pid == pid:
            run.process.signal(number)

    def _keys(self, session: str, names: tuple[str, ...]) -> bool:
        """Press them; whether its terminal is still there and takes them. A new tmux may have given the pane's number to another."""
        view = self._registry.views.get(session)
        ours = view and next((pane for pane in self._panes() if (pane.window, pane.pid) == (session, view.pid)), None)
        if not ours:
            return False
        try:
            self._tmux.keys(ours.id, *names)
        except AnvilError:  # a signal follows, which needs no terminal
            return False
        return True

    def _remove(self, session: str, pane: str | None) -> None:
        """End what is left of a killed session immediately."""
        run = self._runs.pop(session, None)
        if run is not None:
            if run.start is not None:
                run.start.cancel()
            if run.process is not None:
                run.process.signal(signal.SIGKILL)
                run.process.forget()
        if pane:
            try:
                self._tmux.kill(pane)
            except AnvilError as error:
                self._on_error(error)

    def _panes(self) -> list[PaneInfo]:
        try:
            return self._tmux.panes()
        except AnvilError:
            return []

    def _guarded(self, session: str, command: Callable[[], None]) -> None:
        """Keep what goes wrong with one session to that session."""
        try:
            command()
        except Exception as error:
            self._life.broken(session, error)


def acts(view: View) -> tuple[object, ...]:
    """Return what of a view this follower acts on."""
    return view.state, view.wanted, view.pid, view.crashes


def pause(view: View) -> float:
    """Return how many seconds to wait before the next start."""
    return PAUSES[min(view.crashes, len(PAUSES)) - 1] if view.crashes else 0.0
