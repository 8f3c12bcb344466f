"""The file table: one row per file of the tree, each pointing at one method of the domain (DESIGN section 2).

To add a file is to add a row. A row says who may read and who may write: U the user, O the session itself, C a session that
controls it (it spawned it and its role grants ``control``), A any session. The 9P server enforces what ``permissions`` says.

Threads: everything here runs on the 9P thread; ``ctl`` files run on its workers.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from anvilsrv.errors import Denied, Invalid, NotFound
from anvilsrv.mail import message as mailbox
from anvilsrv.p9.tree import LATER, Dir, File, Later, Node, Request, TextFile, stable_path
from anvilsrv.sessions.state import View
from anvilsrv.store.events import EVERYBODY, Sees
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import json_array
from anvilsrv.tree.drafts import Exchange, JsonFile, TextDraftFile
from anvilsrv.tree.files import CommandFile, QueryFile, WordFile, answer
from anvilsrv.tree.hook import HookExchange
from anvilsrv.tree.streams import AnswerFile, EventsFile, TailFile
from anvilsrv.words import USER

PAGE = 200  # rows of a log fetched at a time


@dataclass(frozen=True)
class Who:
    """An identity: which socket was connected to. ``session`` is None for the user."""

    session: str | None = None
    spawn: bool = False
    control: bool = False

    @property
    def name(self) -> str:
        """What stands in ``from`` and ``assignee``."""
        return self.session or USER


class Row(NamedTuple):
    """One file: its name, who reads and writes it, and how to make it for a session id."""

    name: str
    read: str
    write: str
    make: Callable[["Tree", str, str, int, int], File]


def text(get: Callable[["Tree", View], str]) -> Callable[..., File]:
    """A one-line file made from the view."""

    def make(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
        return ViewFile(tree, session, name, path, lambda view: line(get(tree, view)), mode)

    return make


def compact(value: Any) -> str:
    """JSON in one line without blanks between its parts, so that grep finds ``"state":"idle"`` in every file of the tree."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def line(value: str) -> bytes:
    """A one-line file's content: a newline at the end, nothing for nothing."""
    return f"{value}\n".encode() if value else b""


class ViewFile(TextFile):
    """A plain file made from a session's view."""

    def __init__(
        self, tree: "Tree", session: str, name: str, path: int, get: Callable[[View], bytes], mode: int
    ) -> None:
        super().__init__(name, lambda who: get(tree.app.sessions.get(session)), path, mode)
        self._tree = tree
        self._session = session

    def mtime(self, who: Any) -> int:
        view = self._tree.app.sessions.get(self._session)
        return int(view.times.get(self.name, view.created))


def _alias(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    sessions = tree.app.sessions
    return WordFile(
        name,
        path,
        mode,
        sessions.store,
        lambda: sessions.get(session).alias,
        lambda tx, who, value: sessions.rename(tx, session, value),
    )


def _state(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    sessions = tree.app.sessions
    return WordFile(
        name,
        path,
        mode,
        sessions.store,
        lambda: sessions.get(session).state,
        lambda tx, who, value: tree.app.write_state(tx, session, value),
    )


def _answer(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return WordFile(
        name, path, mode, app.store, lambda: "", lambda tx, who, value: app.reports.answer(tx, session, value)
    )


def _in(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return TextDraftFile(
        name, path, mode, app.store, (session, name),
        check=lambda tx, who: app.check_prompt(tx, session),
        commit=lambda tx, who, value: app.accept(tx, session, value, who.name),
        kept=None,
        report=lambda tx, why: app.sessions.error(tx, session, why),
    )  # fmt: skip


def _context(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return TextDraftFile(
        name, path, mode, app.store, (session, name),
        check=lambda tx, who: app.sessions.row(tx, session),
        commit=lambda tx, who, value: app.sessions.set(tx, session, context=value.encode()),
        kept=lambda: app.sessions.get(session).context,
        report=lambda tx, why: app.sessions.error(tx, session, why),
    )  # fmt: skip


def _out(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return AnswerFile(name, path, mode, app.sessions, lambda tx: app.last_prompt(tx, session), app.response)


def _log(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return TailFile(
        name, path, mode, app.sessions, f"log {session}", lambda tx, who, cursor: app.conversation(tx, session, cursor)
    )


def _ctl(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return CommandFile(
        name, path, mode, lambda who, words: app.session_ctl(who, session, words), lambda why: app.report(session, why)
    )


def _inbox(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    return ViewFile(tree, session, name, path, lambda view: view.inbox, mode)


def _archive(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return QueryFile(
        name,
        path,
        mode,
        app.store,
        lambda tx, who: mailbox.box(tx, session, "archive"),
        lambda: app.sessions.get(session).archived,
    )


def _mail(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return JsonFile(name, path, mode, lambda who: Mail(app, session), lambda why: app.report(session, why))


def _hook(tree: "Tree", session: str, name: str, path: int, mode: int) -> File:
    app = tree.app
    return JsonFile(
        name,
        path,
        mode,
        lambda who: HookExchange(app.reports, app.sessions.get(session).id),
        lambda why: app.report(session, why),
    )


# name, who reads, who writes, what it is
SESSION: tuple[Row, ...] = (
    Row("in", "", "UC", _in),
    Row("out", "UOC", "", _out),
    Row("log", "UOC", "", _log),
    Row("ctl", "UOC", "UOC", _ctl),
    Row("state", "UOCA", "UO", _state),
    Row("hook", "O", "O", _hook),
    Row("ask", "UOC", "", text(lambda tree, view: compact(view.ask) if view.ask else "")),
    Row("answer", "", "U", _answer),
    Row("context", "UOC", "UC", _context),
    Row("alias", "UOCA", "UO", _alias),
    Row("inbox", "UO", "", _inbox),
    Row("archive", "UO", "", _archive),
    Row("mail", "", "UO", _mail),
    Row("pid", "UOC", "", text(lambda tree, view: str(view.pid))),
    Row("cwd", "UOC", "", text(lambda tree, view: view.cwd)),
    Row("backend", "UOCA", "", text(lambda tree, view: view.backend)),
    Row("role", "UOC", "", text(lambda tree, view: view.role)),
    Row("tasks", "UOC", "", text(lambda tree, view: ",".join(view.tasks))),
    Row("tmux", "U", "", text(lambda tree, view: tree.app.attach(view))),
    Row("sandbox", "UOC", "", text(lambda tree, view: view.policy)),
    Row("usage", "UOC", "", text(lambda tree, view: compact(view.usage))),
)
SESSION_NAMES = {row.name: row for row in SESSION}


class Mail(Exchange):
    """Writes to ``mail``: each complete object is sent at once, and answered when it is on disk."""

    def __init__(self, app: Any, sender: str) -> None:
        self._app = app
        self._sender = sender

    def took(self, found: dict[str, Any], count: int, req: Request) -> Later:
        def job(tx: Tx) -> int:
            self._app.post.send(tx, self._sender, found)
            return count

        self._app.store.post(job, answer(req))
        return LATER


class SessionDir(Dir):
    """``<id>/``."""

    def __init__(self, tree: "Tree", session: str, name: str) -> None:
        super().__init__(name, stable_path(session))
        self._tree = tree
        self._session = session

    def lookup(self, who: Who, name: str) -> Node | None:
        row = SESSION_NAMES.get(name)
        return None if row is None else self._tree.file(self._session, row, who)

    def children(self, who: Who) -> Sequence[Node]:
        self._tree.app.sessions.get(self._session)
        return [self._tree.file(self._session, row, who) for row in SESSION]

    def mtime(self, who: Who) -> int:
        found = self._tree.app.sessions.find(self._session)
        return int(found.changed if found else 0)


class UserDir(Dir):
    """``user/``: the human's mailbox, closed to sessions."""

    def __init__(self, tree: "Tree") -> None:
        super().__init__("user", stable_path("user"), 0o500)
        app = tree.app
        self._nodes: dict[str, File] = {
            "inbox": self._box(app, "inbox"),
            "archive": self._box(app, "archive"),
            "mail": JsonFile(
                "mail",
                stable_path("user", "mail"),
                0o600,
                lambda who: Mail(app, USER),
                lambda why: app.report(None, why),
            ),
            "ctl": CommandFile(
                "ctl",
                stable_path("user", "ctl"),
                0o600,
                lambda who, words: app.user_ctl(words),
                lambda why: app.report(None, why),
            ),
        }

    @staticmethod
    def _box(app: Any, name: str) -> File:
        size = app.sessions.user_box
        return QueryFile(
            name,
            stable_path("user", name),
            0o400,
            app.store,
            lambda tx, who: mailbox.box(tx, USER, name),
            lambda: size[name],
        )

    def lookup(self, who: Who, name: str) -> Node | None:
        return self._nodes.get(name)

    def children(self, who: Who) -> Sequence[Node]:
        return list(self._nodes.values())


class Tree(Dir):
    """The root, for every identity."""

    def __init__(self, app: Any, extra: Sequence[Dir] = ()) -> None:
        super().__init__("/", 1)
        self.app: Any = app
        self._extra = extra
        nodes: list[Node] = [
            RootCtl(app),
            TextFile("list", lambda who: app.sessions.listing(), stable_path("list")),
            TextFile("sessions", self._sessions, stable_path("sessions")),
            TextFile("backends", lambda who: app.backends_listing(), stable_path("backends")),
            EventsFile("events", stable_path("events"), 0o444, app.stream, self.sees, None),
            TailFile("log", stable_path("log"), 0o444, app.sessions, "log", self._log),
            UserDir(self),
            *extra,
        ]
        self._nodes = {node.name: node for node in nodes}

    def lookup(self, who: Who, name: str) -> Node | None:
        if name == "user" and who.session is not None:
            raise Denied("permission denied: user/ is the user's")
        if name in self._nodes:
            return self._nodes[name]
        if name.startswith("events.") and name[7:].isdecimal() and len(name) < 30:
            return EventsFile(name, stable_path(name), 0o444, self.app.stream, self.sees, int(name[7:]))
        found = self.app.sessions.find(name)
        if found is None:
            raise NotFound(f"no session '{name[:80]}'")
        return SessionDir(self, found.id, name)

    def children(self, who: Who) -> Sequence[Node]:
        return [*self._nodes.values(), *(SessionDir(self, one, one) for one in self.app.sessions.views)]

    def mtime(self, who: Who) -> int:
        return int(self.app.sessions.changed)

    # -- who may do what (DESIGN section 5) ----------------------------------------------------------------------------

    def relation(self, who: Who, session: str) -> str:
        """How ``who`` stands to ``session``: U, O, C or A."""
        if who.session is None:
            return "U"
        if who.session == session:
            return "O"
        return "C" if who.control and self.app.sessions.descends(session, who.session) else "A"

    def file(self, session: str, row: Row, who: Who) -> File:
        """The node of one file, with the permission bits that ``who`` has on it."""
        relation = self.relation(who, session)
        mode = (0o400 if relation in row.read else 0) | (0o200 if relation in row.write else 0)
        return row.make(self, session, row.name, stable_path(session, row.name), mode)

    def concerns(self, who: Who, session: str) -> bool:
        """Whether what happens to ``session`` is shown to ``who``."""
        return who.session is None or who.session == session or self.app.sessions.descends(session, who.session)

    def sees(self, who: Who) -> Sees | None:
        """The filter of events for ``who``."""
        if who.session is None:
            return None
        return lambda sessions: EVERYBODY in sessions or any(self.concerns(who, one) for one in sessions)

    def _sessions(self, who: Who) -> bytes:
        views = [v for v in self.app.sessions.views.values() if self.concerns(who, v.id)]
        shown = [compact(v.summary(self.app.attach(v) if who.session is None else "")) for v in views]
        return json_array(shown)

    def _log(self, tx: Tx, who: Who, cursor: int) -> tuple[bytes, int]:
        out = b""
        while not out and (rows := tx.all("SELECT * FROM messages WHERE seq > ? ORDER BY seq LIMIT ?", cursor, PAGE)):
            for row in rows:
                if who.session is None or any(
                    one != USER and self.concerns(who, one) for one in (row["sender"], row["recipient"])
                ):
                    out += mailbox.as_log(
                        row, self.app.post.label(tx, row["sender"]), self.app.post.label(tx, row["recipient"])
                    )
            cursor = rows[-1]["seq"]
        return out, cursor


class RootCtl(CommandFile):
    """``ctl`` of the root: ``new``. A session needs the grant ``spawn`` for it."""

    def __init__(self, app: Any) -> None:
        super().__init__("ctl", stable_path("ctl"), 0o600, app.root_ctl, lambda why: app.report(None, why))

    def permissions(self, who: Who) -> int:
        return 0o600 if who.session is None or who.spawn else 0


def unknown(words: list[str], known: str) -> Exception:
    """The error for a ctl command that is not one."""
    return Invalid(f"unknown command '{words[0][:80]}': {known}") if words else Invalid(f"no command: {known}")
