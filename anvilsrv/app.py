"""The composition: builds every part of a daemon and wires them; importing does nothing.

Its files see it as a :class:`Calls`. Start order matters and is in
:meth:`App.start`: the sockets of the sessions listen before the spools are read (so that no report falls between), and agents are
adopted after that (so that a turn which ended meanwhile is known to have ended).

Threads: owns the store's, the supervisor's, the 9P server's and the typist's threads, and joins them all in ``stop``.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from anvilsrv import paths
from anvilsrv.agents.dialogs import Screens
from anvilsrv.agents.launch import Launch, spooled
from anvilsrv.agents.processes import Supervisor
from anvilsrv.agents.titles import Titles
from anvilsrv.agents.transcript import Watcher, lines
from anvilsrv.agents.typist import Typist
from anvilsrv.backends.registry import Backends, default_dirs
from anvilsrv.beads.beads import Beads
from anvilsrv.desk.post import Post
from anvilsrv.desk.report import Reports, Waiting
from anvilsrv.errors import AnvilError, Conflict, Denied
from anvilsrv.mail import message as mailbox
from anvilsrv.p9.server import Server
from anvilsrv.sessions import drafts
from anvilsrv.sessions import state as s
from anvilsrv.sessions.prompts import clean, conversation_page
from anvilsrv.sessions.registry import Sessions, check_cwd, parse_new
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.events import EVERYBODY, Stream
from anvilsrv.store.store import Outcome, Store, Tx
from anvilsrv.tmux.server import Tmux
from anvilsrv.tree.access import Who
from anvilsrv.tree.domain import Unfinished
from anvilsrv.tree.files import unknown
from anvilsrv.tree.table import Tree
from anvilsrv.words import USER

log = logging.getLogger("anvilsrv")

SESSION_COMMANDS = "stop, restart, kill, interrupt, complete <message-id>"


class App:
    """One daemon: its parts, and what its files do."""

    def __init__(
        self, namespace: str, state: Path, trace: Callable[[str], None] | None = None, umask: int = 0o022
    ) -> None:
        self.namespace = namespace
        self.state = state
        self.store = Store(state / "store.db", self.on_error)
        self.stream = Stream()
        self.sessions = Sessions(self.store, self.stream)
        self.tmux = Tmux(Path(namespace) / "anvillm.tmux")
        self.backends = Backends(*default_dirs())
        self.launch = Launch(self.backends, state, namespace, umask)
        self.typist = Typist(self.sessions, self.tmux, self.backends.get, self.on_error)
        self.post = Post(self.sessions, self._wants)
        self.turns = Turns(self.sessions, self.typist, self.post.finished)
        self.post.enqueue = self.turns.queue
        self.post.withdraw = self.turns.withdraw
        self.typist.undelivered = self.turns.undelivered
        self.typist.release = self.turns.release
        self.reports = Reports(self.sessions, self.turns, self.backends.get)
        self.supervisor = Supervisor(
            self.sessions, self.turns, self.tmux, self.backends.get, self.launch, self.on_error
        )
        self.supervisor.buried = self.post.bury
        self.supervisor.ask_gone = self.reports.drop
        self.supervisor.cleared = self._cleared
        self.screens = Screens(self.sessions, self.turns, self.tmux, self.backends.get, self.on_error)
        self.supervisor.started = self.screens.started
        self.reports.at = self.supervisor.at
        self.titles = Titles(self.sessions, self.turns, self.tmux, self.backends.get, self.supervisor.at)
        self.tmux.on_title(self.titles.changed)
        self.supervisor.interrupted = self._interrupted
        self.transcripts = Watcher(self._transcript, self.on_error)
        self.reports.watch = self._watch_transcript
        self.reports.lines = self._transcript_lines
        self.reports.spooled = lambda session: spooled(self.launch.directory(session) / "ns" / "spool")
        self.server = Server(on_error=self.on_error, trace=trace)
        self.beads = Beads(paths.beads_dir(), self._bead_changed, self.on_error)
        self.tree = Tree(Calls(self))
        self.stopped = threading.Event()

    def on_error(self, error: BaseException) -> None:
        """What nobody else can be told."""
        if isinstance(error, AnvilError):
            log.warning("%s", error)
        else:
            log.error("internal error", exc_info=error)

    def _bead_changed(self, change: dict[str, Any]) -> None:
        fields = {key: value for key, value in change.items() if key != "type"}
        self.store.post(lambda tx: self.stream.emit(tx, "bead", None, concerns=(EVERYBODY,), **fields))

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring everything up and adopt what a daemon before us left. Raises AnvilError."""
        self.store.start()
        self.store.call(self._load)
        self.server.start()
        for view in self.sessions.views.values():
            self._open_door(view.id)
        for session in list(self.sessions.views):
            self._read_spool(session)
        for session in self.sessions.views:
            self._watch_transcript(session)
        self.server.listen(f"{self.namespace}/{paths.SERVICE}", self.tree, Who())
        self.supervisor.start()
        self.supervisor.do(self.supervisor.adopt)

    def _load(self, tx: Tx) -> None:
        self.stream.load(tx)
        self.sessions.load(tx)
        for row in tx.all("SELECT id, held_until FROM sessions WHERE held_until IS NOT NULL"):
            self.reports.hold(tx, row["id"], row["held_until"])
        self.tree.recover(tx)

    def _open_door(self, session: str) -> None:
        """Make the session's own socket, with its identity."""
        view = self.sessions.get(session)
        try:
            plan = self.launch.plan(view.backend, view.role, view.tasks, view.cwd, session)
            spawn, control = plan.policy.agents.spawn, plan.policy.agents.control
        except AnvilError as error:
            log.warning("session %s: %s", session, error)
            spawn = control = False
        socket = self.launch.make_directories(session)
        self.server.listen(str(socket), self.tree, Who(session, spawn, control), limit=64)

    def _read_spool(self, session: str) -> None:
        for path, report in spooled(self.launch.directory(session) / "ns" / "spool"):
            try:
                self.store.call(lambda tx, report=report: self.reports.take(tx, session, report, None))  # type: ignore[misc]
            except AnvilError as error:
                log.warning("session %s: spooled report: %s", session, error)
            path.unlink(missing_ok=True)

    def stop(self, agents: bool) -> None:
        """Shut down; with ``agents`` they are ended gently first and come back as ``stopped``."""
        if agents:
            self._end_agents()
        self.server.stop()
        self.typist.close()
        self.screens.close()
        self.supervisor.close()
        self.transcripts.close()
        self.beads.close()
        self.store.stop()
        self.tmux.close()
        if agents:
            self._end_tmux()

    def _end_agents(self) -> None:
        live = [v for v in self.sessions.views.values() if v.state in s.LIVE]
        longest = max((self.supervisor.gentle(v.backend).grace for v in live), default=0.0)
        for view in live:
            self.store.post(lambda tx, one=view.id: self.supervisor.want_stop(tx, one))  # type: ignore[misc]
        done = threading.Event()
        deadline = time.monotonic() + 2 * longest + 3

        def look() -> None:
            if any(v.state in s.LIVE for v in self.sessions.views.values()):
                self.sessions.wait("states", look, look)
            else:
                done.set()

        self.store.post(lambda tx: look())
        if not done.wait(max(0.0, deadline - time.monotonic())):
            log.warning("some agents did not end in time")

    def _end_tmux(self) -> None:
        try:
            self.tmux.kill_server()
        except AnvilError as error:
            log.warning("%s", error)

    def _interrupted(self, session: str, recalled: bool) -> None:
        if recalled:
            self.titles.recalled(session)
        else:
            self.titles.look(session, clear=True)

    def _watch_transcript(self, session: str) -> None:
        view = self.sessions.find(session)
        if view is None or not view.transcript:
            return
        try:
            self.transcripts.watch(session, self.launch.directory(session) / "data", view.transcript)
        except AnvilError as error:
            log.warning("session %s: transcript: %s", session, error)

    def _transcript_lines(self, session: str) -> Iterator[dict[str, Any]]:
        view = self.sessions.get(session)
        return lines(self.launch.directory(session) / "data", view.transcript) if view.transcript else iter(())

    def _transcript(self, session: str, lines: list[dict[str, Any]], old: bool) -> None:
        self.store.post(lambda tx: self.reports.transcript(tx, session, lines, old))

    def _cleared(self, view: Any) -> None:
        self.transcripts.forget(view.id)
        self.server.unlisten(str(self.launch.directory(view.id) / "ns" / paths.SERVICE))
        self.launch.forget(view.id)

    # -- files of the root -------------------------------------------------------------------------------------------

    def root_ctl(self, who: Who, words: list[str]) -> str | None:
        """``new``; returns the new session's id."""
        if words[:1] != ["new"]:
            raise unknown(words, "new <backend> <cwd> [role=R] [tasks=a,b] [alias=N]")
        asked = parse_new(words[1:])
        backend = self.backends.get(asked["backend"])
        why = backend.available()
        if why != "ok":
            raise Conflict(f"backend '{backend.name}' cannot run here: {why}")
        cwd = check_cwd(asked["cwd"])
        plan = self.launch.plan(backend.name, asked["role"], asked["tasks"], cwd)
        if who.session is not None:
            self.launch.within(plan, self.sessions.get(who.session))

        def create(tx: Tx) -> str:
            made = self.sessions.create(
                tx, backend=backend.name, cwd=cwd, role=asked["role"], tasks=asked["tasks"], alias=asked["alias"],
                parent=who.session, tier=plan.tier, policy=plan.text,
            )  # fmt: skip
            if plan.gaps:
                self.sessions.error(tx, made, f"sandbox: {'; '.join(plan.gaps)}")
            return made

        made = self.store.call(create)
        for gap in plan.gaps:
            log.warning("session %s: sandbox: %s", made, gap)
        self._open_door(made)
        self.supervisor.launch(made)
        return made

    def backends_listing(self) -> bytes:
        """The content of ``backends``."""
        return "".join("\t".join(row) + "\n" for row in self.backends.listing()).encode()

    def report(self, session: str | None, why: str) -> None:
        """An error that no write can be answered with any more."""
        self.store.post(lambda tx: self.sessions.error(tx, session, why))

    def user_ctl(self, words: list[str]) -> str | None:
        """``user/ctl``."""
        if len(words) != 2 or words[0] != "complete":
            raise unknown(words, "complete <message-id>")
        self.store.call(lambda tx: self.post.complete(tx, USER, words[1]))
        return None

    # -- files of a session --------------------------------------------------------------------------------------------

    def session_ctl(self, who: Who, session: str, words: list[str]) -> str | None:
        """``<id>/ctl``. The session itself may only complete its mail."""
        jobs = {
            "stop": self.supervisor.want_stop, "restart": self.supervisor.want_restart,
            "kill": self.supervisor.want_kill, "interrupt": self.supervisor.want_interrupt,
        }  # fmt: skip
        if words[:1] == ["complete"] and len(words) == 2:
            self.store.call(lambda tx: self.post.complete(tx, session, words[1]))
        elif len(words) != 1 or words[0] not in jobs:
            raise unknown(words, SESSION_COMMANDS)
        elif who.session == session:
            raise Denied(f"permission denied: {words[0]} is not for the session itself")
        else:
            self.store.call(lambda tx: jobs[words[0]](tx, session))
        return None

    def check_prompt(self, tx: Tx, session: str) -> None:
        """Refuse a prompt that cannot be taken, on its first write."""
        row = self.sessions.row(tx, session)
        if row["state"] not in s.LIVE:
            raise Conflict(f"session '{session}' is {row['state']}" + (f": {row['error']}" if row["error"] else ""))

    def accept(self, tx: Tx, session: str, text: str, origin: str) -> None:
        """A prompt is complete."""
        self.turns.accept(tx, session, clean(text), origin)

    def write_state(self, tx: Tx, session: str, word: str) -> None:
        """``state`` was written."""
        row = self.sessions.row(tx, session)
        self.turns.write_state(tx, session, word, self.backends.get(row["backend"]).reports("stop"))

    def last_prompt(self, tx: Tx, session: str) -> int:
        """The last prompt accepted that is not answered yet, else the one that ended last; 0 if there was none.

        What a person types into the pane counts only when nothing that was written to a file is waiting.
        """
        self.sessions.row(tx, session)
        row = tx.one(
            "SELECT id FROM prompts WHERE session = ? AND status IN ('queued', 'typing', 'running')"
            " ORDER BY origin != 'typed' DESC, id DESC LIMIT 1",
            session,
        ) or tx.one(
            "SELECT id FROM prompts WHERE session = ? AND ended IS NOT NULL AND status != 'withdrawn'"
            " ORDER BY ended DESC, id DESC LIMIT 1",
            session,
        )
        return int(row["id"]) if row else 0

    def response(self, tx: Tx, prompt: int) -> bytes | None:
        """The response to a prompt; None while it may still come. Raises Conflict when it cannot."""
        row = tx.one(
            "SELECT p.status, p.response, p.error, s.state, s.error AS why"
            " FROM prompts p JOIN sessions s ON s.id = p.session WHERE p.id = ?",
            prompt,
        )
        if row is None:
            raise Conflict("no response: the session was killed")
        if row["status"] in ("failed", "withdrawn"):
            raise Conflict(f"no response: {row['error'] or 'withdrawn'}")
        if row["status"] == "queued" and row["state"] not in s.LIVE:
            raise Conflict(f"no response now: the session is {row['state']}{': ' if row['why'] else ''}{row['why']}")
        return bytes(row["response"]) if row["status"] == "done" else None

    def conversation(self, tx: Tx, session: str, cursor: int) -> tuple[bytes, int]:
        """The next blocks of ``<id>/log``."""
        self.sessions.row(tx, session)
        return conversation_page(tx, session, cursor)

    def attach(self, view: Any) -> str:
        """The content of ``tmux``."""
        return str(self.tmux.attach_command(view.id)) if view.pane else ""

    def _wants(self, row: Any, kind: str, sender: str) -> str:
        """How mail of that kind is put before the agent (see :class:`Post`)."""
        if self.backends.get(row["backend"]).mail == "prompt":
            return "mail"
        trusted = sender == USER or self.sessions.descends(row["id"], sender)
        return "body" if kind == "PROMPT_REQUEST" and trusted else "comment"


def mail_types() -> str:
    """The message types, for help texts."""
    return " ".join(mailbox.TYPES)


PAGE = 200  # messages of ``log`` fetched at a time


class Calls:
    """What the files of the tree do, over the parts of an App: see :class:`anvilsrv.tree.domain.Domain`."""

    def __init__(self, app: App) -> None:
        self.store = app.store
        self.stream = app.stream
        self.topics = app.sessions
        self.beads = app.beads
        self._sessions = app.sessions
        self._reports = app.reports
        self._post = app.post
        self.find, self.get, self.descends = app.sessions.find, app.sessions.get, app.sessions.descends
        self.listing, self.backends_listing, self.attach = app.sessions.listing, app.backends_listing, app.attach
        self.root_ctl, self.user_ctl, self.session_ctl = app.root_ctl, app.user_ctl, app.session_ctl
        self.report, self.error = app.report, app.sessions.error
        self.check_prompt, self.accept, self.check_session = app.check_prompt, app.accept, app.sessions.row
        self.last_prompt, self.response, self.conversation = app.last_prompt, app.response, app.conversation
        self.rename, self.write_state, self.answer = app.sessions.rename, app.write_state, app.reports.answer
        self.add_draft, self.take_draft = drafts.add, drafts.take
        self.box = mailbox.box

    def views(self) -> Mapping[str, s.View]:
        return self._sessions.views

    def changed(self) -> float:
        return self._sessions.changed

    def stamp(self, session: str, name: str) -> float:
        view = self.get(session)
        return view.times.get(name, view.created)

    def summary(self, view: s.View, attach: str) -> Mapping[str, object]:
        return view.summary(attach)

    def inbox(self, session: str) -> bytes:
        return self.get(session).inbox

    def box_length(self, owner: str, box: str) -> int:
        if owner == USER:
            return self._sessions.user_box[box]
        view = self.get(owner)
        return view.archived if box == "archive" else len(view.inbox)

    def set_context(self, tx: Tx, session: str, text: str) -> None:
        self._sessions.set(tx, session, context=text.encode())

    def unfinished(self, tx: Tx) -> list[Unfinished]:
        return [Unfinished(one.id, one.session, one.file, one.whole) for one in drafts.left(tx)]

    def mail_log(self, tx: Tx, shown: Callable[[Iterable[str]], bool], cursor: int) -> tuple[bytes, int]:
        blocks: list[bytes] = []
        while not blocks and (
            rows := tx.all("SELECT * FROM messages WHERE seq > ? ORDER BY seq LIMIT ?", cursor, PAGE)
        ):
            for row in rows:
                owners = row["sender"], row["recipient"]
                if shown(owners):
                    blocks.append(mailbox.as_log(row, *(self._post.label(tx, one) for one in owners)))
            cursor = rows[-1]["seq"]
        return b"".join(blocks), cursor

    def send(self, tx: Tx, sender: str, fields: dict[str, Any]) -> None:
        self._post.send(tx, sender, fields)

    def take_report(self, session: str, report: dict[str, Any], waiting: Waiting, done: Outcome) -> None:
        self.store.post(lambda tx: self._reports.take(tx, session, report, waiting), done)

    def abandoned(self, session: str, waiting: Waiting) -> None:
        self.store.post(lambda tx: self._reports.abandoned(tx, session, waiting))
