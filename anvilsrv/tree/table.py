"""The file table: one row per file of the tree, each naming the call of the domain that it stands for.

To add a file is to add a row here; what a row is, is in ``nodes.py``, the letters of who may read and write in ``access.py``, the
kinds of file in ``files.py``, ``drafts.py``, ``streams.py`` and ``beads.py``, and the calls in ``domain.py``.

Threads: everything here runs on the 9P thread, the calls of ``ctl`` files on its workers, and what takes a Tx on the store's thread.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from anvilsrv.allowance import BOUNDS
from anvilsrv.beads.beads import FILES
from anvilsrv.p9.tree import Node
from anvilsrv.sessions.questions import shown
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import MAIL, conversation_of
from anvilsrv.strict_json import json_array, loads_bytes
from anvilsrv.tree import beads, drafts
from anvilsrv.tree.access import Who
from anvilsrv.tree.activity import Activity, TurnActivity
from anvilsrv.tree.attached import Attached
from anvilsrv.tree.beads import GraphList
from anvilsrv.tree.domain import Domain
from anvilsrv.tree.drafts import Json, Mail, TextDraft
from anvilsrv.tree.editor import exchange as editor_exchange
from anvilsrv.tree.files import Action, Choices, Command, Query, Text, Word, compact, line
from anvilsrv.tree.hook import HookExchange
from anvilsrv.tree.nodes import DIGITS, Directory, Folder, Members, Place, Row, RowFile, Sessions, Table
from anvilsrv.tree.settings import Settings
from anvilsrv.tree.streams import Answer, Events, Tail
from anvilsrv.tree.wholes import Made, Whole
from anvilsrv.words import USER

LONGEST = 1 << 20  # bytes of a context: it is in each list of sessions, and goes before each prompt
SHOWN = 100  # of the members of turns/ in a listing; the others are there as well


def small(get: Callable[[Place], str]) -> Text:
    """Return a one-line file of a session, made from its view."""
    return Text(lambda at: line(get(at)), lambda at, name: at.domain.stamp(at.session, name))


def box(name: str, stamped: bool = False) -> Query:
    """Return a mailbox, of the session or the user; ``stamped``: it is a session's, and it is known when it changed."""
    return Query(
        lambda at, tx: at.domain.box(tx, at.owner, name),
        lambda at: at.domain.box_length(at.owner, name),
        (lambda at, name: at.domain.stamp(at.session, name)) if stamped else None,
    )


def sessions(at: Place) -> bytes:
    """Return the content of ``sessions``: those that concern the caller; only the user is told how to attach."""
    if at.who.session is None:
        return at.domain.summaries()
    return json_array(at.domain.summary(view, False) for view in at.domain.views().values() if at.concerns(view.id))


def mail_log(at: Place, tx: Tx, cursor: object) -> tuple[bytes, object]:
    """Return a page of ``log``: the messages that concern the caller."""

    def shown(owners: Iterable[str]) -> bool:
        return at.who.session is None or any(one != USER and at.concerns(one) for one in owners)

    return at.domain.mail_log(tx, shown, cursor if isinstance(cursor, int) else 0)


def member(at: Place, name: str) -> str | None:
    """Return the number of the prompt with that name: a number that was given, or ``last``."""
    last = at.view.last
    if name == "last":
        return str(last) if last else None
    number = int(name) if name.isascii() and name.isdecimal() and len(name) <= DIGITS else 0
    return name if 0 < number <= at.view.numbers and name == str(number) else None


# <id>/turns/<n>/
TURN = Table(
    Row("prompt", "UOC", "UC", TextDraft(
        check=lambda at, tx: at.domain.check_edit(tx, at.session, int(at.member)),
        commit=lambda at, tx, text, n: at.domain.edit(tx, at.session, int(at.member), text),
        stored=lambda at, tx: at.domain.prompt_text(tx, at.session, int(at.member)))),
    Row("out", "UOC", "", Answer(
        last=lambda at, tx: at.domain.numbered(tx, at.session, int(at.member)),
        response=lambda at, tx, prompt: at.domain.response(tx, prompt))),
    Row("activity", "UOC", "", TurnActivity()),
    Row("diff", "UOC", "", Made(lambda at: at.domain.git.turn_diff(at.session, int(at.member)))),
    Row("ctl", "UC", "UC", Command(lambda at, words: at.domain.turn_ctl(at.session, int(at.member), words))),
)  # fmt: skip

# <id>/turns/
TURNS = Table(
    Row("list", "UOC", "", Query(lambda at, tx: at.domain.turns(tx, at.session), lambda at: 0)),
    Row("<n>", "UOC", "", Members(
        TURN, ids=lambda at: map(str, range(max(1, at.view.last - SHOWN + 1), at.view.last + 1)), find_id=member)),
)  # fmt: skip

# <id>/git/
GIT = Table(
    Row("branch", "UOC", "", Made(lambda at: line(at.domain.git.branch(at.session)))),
    Row("base", "UOC", "", Made(lambda at: line(at.domain.git.base(at.session)))),
    Row("status", "UOC", "", Made(lambda at: at.domain.git.status(at.session))),
    Row("diff", "UOC", "", Made(lambda at: at.domain.git.diff_since(at.session))),
    Row("review", "UOC", "UC", Whole(
        take=lambda at, text: at.domain.review(at.session, text, at.who.name),
        content=lambda at: at.domain.work.comments(at.session))),
    Row("apply", "", "U", Whole(take=lambda at, text: at.domain.work.apply(at.session, text))),
    Row("ctl", "U", "U", Command(lambda at, words: at.domain.git_ctl(at.session, words))),
)  # fmt: skip

CONVERSATION = Tail(
    topic=lambda at: conversation_of(at.session),
    page=lambda at, tx, cursor: at.domain.conversation(tx, at.session, cursor),
)

# <id>/attach/
ATTACH = Table(Row("<name>", "UOC", "U", Attached()))

# <id>/
SESSION = Table(
    Row("in", "UC", "UC", TextDraft(
        check=lambda at, tx: at.domain.check_prompt(tx, at.session),
        commit=lambda at, tx, text, n: str(at.domain.accept(tx, at.session, text, at.who.name, n)),
        number=lambda at, tx: at.domain.number(tx, at.session))),
    Row("out", "UOC", "", Answer(
        last=lambda at, tx: at.domain.last_prompt(tx, at.session),
        response=lambda at, tx, prompt: at.domain.response(tx, prompt))),
    Row("log", "UOC", "", CONVERSATION),
    Row("log.now", "UOC", "", replace(CONVERSATION, ends=True)),
    Row("activity", "UOC", "", Activity()),
    Row("activity.<seq>", "UOC", "", Activity()),
    Row("ctl", "UOC", "UOC", Command(lambda at, words: at.domain.session_ctl(at.who, at.session, words))),
    Row("state", "UOCA", "UO", Word(
        lambda at: at.view.state, lambda at, tx, word: at.domain.write_state(tx, at.session, word))),
    Row("hook", "O", "O", Json(HookExchange, slow=True, parse=loads_bytes)),
    Row("editor", "UO", "UO", Json(editor_exchange, slow=True)),
    Row("turns", "UOC", "", Folder(TURNS)),
    Row("git", "UOC", "", Folder(GIT)),
    Row("ask", "UOC", "", small(lambda at: "\n".join(compact(shown(one)) for one in at.view.ask))),
    Row("answer", "", "U", Action(lambda at, choice: at.domain.answer(at.session, choice), lines=True)),
    Row("context", "UOC", "UC", TextDraft(
        check=lambda at, tx: at.domain.check_session(tx, at.session),
        commit=lambda at, tx, text, n: at.domain.set_context(tx, at.session, text),
        kept=lambda at: at.view.context, most=LONGEST, agents=BOUNDS["context"])),
    Row("seen", "UOC", "U", Word(
        lambda at: str(at.view.seen), lambda at, tx, number: at.domain.see(tx, at.session, number))),
    Row("alias", "UOCA", "UO", Word(
        lambda at: at.view.alias, lambda at, tx, alias: at.domain.rename(tx, at.session, alias))),
    Row("inbox", "UO", "", box("inbox", stamped=True)),
    Row("archive", "UO", "", box("archive")),
    Row("mail", "", "UO", Json(Mail, slow=True)),
    Row("pid", "UOC", "", small(lambda at: str(at.view.pid))),
    Row("cwd", "UOC", "", small(lambda at: at.view.cwd)),
    Row("backend", "UOCA", "", small(lambda at: at.view.backend)),
    Row("role", "UOC", "", small(lambda at: at.view.role)),
    Row("tasks", "UOC", "", small(lambda at: ",".join(at.view.tasks))),
    Row("options", "UOC", "UC", Choices(
        lambda at, tx: at.domain.options(tx, at.session), lambda at: 0,
        written=lambda at, tx, text: at.domain.choose(tx, at.session, text, at.who.name))),
    Row("commands", "UOC", "", Query(lambda at, tx: at.domain.commands(tx, at.session), lambda at: 0)),
    Row("attach", "UOC", "U", Folder(ATTACH, slow=True)),
    Row("tmux", "U", "", small(lambda at: at.domain.attach(at.view))),
    Row("sandbox", "UOC", "", small(lambda at: at.view.policy)),
    Row("limits", "UOC", "U", Settings(
        content=lambda at: at.domain.limits(at.session), written=lambda at, text: at.domain.limit(at.session, text))),
    Row("usage", "UOC", "", small(lambda at: compact(at.view.usage))),
)  # fmt: skip

# user/
MAILBOX = Table(
    Row("inbox", "U", "", box("inbox")),
    Row("archive", "U", "", box("archive")),
    Row("mail", "U", "U", Json(Mail, slow=True)),
    Row("ctl", "U", "U", Command(lambda at, words: at.domain.user_ctl(words))),
)

# beads/<bead-id>/
BEAD = Table(*(Row(name, "*", "", beads.field(name)) for name in FILES))

# beads/
BEADS = Table(
    Row("ctl", "UA", "UA", Command(beads.command)),
    Row("list", "*", "", GraphList(lambda at: at.domain.beads.list_json(), lambda at: at.domain.beads.list_size())),
    Row("ready", "*", "", GraphList(lambda at: at.domain.beads.ready_json(), lambda at: at.domain.beads.ready_size())),
    Row("<bead-id>", "*", "", Members(BEAD, ids=lambda at: at.domain.beads.each_id(), find_id=beads.find)),
)

MESSAGES = Tail(topic=lambda at: MAIL, page=mail_log)

# agent/
ROOT = Table(
    Row("ctl", "US", "US", Command(lambda at, words: at.domain.root_ctl(at.who, words))),
    Row("list", "*", "", Text(lambda at: at.domain.listing())),
    Row("sessions", "*", "", Text(sessions)),
    Row("backends", "*", "", Text(lambda at: at.domain.backends_listing())),
    Row("roles", "*", "", Text(lambda at: at.domain.roles_listing())),
    Row("tasks", "*", "", Text(lambda at: at.domain.tasks_listing())),
    Row("events", "*", "", Events()),
    Row("events.<seq>", "*", "", Events()),
    Row("log", "*", "", MESSAGES),
    Row("log.now", "*", "", replace(MESSAGES, ends=True)),
    Row("user", "U", "", Folder(MAILBOX)),
    Row("beads", "*", "", Folder(BEADS, slow=True)),
    Row("<id>", "*", "", Sessions(
        SESSION,
        ids=lambda at: at.domain.views(),
        find_id=lambda at, name: at.domain.get(name).id,
        changed=lambda at: found.changed if (found := at.domain.find(at.session)) else 0)),
)  # fmt: skip


class Tree(Directory):
    """The root, for every identity."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        at = Place(domain, Who(), born=int(time.time()))
        super().__init__("/", ROOT, at, changed=lambda at: at.domain.changed())

    def recover(self, tx: Tx) -> None:
        """Finish or report the drafts that were open when a daemon ended. In a job, before anything is served."""
        drafts.recover(self._domain, tx, self._file_of_user)

    def _file_of_user(self, session: str, path: str) -> RowFile | None:
        found: Node | None = Directory(session, SESSION, Place(self._domain, Who(), (session,), session, session))
        for name in path.split("/"):
            found = found.lookup(Who(), name) if isinstance(found, Directory) else None
        return found if isinstance(found, RowFile) else None
