"""The composition: builds every part of a daemon, hands each what it needs, and performs what jobs want done; importing does nothing.

Start order matters (:meth:`App.start`): the sockets of the sessions listen before their spools are read, so that no report falls
between; agents are adopted after that, so that a turn which ended meanwhile is known to have ended; the tree is served last.

Threads: owns the store's, the reactor of the agents, and those of the 9P server, tmux, the beads and the followers, and joins them all
in ``stop``.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, assert_never

from anvilsrv import paths
from anvilsrv.agents.activity import Activities
from anvilsrv.agents.aside import Asides
from anvilsrv.agents.attachments import Attachments
from anvilsrv.agents.banners import Banners
from anvilsrv.agents.branches import Branches
from anvilsrv.agents.checkpoints import Checkpoints
from anvilsrv.agents.claims import Claims
from anvilsrv.agents.commits import Commits
from anvilsrv.agents.dialogs import Dialogs
from anvilsrv.agents.directories import Directories
from anvilsrv.agents.door import Door
from anvilsrv.agents.evidence import Evidence
from anvilsrv.agents.follower import Follower
from anvilsrv.agents.forks import Forks
from anvilsrv.agents.gate import Gate
from anvilsrv.agents.general import kept_activity
from anvilsrv.agents.keys import Keys
from anvilsrv.agents.landing import Landing
from anvilsrv.agents.launch import Launch
from anvilsrv.agents.limits import SessionLimits
from anvilsrv.agents.logins import Logins
from anvilsrv.agents.obstacles import Obstacles
from anvilsrv.agents.plans import Plans
from anvilsrv.agents.processes import Processes
from anvilsrv.agents.roles import offered
from anvilsrv.agents.setup import Setups
from anvilsrv.agents.sockets import Sockets
from anvilsrv.agents.spawn import Spawn
from anvilsrv.agents.spool import Kept, Spools
from anvilsrv.agents.titles import Titles
from anvilsrv.agents.transcript import Transcripts, Watcher
from anvilsrv.agents.typist import Typist
from anvilsrv.agents.work import Work
from anvilsrv.allowance import BOUNDS, Allowance
from anvilsrv.backends.registry import Backends, default_dirs
from anvilsrv.beads.beads import Beads
from anvilsrv.clock import Clock
from anvilsrv.desk.answer import Questions
from anvilsrv.desk.life import Life
from anvilsrv.desk.messages import Messages
from anvilsrv.desk.post import Post
from anvilsrv.desk.report import Reports
from anvilsrv.desk.send import Send
from anvilsrv.desk.updates import Updates
from anvilsrv.errors import AnvilError, Full
from anvilsrv.linux.reactor import Reactor
from anvilsrv.mail.box import Snapshots
from anvilsrv.p9.server import Server
from anvilsrv.sessions.registry import Registry, Touched
from anvilsrv.sessions.state import Session
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.effects import Asked, Clear, Effect, Given, Interrupt, Later, Note, Publish, Said, Unasked, Wake
from anvilsrv.store.events import EVERYBODY, Stream
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.store.topics import STATES, Topics
from anvilsrv.tmux.tmux import Tmux
from anvilsrv.tree.access import Who
from anvilsrv.tree.served import Served
from anvilsrv.tree.table import Tree

log = logging.getLogger("anvilsrv")

JOBS = 1000  # of one session that may wait while more is read of it


class App:
    """One daemon."""

    def __init__(
        self, namespace: str, state: Path, trace: Callable[[str], None] | None = None, umask: int = 0o022
    ) -> None:
        self.namespace, clock = namespace, Clock()
        self.stream, self.topics, self.boxes = Stream(), Topics(), Snapshots()
        self.backends, config = Backends(*default_dirs()), (paths.config_dir(), paths.share() / "cfg")
        self.roles, self.tasks = offered(*config)
        self.registry = Registry(
            self.stream, self.topics, self.backends.known, kept_activity(config, self.on_error), self.backends.doing
        )
        self.store = Store(state / "store.db", self._settled, self.on_error, clock)
        self.turns, self.reactor = Turns(self.registry), Reactor("agents", self.on_error)
        self.updates = Updates(self.reactor, self.store, self.registry, self.boxes)
        self.post = Post(self.registry, self.turns, self._prompted, self._refusal)
        self.questions = Questions(self.store, self.registry)
        self.life = Life(self.store, self.registry, self.turns, self.post, self.questions, self.backends)
        self.kept, self.send = Kept(state), Send(self.registry, self.turns, self.post)
        self.server = Server(on_error=self.on_error, trace=trace)
        self.beads = Beads(paths.beads_dir(), self._bead_changed, self.on_error)
        self.tmux = Tmux(Path(namespace) / paths.TMUX, self.on_error)
        self.evidence = Evidence(self.store, self.registry, self.tmux, self.backends, self.kept)
        self.messages = Messages(self.store, self.registry, self.turns, self.post, self.life.about)
        self.door = Door(state, self.store, self.registry, self.on_error)
        self.directories, self.plans, self.landing = self._made_places(state, namespace)
        self.launch = Launch(self.backends, self.directories, self.plans, self.landing, umask, self.door)
        self.attachments = Attachments(self.directories.of)
        self.activities = Activities(self.store, self.registry, self.backends, self.directories.data, self.on_error)
        self.checkpoints, self.work, self.claims, self.branches, self.commits = self._made_git(state, umask)
        self.reports = self._made_reports()
        self.sockets = self._made_sockets()
        self.processes = self._made_processes()
        self.titles = self._made_titles()
        self.spawn = Spawn(
            self.store, self.registry, self.life, self.backends, self.plans, self.sockets, self.branches, self.claims
        )  # fmt: skip
        self.forks = Forks(
            self.registry, self.backends, self.directories, self.plans, self.landing, self.spawn, self.branches
        )
        self.limits = SessionLimits(self.reactor, self.store, self.registry, self.life, self.directories, self.plans)
        self.keys = Keys(self.registry, self.tmux)
        self.followers = self._made_followers(clock)
        self.following: tuple[Follower, ...] = ()  # those that know all sessions; the store's thread
        self.tree = Tree(Served(self))
        self.stopped = threading.Event()
        self._allowances: dict[str, Allowance] = {}  # by family

    def _made_places(self, state: Path, namespace: str) -> tuple[Directories, Plans, Landing]:
        directories = Directories(state)
        plans = Plans(self.backends, directories, namespace)
        return directories, plans, Landing(directories, plans.written)

    def _made_sockets(self) -> Sockets:
        return Sockets(
            self.reactor, self.registry, self.life, self.directories, self.plans, self._listen, self.server.unlisten,
            self.commits.forget,
        )  # fmt: skip

    def _made_processes(self) -> Processes:
        return Processes(
            self.reactor, self.store, self.registry, self.life, self.tmux, self.backends, self.directories, self.launch,
            self.evidence, self.on_error, self.activities,
        )  # fmt: skip

    def _made_titles(self) -> Titles:
        return Titles(
            self.reactor, self.store, self.registry, self.turns, self.post, self.life, self.tmux, self.backends, self.evidence
        )  # fmt: skip

    def _made_git(self, state: Path, umask: int) -> tuple[Checkpoints, Work, Claims, Branches, Commits]:
        made = Checkpoints(self.store, self.registry, self.directories, self.landing, self.on_error)
        claims = Claims(self.store, self.registry, self.beads, self.on_error)
        asides = Asides(self.directories, self.plans, umask)
        branches = Branches(state, self.store, self.registry, self.life, asides, self.landing, made, claims)
        commits = Commits(self.store, self.registry, self.directories, self.landing, self.on_error)
        return made, Work(self.store, self.registry, made), claims, branches, commits

    def _made_reports(self) -> Reports:
        return Reports(
            self.store, self.registry, self.turns, self.post, self.questions, self.life, self.backends, self.kept,
            self.evidence, self.messages, self.on_error, self.activities, self.checkpoints.before,
        )  # fmt: skip

    def _made_followers(self, clock: Clock) -> tuple[Follower, ...]:
        """Return them in the order in which they follow."""
        return (
            self.sockets,
            self.activities,
            self.processes,
            self.door,
            self.limits,
            Gate(self.reactor, self.registry, self.life, clock),
            Spools(self.directories.of, self.reports.spooled, self.on_error),
            Logins(self.directories.of, self.backends, self.launch.vault, self.on_error),
            Transcripts(
                Watcher(self.reports.lines.come, self.on_error, self.reports.lines.beside, self.registry.family),
                self.backends,
                self.directories.data,
                self.on_error,
            ),
            Dialogs(self.turns, self.post, self.life, self.tmux, self.backends, self.on_error),
            self.titles,
            Banners(self.reactor, self.registry, self.tmux, self.on_error),
            self.commits,
            self.checkpoints,
            self.claims,
            Setups(self.reactor, self.store, self.registry, self.directories.data, self.on_error),
            self.messages,
            self.attachments,
            Obstacles(self.registry, self.life, self.tmux, self.backends, self.evidence, self.on_error),
            Typist(
                self.store,
                self.registry,
                self.turns,
                self.post,
                self.tmux,
                self.backends,
                self.evidence,
                self.on_error,
                self.checkpoints.before,
            ),
        )

    def on_error(self, error: BaseException) -> None:
        """Log an error that has no caller."""
        if isinstance(error, AnvilError):
            log.warning("%s", error)
        else:
            log.error("internal error", exc_info=error)

    def _refusal(self, session: Session, text: str) -> str:
        backend = self.backends.last(session.backend)
        return "" if backend is None else backend.refusal(text, session.context.decode("utf-8", "replace"))

    def _prompted(self, backend: str) -> bool:
        found = self.backends.last(backend)
        return (
            found is not None and found.mail == "prompt"
        )  # of one that cannot be read, nothing that a shell would run

    def _bead_changed(self, change: dict[str, Any]) -> None:
        fields = {key: value for key, value in change.items() if key != "type"}
        self.store.post(
            lambda tx: self.stream.emit(tx, "bead", None, concerns=(EVERYBODY,), **fields), need=Need.HAPPENED
        )

    def _listen(self, path: str, session: str, spawn: bool, control: bool) -> None:
        family = self.registry.family(session)
        allowance = self._allowances.setdefault(family, Allowance())
        who = Who(session, spawn, control, family, allowance)
        self.server.listen(
            path, self.tree, who, limit=BOUNDS["connections"].most, allowance=allowance,
            full=lambda: self.store.waiting(family) > JOBS,
        )  # fmt: skip

    # -- what a commit brings (store's thread) ---------------------------------------------------------------------------

    def _settled(self, tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        """Handle a batch of jobs that is on disk: views first, then the followers, then the effects."""
        self._show(tx, touched)
        for effect in effects:
            self._guard(partial(self._perform, effect))

    def _show(self, tx: Tx, touched: set[str]) -> None:
        self.boxes.refresh(tx, touched)
        for one in self.registry.refresh(tx, {name for name in touched if " " not in name}):
            self._follow(one, self.following)
        self.updates.settled(touched)

    def _follow(self, one: Touched, followers: tuple[Follower, ...]) -> None:
        """Let each follow a change. The end goes the other way round than the beginning: a process ends before its
        directory goes.
        """
        for follower in followers if one.after is not None else reversed(followers):
            self._guard(partial(follower.follow, one.before, one.after))
        if one.after is None and one.before is not None:
            self._allowances.pop(one.before.id, None)
            self.registry.activity.live.drop(one.before.id)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Publish(event):
                self.stream.publish(event)
            case Said():
                self.registry.activity.said(effect)
            case Later(session, delay):
                self.reactor.at(delay, partial(self._tell_doing, session))
            case Wake(topic):
                self.topics.wake(topic)
            case Note(level, text):
                log.log(level, "%s", text)
            case Asked():
                self.questions.asked(effect)
            case Unasked():
                self.questions.unasked(effect)
            case Given():
                self.messages.given(effect)
            case Interrupt(session):
                self.titles.interrupt(session)
            case Clear(session):
                self.titles.clear(session)
            case _:
                assert_never(effect)

    def _tell_doing(self, session: str) -> None:
        self.store.post(lambda tx: self.registry.doing.catch_up(tx, session), need=Need.HAPPENED, durable=False)

    def _guard(self, call: Callable[[], object]) -> None:
        try:
            call()
        except MemoryError:
            raise
        except Exception as error:
            self.on_error(error)

    def _adopt(self, followers: tuple[Follower, ...]) -> None:
        """Let these follow every session, from now on."""
        for view in self.registry.views.values():
            self._follow(Touched(None, view), followers)
        self.following = (*self.following, *followers)

    # -- life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring everything up and adopt what a daemon before us left. Raises AnvilError."""
        self.tmux.tidy()
        self.store.start()
        self.store.call(self._load, need=Need.OWN)
        self.attachments.load(self.registry.views)
        with suppress(Full):  # then that is done later, before anything else
            self.store.call(self.tree.recover, need=Need.HAPPENED)
        for name in {view.backend for view in self.registry.views.values()}:
            self._guard(partial(self.backends.get, name))
        self._guard(self.plans.remember)
        self.tmux.on_title(self.titles.changed)
        self.reactor.start()
        self.server.start()
        self.store.call(lambda tx: self._adopt(self.followers[:2]))
        self.sockets.settled()
        for session in list(self.registry.views):
            self._guard(partial(self.reports.spooled, session))
        self.store.call(lambda tx: self._adopt(self.followers[2:]))
        self.processes.sweep()
        for error in self.branches.sweep():
            self.on_error(error)
        self.claims.sweep()
        self.forks.sweep()
        self.reactor.do(self.commits.sweep)
        self.server.listen(f"{self.namespace}/{paths.SERVICE}", self.tree, Who())

    def _load(self, tx: Tx) -> None:
        self.stream.load(tx)
        self.boxes.load(tx)
        self.registry.load(tx)
        self.updates.load()

    def stop(self, agents: bool) -> None:
        """Shut down; with ``agents`` they are ended gently first and come back as ``stopped``."""
        if agents:
            self._end_agents()
        self.server.stop()
        for follower in reversed(self.followers):
            follower.close()
        self.reactor.close()
        self.reports.close()
        self.beads.close()
        self.store.stop()
        last = agents and not self.processes.others()
        self.tmux.close()
        if last:
            self._guard(self.tmux.kill_server)

    def _end_agents(self) -> None:
        live = [view for view in self.registry.views.values() if view.live]
        longest = max((self.processes.gentle(view.backend).grace for view in live), default=0.0)
        for view in live:
            self.store.post(partial(self.life.stop, session=view.id), need=Need.OWN)
        done = threading.Event()
        deadline = time.monotonic() + 2 * longest + 3

        def look() -> None:
            if any(view.live for view in self.registry.views.values()):
                self.topics.wait(STATES, look, look)
            else:
                done.set()

        self.store.post(lambda tx: look())
        if not done.wait(max(0.0, deadline - time.monotonic())):
            log.warning("some agents did not end in time")
