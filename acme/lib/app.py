"""Assist as a whole: its windows, what it knows of the daemon, and the threads that bring news.

What it knows is kept on the thread of the desk, which also opens windows for those who ask from elsewhere; a `Follower` waits in
`events`, the `Plumber` in `ports`. They post to the desk, and it to the panes; `roster` is replaced, never changed, so that
everybody may read it. `thaw` waits for a daemon that stopped answering.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from acme.lib import begin, left_over
from acme.lib.acme import Acme
from acme.lib.agent import Agent, Backend, Roster, Session, Sessions
from acme.lib.ask import AskPane
from acme.lib.daemon import Daemon
from acme.lib.desk import TICK, Desk
from acme.lib.diff import Diff
from acme.lib.end import End
from acme.lib.host import Call
from acme.lib.log import Log
from acme.lib.mail import NOBODY, Archive, Compose, Inbox, Message
from acme.lib.main import Main
from acme.lib.new import New
from acme.lib.pane import Pane
from acme.lib.panes import Panes
from acme.lib.plumb import Plumber
from acme.lib.prompt import Context, Prompt
from acme.lib.queue import Queue, Waiting
from acme.lib.reload import Reload
from acme.lib.tasks import Task, Tasks, work
from anvilsrv import paths
from anvilsrv.errors import AnvilError, Conflict, Invalid, Unavailable
from anvilsrv.front.follow import Follower, Row, changes
from anvilsrv.front.program import anvilsrv
from anvilsrv.front.tail import Tail
from anvilsrv.front.terminal import open_terminal
from anvilsrv.front.turns import Turns
from anvilsrv.p9.client import TimedOut
from anvilsrv.words import USER

PANES: dict[str, type[Pane]] = {
    "main": Main,
    "prompt": Prompt,
    "log": Log,
    "ask": AskPane,
    "context": Context,
    "queue": Queue,
    "queued": Waiting,
    "inbox": Inbox,
    "archive": Archive,
    "message": Message,
    "compose": Compose,
    "daemon": Daemon,
    "diff": Diff,
    "new": New,
    "tasks": Tasks,
    "task": Task,
}
_ABOUT_SESSION = ("prompt", "log", "ask", "context", "queue", "compose", "diff")


class App:
    """`home` is the directory Assist was called in, `command` the word that calls it again, `script` its file."""

    def __init__(self, acme: Acme, agent: Agent, *, home: str, command: str, script: str) -> None:
        self.acme = acme
        self.agent = agent
        self.home = home
        self.command = command
        self.script = script
        self.roster = Roster()
        self.online = False
        self.mail = 0
        self.trouble = ""
        self.tick = 0
        self.done = End()
        self._panes = Panes(acme, lambda kind, subject: PANES[kind](self, subject))
        self._desk = Desk(self._runs, self._tock, self._tell)
        self._rows: list[Row] = []
        self._sessions = Sessions()
        self._asked = -TICK  # when the backends were asked for
        self._stopping = threading.Event()
        self._plumber = Plumber(
            str(Path(paths.namespace(), "plumb")),
            lambda word, directory: self._desk.do(lambda: self._clicked(word, directory)),
        )
        self._follower = Follower(self, agent.path)
        self.reload = Reload(acme, lambda: self._panes.stale("log"), self._changed)

    # life

    def start(self) -> None:
        """Start the daemon if none runs, and open nothing yet."""
        try:
            self.agent.read("backends")
        except Unavailable:
            worked, said = anvilsrv("start")
            if not worked:
                self.say(said)
        try:
            self.roster, self.online = self.agent.roster(), True
            self.mail = len(self.agent.box(USER, "inbox"))
        except Unavailable:
            pass
        self._desk.start()
        self.reload.start()
        self._follower.start()
        self._plumber.start()

    def stop(self) -> None:
        """End every thread; windows that are left stay on the screen, and the next Assist takes them over."""
        self._stopping.set()
        self._desk.end()
        self._follower.stop()
        panes = self._panes.made()
        self._plumber.end()
        self.acme.close()
        self.agent.forget()
        self.reload.stop()
        self._desk.join(5)
        self._plumber.join(5)
        for pane in panes:
            pane.join(5)
        self.agent.forget()  # one of them may have connected again

    def say(self, text: str) -> None:
        """Tell the person, in the main window's +Errors, or on acme's console when there is none."""
        pane = self.pane("main")
        if pane is not None:
            pane.post(lambda: pane.say(f"Assist: {text}"))
        else:
            self.acme.client.write("cons", f"Assist: {text}\n".encode())

    # windows

    def pane(self, kind: str, subject: str = "") -> Pane | None:
        """Return the window of that kind and subject, if it is there and made."""
        return self._panes.find(kind, subject)

    def open(self, kind: str, subject: str = "") -> None:
        """Show the window of that kind about that subject, making it if there is none."""
        if kind in _ABOUT_SESSION or (kind in ("inbox", "archive") and subject != USER):
            session = self.roster.find(subject)
            subject = session.id if session is not None else subject
        self._panes.open(kind, subject)

    def adopt(self) -> None:
        """Adopt the windows that an earlier Assist left."""
        for listed in self.acme.windows():
            for kind, subject in left_over.about(listed.name, self.roster, self.agent, NOBODY):
                if PANES[kind](self, subject).title() == listed.name:
                    self._desk.do(lambda kind=kind, subject=subject: self.open(kind, subject))  # type: ignore[misc]
                    break

    def gone(self, pane: object, wanted: bool) -> None:
        """Forget a window that is deleted; `wanted` if it was asked for again on its way out."""
        keys, last = self._panes.gone(pane)
        if wanted and not self._stopping.is_set():
            for key in keys:
                self.ask(*key)
        elif last:
            self.done.set()

    # what words mean, on the thread of the pane they were clicked in

    def label(self, id: str) -> str:
        """Return a person's name for a session: its alias, or the id; ``user`` and unknown names are themselves."""
        session = self.roster.find(id)
        return session.label if session is not None else id

    def reread(self, session: Session) -> None:
        """Have acme read the session's files again that are others now."""
        self.reload.look(session)

    def _changed(self, id: str) -> None:
        """Have the window of what a session has changed look again."""
        pane = self.pane("diff", id)
        if isinstance(pane, Diff):
            pane.outdate()

    def edited_too(self, id: str) -> tuple[str, ...]:
        """Return the files that a session's last turn has changed, and whose windows the person has changed."""
        return self.reload.found.get(id, ())

    def begin(self, backend: Backend, call: Call, beside: str) -> None:
        """Start a session of that backend in the directory that was swept or chorded; a relative one is looked for in `beside`."""
        text, options = begin.options(call.argument)
        if not text:
            raise Invalid(f"{call.word}: which directory? sweep '{call.word} <dir>', or chord a directory onto it")
        where = begin.directory(
            text, call.source if call.chord is not None else None, beside if os.path.isdir(beside) else self.home
        )
        self.agent.new(begin.checked(backend).name, where, options)
        self.sync()

    def directory(self, path: str) -> None:
        """Show a directory."""
        self.acme.directory(path)

    def attach(self, session: Session) -> None:
        if session.state in ("stopped", "exited"):
            raise Conflict(f"{session.label} is {session.state}: Restart it first")
        plain = ["-n", f"Talk.{session.label}", sys.executable, self.script, "talk", session.id]
        command = self.agent.read(f"{session.id}/tmux").strip().rpartition("\n")[2]
        open_terminal(command, plain, session.cwd, self.say)

    def fire(self, session: Session, text: str, source: str | None) -> None:
        """Send a chorded text at once, with a line that says where it stands."""
        if not text.strip():
            raise Invalid(f"nothing to send to {session.label}: select a text first")
        if source and source.startswith("/AnviLLM/+Task"):
            given = [bead for bead in self.agent.beads("list") if bead["id"] == text.strip()]
            if given:
                self.agent.prompt(session.id, work(given[0]))
                return
        self.agent.prompt(session.id, f"From {source}\n\n{text}" if source else text)

    # news

    def tail(self, session: str, told: Callable[[bytes], None]) -> Tail:
        """Follow a session's log: `told` gets it as it comes, on a thread of the tail's own, until that is stopped."""
        made = Tail(self._follower, session, told, lambda why: None)  # it ends with its session: the table says so
        made.start()
        return made

    def turns(self, session: str, told: Callable[[list[str]], None]) -> Tail:
        """Follow what happens in a session, in the same way: `told` gets lines of `activity`."""
        made = Turns(self._follower, session, told, lambda why: None)
        made.start()
        return made

    def sessions(self, rows: list[Row]) -> None:
        """Take the sessions as they are now, from the follower."""
        self._rows = rows
        self._desk.soon(self._take)

    def events(self, found: list[Row]) -> None:
        """Take what happened in the sessions and boxes, from the follower."""
        new = changes(found)
        if "mail" in new:
            self._desk.soon(self._count)
        if "beads" in new:
            self.changed_tasks()

    def away(self, why: str) -> None:
        """Note, from the follower, that the daemon is away."""
        self._desk.soon(self._lose)

    def sync(self) -> None:
        """Have the desk fetch the sessions."""
        self._desk.soon(self._fetch)

    def refetch(self) -> None:
        """Fetch the sessions and the user's mail now, on the caller's thread. Raises Unavailable."""
        self.mail = len(self.agent.box(USER, "inbox"))
        self.roster, self.online = self.agent.roster(), True

    def tell(self, text: str) -> None:
        """Report a background error in the main window."""
        if text != self.trouble:
            self.trouble = text
            self._panes.stale("main")

    def _count(self) -> None:
        with suppress(AnvilError):  # away: the roster says so
            self.mail = len(self.agent.box(USER, "inbox"))
        self._panes.stale("main")

    def ask(self, kind: str, subject: str) -> None:
        """Open a window for another program."""
        self._desk.do(lambda: self.open(kind, subject))

    def called(self, kind: str, subject: str) -> None:
        """Look for the plumber again, since another Assist was started: maybe by the plumber, whose rules have come
        since we looked.
        """
        self.ask(kind, subject)
        self._desk.do(self._plumber.again)

    def begun(self) -> None:
        """Open the first window, and what is left of an earlier Assist: Assist itself was started."""
        self.ask("main", "")
        self._desk.do(self.adopt)

    def changed_tasks(self) -> None:
        """Have the windows of tasks look again."""
        self._panes.stale("tasks", "task")

    def _runs(self) -> bool:
        return any(one.state == "running" for one in self.roster.sessions)

    def _tock(self) -> None:
        self.tick += 1
        self._panes.stale("main", "log")

    def _tell(self, error: AnvilError) -> None:
        """Tell the person of what failed on the desk."""
        if self._stopping.is_set():
            return
        try:
            self.say(str(error))
        except AnvilError:
            self.done.set()  # acme is gone

    def _take(self) -> None:
        self._known(lambda: Roster(self._sessions.of(self._rows), self._backends()))

    def _backends(self) -> tuple[Backend, ...]:
        """Return the backends, of which nothing is told when they change: they are asked for now and then."""
        now = time.monotonic()
        if now < self._asked + TICK:
            return self.roster.backends
        found, self._asked = self.agent.backends(), now
        return found

    def _fetch(self) -> None:
        self._known(self.agent.roster)

    def _lose(self) -> None:
        self._asked = -TICK
        self.agent.forget()
        self._known(self.agent.roster)  # away, unless it is back already

    def _known(self, ask: Callable[[], Roster]) -> None:
        """Have the panes show what is known now."""
        before = self.roster
        try:
            self.roster, self.online = ask(), True
            self.reload.follow(before, self.roster)
        except Unavailable as error:
            self.online = False
            if isinstance(error, TimedOut):
                threading.Thread(target=self._thaw, name="thaw", daemon=True).start()
        self._panes.stale()

    def _thaw(self) -> None:
        """Look again when a daemon that was silent answers; one that ended is the business of the news."""
        with suppress(AnvilError):
            self.agent.wait()
            self.sync()

    def _clicked(self, word: str, directory: str) -> None:
        """Open what was right-clicked in a window of that directory; where it is no session, say so there."""
        if self.roster.find(word) is None:
            self._fetch()
        session = self.roster.find(word)
        if session is not None:
            self.open("prompt", session.id)
            return
        said = f"no such session '{word.removeprefix('anvil:')}'"
        window = self.acme.beside(directory)
        if window is None:
            self.say(said)
        else:
            with closing(window):
                window.errors(f"Assist: {said}")
