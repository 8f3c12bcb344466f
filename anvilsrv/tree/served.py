"""The daemon as its files see it: each call of :class:`anvilsrv.tree.domain.Domain`, answered by the parts.

Threads: see ``domain.py``.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from anvilsrv.agents.attachments import Attachments
from anvilsrv.agents.branches import Branches
from anvilsrv.agents.checkpoints import Checkpoints
from anvilsrv.agents.door import Door
from anvilsrv.agents.evidence import Evidence
from anvilsrv.agents.forks import Forks
from anvilsrv.agents.keys import Keys
from anvilsrv.agents.limits import SessionLimits
from anvilsrv.agents.roles import Layers
from anvilsrv.agents.spawn import Spawn
from anvilsrv.agents.work import Work
from anvilsrv.backends.flags import Option
from anvilsrv.backends.registry import Backends
from anvilsrv.beads.beads import Beads
from anvilsrv.desk.answer import Questions
from anvilsrv.desk.life import Life
from anvilsrv.desk.post import Post
from anvilsrv.desk.report import Reports
from anvilsrv.desk.send import Send
from anvilsrv.errors import Denied, Invalid
from anvilsrv.mail import box, message
from anvilsrv.mail.box import Snapshots
from anvilsrv.sessions import offers, session_rows
from anvilsrv.sessions.happened import NOTHING
from anvilsrv.sessions.machine import WAITING
from anvilsrv.sessions.new import NEW
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import Session, View, Wanted
from anvilsrv.store.effects import Waiting
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.store.topics import Topics
from anvilsrv.strict_json import json_array
from anvilsrv.tmux.tmux import Tmux
from anvilsrv.tree.access import Who
from anvilsrv.tree.editors import Editors
from anvilsrv.tree.files import compact, unknown
from anvilsrv.words import USER

SESSION_COMMANDS = (
    "stop, restart, restart fresh, restart log, kill, cancel, hold, go, fork [alias=N] [branch=B], forward <port>, "
    "unforward <port>, keys <name>…, complete <message-id>"
)
TURN_COMMANDS = "drop, first, undo"


class Parts(Protocol):
    """The parts of the daemon that files act on (``app.App``)."""

    store: Store
    stream: Stream
    topics: Topics
    boxes: Snapshots
    registry: Registry
    backends: Backends
    roles: Layers
    tasks: Layers
    beads: Beads
    tmux: Tmux
    post: Post
    questions: Questions
    life: Life
    reports: Reports
    send: Send
    spawn: Spawn
    evidence: Evidence
    keys: Keys
    door: Door
    checkpoints: Checkpoints
    work: Work
    limits: SessionLimits
    branches: Branches
    forks: Forks
    attachments: Attachments


class Served:
    """See :class:`anvilsrv.tree.domain.Domain`."""

    def __init__(self, parts: Parts) -> None:
        self.store = parts.store
        self.stream = parts.stream
        self.topics = parts.topics
        self.beads = parts.beads
        self.git = parts.checkpoints
        self.work = parts.work
        self.attachments = parts.attachments
        self.editors = Editors()
        self.activity = parts.registry.activity.live
        self._parts = parts
        self._registry = parts.registry
        self._summaries: dict[tuple[str, bool], tuple[View, int, bool, str]] = {}  # the 9P thread's, as is the next
        self._all: tuple[object, object, bytes] = (None, None, b"")

    # -- what is shown ---------------------------------------------------------------------------------------------------

    def views(self) -> Mapping[str, View]:
        return self._registry.views

    def find(self, name: str) -> View | None:
        return self._registry.find(name)

    def get(self, name: str) -> View:
        return self._registry.get(name)

    def descends(self, child: str, ancestor: str) -> bool:
        return self._registry.descends(child, ancestor)

    def changed(self) -> float:
        return self._registry.changed

    def stamp(self, session: str, name: str) -> float:
        view = self.get(session)
        changed = self._parts.boxes.of(view.id).changed if name == "inbox" else view.times.get(name, 0.0)
        return max(changed, view.created)

    def listing(self) -> bytes:
        return self._registry.listing()

    def backends_listing(self) -> bytes:
        return "".join("\t".join(row) + "\n" for row in self._parts.backends.listing()).encode()

    def roles_listing(self) -> bytes:
        return "".join("\t".join(row) + "\n" for row in self._parts.roles.listing()).encode()

    def tasks_listing(self) -> bytes:
        return "".join("\t".join(row) + "\n" for row in self._parts.tasks.listing()).encode()

    def summaries(self) -> bytes:
        views, boxes = self._registry.views, self._parts.boxes.state
        if self._all[0] is not views or self._all[1] is not boxes:
            self._all = (views, boxes, json_array(self.summary(view, True) for view in views.values()))
        return self._all[2]

    def summary(self, view: View, attach: bool) -> str:
        unread, mailed = self._parts.boxes.of(view.id).unread, view.id in self._parts.boxes.of(USER).senders
        kept = self._summaries.get((view.id, attach))
        if kept is not None and kept[0] is view and kept[1:3] == (unread, mailed):
            return kept[3]
        made = compact(view.summary(self.attach(view) if attach else "", unread, mailed))
        if len(self._summaries) > 2 * len(self._registry.views) + 2:
            self._summaries.clear()  # of sessions that are gone
        self._summaries[view.id, attach] = (view, unread, mailed, made)
        return made

    def attach(self, view: View) -> str:
        return f"anvilsrv attach {view.id}\n{self._parts.tmux.attach_command(view.id)}" if view.pane else ""

    def box_length(self, owner: str, name: str) -> int:
        found = self._parts.boxes.of(owner if owner == USER else self.get(owner).id)
        return found.archive if name == "archive" else found.length

    # -- commands --------------------------------------------------------------------------------------------------------

    def root_ctl(self, who: Who, words: list[str]) -> str | None:
        if words[:1] != ["new"]:
            raise unknown(words, NEW)
        return self._parts.spawn.new(words[1:], who.session, partial(self._first, origin=who.name))

    def _first(self, tx: Tx, session: str, text: str, origin: str) -> None:
        self.accept(tx, session, text, origin, self.number(tx, session))

    def user_ctl(self, words: list[str]) -> str | None:
        if len(words) != 2 or words[0] != "complete":
            raise unknown(words, "complete <message-id>")
        self.store.call(lambda tx: self._parts.post.complete(tx, USER, words[1]))
        return None

    def session_ctl(self, who: Who, session: str, words: list[str]) -> str | None:
        """Run a command of the session's ``ctl``. The session itself may only complete its mail."""
        life = self._parts.life
        jobs: dict[str, Callable[[Tx, str], None]] = {
            "stop": life.stop, "restart": life.restart, "restart fresh": partial(life.restart, how=Wanted.FRESH),
            "restart log": partial(life.restart, how=Wanted.LOG),
            "kill": life.kill, "interrupt": life.interrupt,
            "cancel": life.interrupt, "hold": life.hold, "go": life.go,  # as errors have to call it: see p9/dialect.py
        }  # fmt: skip
        if words[:1] == ["complete"] and len(words) == 2:
            self.store.call(lambda tx: self._parts.post.complete(tx, session, words[1]), by=who.by)
        elif words[:1] == ["keys"]:
            if who.session is not None:
                raise Denied("permission denied: only the user may press keys")
            self._parts.keys.press(session, words[1:])
        elif words[:1] == ["fork"]:
            if who.session is not None:
                raise Denied("permission denied: only the user may fork")
            return self._parts.forks.fork(session, words[1:])
        elif words[:1] in (["forward"], ["unforward"]) and len(words) == 2:
            self._forward(who, session, words[1], words[0] == "forward")
        elif (command := " ".join(words)) not in jobs:
            raise unknown(words, SESSION_COMMANDS)
        elif who.session == session:
            raise Denied(f"permission denied: a session cannot {words[0]} itself")
        else:
            self.store.call(lambda tx: jobs[command](tx, session), need=Need.OWN, by=who.by)
        return None

    def _forward(self, who: Who, session: str, port: str, on: bool) -> None:
        """Forward a port. For the user only: it opens something on the user's machine."""
        if who.session is not None:
            raise Denied("permission denied: only the user may forward a port")
        if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
            raise Invalid(f"invalid port: '{port}' (1 to 65535)")
        self._parts.door.forward(session, int(port), on)
        self.store.call(lambda tx: self._parts.registry.forwarded(tx, session, int(port), on))

    def turn_ctl(self, session: str, n: int, words: list[str]) -> str | None:
        send = self._parts.send
        if words == ["drop"]:
            tried = self.store.call(lambda tx: send.tried(tx, session, n))
            seen = self._parts.evidence.of(session, tried) if tried is not None else NOTHING
            self.store.call(lambda tx: send.drop(tx, session, n, tried, seen))
        elif words == ["first"]:
            self.store.call(lambda tx: send.first(tx, session, n))
        elif words == ["undo"]:
            return self.work.undo(session, n)
        else:
            raise unknown(words, TURN_COMMANDS)
        return None

    def git_ctl(self, session: str, words: list[str]) -> str:
        return self._parts.branches.command(session, words)

    def review(self, session: str, text: str, origin: str) -> str | None:
        def send(tx: Tx, session: str, words: str) -> int:
            self.check_prompt(tx, session)
            return self.accept(tx, session, words, origin, self.number(tx, session))

        return self.work.review(session, text, send)

    def report(self, session: str | None, why: str, told: Callable[[], None], by: str) -> None:
        self._parts.life.error(session, why, told, by)

    # -- prompts and contexts --------------------------------------------------------------------------------------------

    def check_prompt(self, tx: Tx, session: str) -> None:
        self._parts.send.check(tx, session)

    def number(self, tx: Tx, session: str) -> int:
        return self._parts.send.number(tx, session)

    def accept(self, tx: Tx, session: str, text: str, origin: str, n: int) -> int:
        return self._parts.send.accept(tx, session, self._typed(tx, session, text), origin, n, self._exact(tx, session))

    def _exact(self, tx: Tx, session: str) -> bool:
        """Return whether prompts reach its agent byte for byte."""
        backend = self._parts.backends.last(session_rows.get(tx, session).backend)
        return backend is not None and backend.by_message

    def _typed(self, tx: Tx, session: str, text: str) -> str:
        """Return a prompt as its agent is to get it: with the paths of attached files, without characters that would be
        dropped. Raises Invalid if the agent would not take it as a prompt, or not whole.
        """
        text, row = self.attachments.spelled(session, text), session_rows.get(tx, session)
        backend = self._parts.backends.last(row.backend)
        if backend is None or not text.strip():
            return text
        why = backend.refusal(text, row.context.decode("utf-8", "replace"))
        if why:
            raise Invalid(f"this prompt cannot be typed: {why}")
        return backend.input.drop.kept(text)

    def numbered(self, tx: Tx, session: str, n: int) -> int:
        return self._parts.send.numbered(tx, session, n).id

    def prompt_text(self, tx: Tx, session: str, n: int) -> bytes:
        return self._parts.send.numbered(tx, session, n).text.encode("utf-8", "replace")

    def check_edit(self, tx: Tx, session: str, n: int) -> None:
        self._parts.send.check_edit(tx, session, n)

    def edit(self, tx: Tx, session: str, n: int, text: str) -> None:
        self._parts.send.edit(tx, session, n, self._typed(tx, session, text), self._exact(tx, session))

    def turns(self, tx: Tx, session: str) -> bytes:
        return self._parts.send.listing(tx, session)

    def check_session(self, tx: Tx, session: str) -> None:
        session_rows.get(tx, session)

    def set_context(self, tx: Tx, session: str, text: str) -> None:
        self._parts.send.context(tx, session, text)

    def error(self, tx: Tx, session: str, why: str) -> None:
        self._registry.error(tx, session, why)

    # -- what is waited for ----------------------------------------------------------------------------------------------

    def last_prompt(self, tx: Tx, session: str) -> int:
        return self._parts.send.last(tx, session)

    def response(self, tx: Tx, prompt: int) -> bytes | None:
        return self._parts.send.response(tx, prompt)

    def conversation(self, tx: Tx, session: str, cursor: object) -> tuple[bytes, object]:
        return self._parts.send.conversation(tx, session, cursor)

    def activity_page(self, tx: Tx, session: str, after: int, turn: int | None) -> tuple[bytes, int, bool]:
        session_rows.get(tx, session)
        return self._registry.activity.page(tx, session, after, turn)

    def turn_of(self, tx: Tx, session: str, n: int) -> int:
        return self._parts.send.turn_of(tx, session, n)

    def is_over(self, tx: Tx, session: str, n: int) -> bool:
        return self._parts.send.numbered(tx, session, n).status not in WAITING

    def mail_log(self, tx: Tx, shown: Callable[[Iterable[str]], bool], cursor: int) -> tuple[bytes, int]:
        label, blocks = self._parts.post.label, list[bytes]()
        while not blocks:
            found, cursor = box.page(tx, cursor)
            if not found:
                break
            for one in found:
                if shown((one.sender, one.to)):
                    blocks.append(message.as_log(one, label(tx, one.sender), label(tx, one.to)))
        return b"".join(blocks), cursor

    # -- small files -----------------------------------------------------------------------------------------------------

    def rename(self, tx: Tx, session: str, alias: str) -> None:
        self._registry.rename(tx, session, alias)

    def see(self, tx: Tx, session: str, number: str) -> None:
        self._registry.see(tx, session, number)

    def options(self, tx: Tx, session: str) -> bytes:
        return offers.lines(self._offered(tx, session_rows.get(tx, session)))

    def choose(self, tx: Tx, session: str, text: str, origin: str) -> None:
        row, (name, value) = session_rows.get(tx, session), offers.meant(text)
        offers.check(self._offered(tx, row), name, value)
        self._registry.choose(tx, session, name, value)
        backend = self._parts.backends.last(row.backend)
        command = "" if backend is None or not row.live else backend.choosing(name, value)
        if command:
            self._parts.send.accept(tx, row.id, command, origin)

    def _offered(self, tx: Tx, row: Session) -> list[Option]:
        backend = self._parts.backends.last(row.backend)
        return offers.options(tx, row.id) or ([] if backend is None else backend.declared_options(row.chosen))

    def commands(self, tx: Tx, session: str) -> bytes:
        backend = self._parts.backends.last(session_rows.get(tx, session).backend)
        slash = [] if backend is None else [(word, "") for word in backend.own_commands()]
        return "".join(f"{name}\t{what}\n" for name, what in offers.commands(tx, session) or slash).encode()

    def write_state(self, tx: Tx, session: str, word: str) -> None:
        row = session_rows.get(tx, session)
        backend = self._parts.backends.last(row.backend)
        self._parts.send.write_state(tx, session, word, reported=backend is None or backend.reports("stop"))

    def limits(self, session: str) -> bytes:
        return self._parts.limits.shown(session).encode()

    def limit(self, session: str, text: str) -> None:
        self._parts.limits.set(session, text)

    def answer(self, session: str, choice: str) -> None:
        self._parts.questions.answer(session, choice)

    # -- mail and reports ------------------------------------------------------------------------------------------------

    def box(self, tx: Tx, owner: str, name: str) -> bytes:
        return box.content(tx, owner, name)

    def send(self, tx: Tx, sender: str, fields: dict[str, Any]) -> None:
        self._parts.post.send(tx, sender, fields)

    def take_report(
        self, session: str, report: dict[str, Any], waiting: Waiting, done: Callable[[BaseException | None], None]
    ) -> None:
        self._parts.reports.come(session, report, waiting, done)

    def abandoned(self, session: str, waiting: Waiting) -> None:
        self._parts.questions.abandon(session, waiting)
        self._parts.reports.abandon(session, waiting)
