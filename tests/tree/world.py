"""The tree without a daemon: a domain with a real store, stream and beads, and sessions that are no more than their views."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from anvilsrv.activity.names import Told
from anvilsrv.activity.recorder import Recorder
from anvilsrv.activity.schema import clean
from anvilsrv.agents.attachments import Attachments
from anvilsrv.beads.beads import Beads
from anvilsrv.errors import AnvilError, Conflict, NotFound
from anvilsrv.p9.tree import LATER, Dir, Handle
from anvilsrv.store.effects import Effect, Publish, Said, Wake
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Store, Tx
from anvilsrv.store.topics import Topics
from anvilsrv.strict_json import json_array
from anvilsrv.tree.access import Who
from anvilsrv.tree.editors import Editors
from anvilsrv.tree.table import Tree

PATIENCE = 20.0  # s; the bound of every wait
USER = Who()
CREATED = 1_700_000_000.0


class Request:
    """A request as the 9P server makes one: answered by the first who claims it, or flushed."""

    def __init__(self, who: Who = USER) -> None:
        self.who = who
        self.answers: list[Any] = []
        self._claimed = False
        self._lock = threading.Lock()
        self._over = threading.Event()

    def claim(self) -> bool:
        """Return True for the first who asks; a flush is a claim that is followed by ``cancel`` of the handle."""
        with self._lock:
            claimed, self._claimed = self._claimed, True
            return not claimed

    def done(self, value: Any = None) -> bool:
        return self._settle(value)

    def fail(self, error: AnvilError | str) -> bool:
        return self._settle(error if isinstance(error, AnvilError) else AnvilError(error))

    def _settle(self, result: Any) -> bool:
        if not self.claim():
            return False
        self.answers.append(result)
        self._over.set()
        return True

    @property
    def answer(self) -> Any:
        """What it was answered with; waits for it. An error is raised."""
        assert self._over.wait(PATIENCE), "no answer"
        (found,) = self.answers
        if isinstance(found, AnvilError):
            raise found
        return found


def call(method: Callable[..., Any], *args: Any) -> Any:
    """Call a method of the tree, and wait if it answers later."""
    req = Request()
    found = method(*args, req)
    return req.answer if found is LATER else found


def flush(handle: Handle, req: Request) -> bool:
    """Do what a Tflush does. Returns False if the answer was on its way already."""
    claimed = req.claim()
    if claimed:
        handle.cancel(req)
    return claimed


class World:
    """A domain (``anvilsrv.tree.domain.Domain``). ``done`` has what was done, in order."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.store = Store(where / "store.db", self._settle, lambda error: None)
        self.stream = Stream()
        self.topics = Topics()
        self.recorder = Recorder()
        self.activity = self.recorder.live
        self.editors = Editors()
        self.attachments = Attachments(lambda session: where / session)  # files are real
        self.beads = Beads(where / "beads", lambda change: None, lambda error: None)
        self.sessions: dict[str, SimpleNamespace] = {}
        self.parents: dict[str, str] = {}
        self.done: list[tuple[Any, ...]] = []
        self.blocks: dict[str, list[bytes]] = {}  # of ``log`` (""), and of each conversation
        self.answers: dict[int, bytes | Conflict] = {}
        self.numbers = 0
        self.prompts: dict[int, str] = {}
        self.running: set[int] = set()
        self.asking: list[Any] = []  # those whose report is not answered yet
        self.reports_wait = False
        self.refusal: AnvilError | None = None
        self.on_write: Callable[[], None] | None = None

    def _settle(self, tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish(event):
                    self.stream.publish(event)
                case Said():
                    self.recorder.said(effect)
                case Wake(topic):
                    self.topics.wake(topic)

    def add(self, session: str, alias: str = "", parent: str = "") -> None:
        """Add one more session."""
        (self.where / session).mkdir()
        self.sessions[session] = SimpleNamespace(
            id=session, alias=alias, state="idle", context=b"be kind", ask=(), pid=12, cwd="/w", backend="shell", role="",
            tasks=("a", "b"), policy="tier full", usage={}, seen=0, last=3, numbers=4, changed=CREATED + 5, created=CREATED,
            shown_of_emacs=lambda: ["xref", "buffers"], readable=lambda: (["/w"], ["/w/secret"]),
        )  # fmt: skip
        if parent:
            self.parents[session] = parent

    # -- what is shown

    def views(self) -> Mapping[str, Any]:
        return self.sessions

    def find(self, name: str) -> Any:
        named = (one for one in self.sessions.values() if name in (one.id, one.alias))
        return next(named, None)

    def get(self, name: str) -> Any:
        found = self.find(name)
        if found is None:
            raise NotFound(f"no such session '{name}'")
        return found

    def descends(self, child: str, ancestor: str) -> bool:
        above = self.parents.get(child)
        return above is not None and (above == ancestor or self.descends(above, ancestor))

    def changed(self) -> float:
        return CREATED + 9

    def stamp(self, session: str, name: str) -> float:
        return self.get(session).created + 1

    def listing(self) -> bytes:
        return b"".join(f"{one}\n".encode() for one in self.sessions)

    def roles_listing(self) -> bytes:
        return b"default\twork\t/cfg/roles/default.yaml\n"

    def tasks_listing(self) -> bytes:
        return b"git\tfetching\t/cfg/tasks/git.yaml\n"

    def backends_listing(self) -> bytes:
        return b"shell\n"

    def summaries(self) -> bytes:
        return json_array(self.summary(view, True) for view in self.views().values())

    def summary(self, view: Any, attach: bool) -> str:
        return json.dumps({"id": view.id, "tmux": self.attach(view) if attach else ""})

    def attach(self, view: Any) -> str:
        return f"tmux attach {view.id}"

    def box_length(self, owner: str, box: str) -> int:
        return len(f"{box} of {owner}")

    # -- what is done

    def root_ctl(self, who: Who, words: list[str]) -> str | None:
        self.done.append(("root", who, *words))
        return "made"

    def user_ctl(self, words: list[str]) -> str | None:
        self.done.append(("user", *words))
        return None

    def session_ctl(self, who: Who, session: str, words: list[str]) -> str | None:
        self.done.append((session, who, *words))
        return None

    def report(self, session: str | None, why: str, told: Callable[[], None], by: str) -> None:
        self.done.append(("report", session, why))
        told()

    def error(self, tx: Tx, session: str, why: str) -> None:
        self.done.append(("error", session, why))

    def refuse(self, error: AnvilError | None) -> None:
        """Let everything that can be refused be refused with this."""
        self.refusal = error

    def limits(self, session: str) -> bytes:
        return b"memory - 8G\n"

    def limit(self, session: str, text: str) -> None:
        self._do("limit", session, text)

    def _do(self, *what: Any) -> None:
        if self.refusal:
            raise self.refusal
        self.done.append(what)

    def check_prompt(self, tx: Tx, session: str) -> None:
        if self.on_write:
            self.on_write()
        if self.refusal:
            raise self.refusal

    check_session = check_prompt

    def accept(self, tx: Tx, session: str, text: str, origin: str, n: int) -> int:
        self._do("accept", session, text, origin)
        return n

    def options(self, tx: Tx, session: str) -> bytes:
        return b"model\tsmall\tsmall\tlarge\n"

    def choose(self, tx: Tx, session: str, text: str, origin: str) -> None:
        self._do("choose", session, text)

    def commands(self, tx: Tx, session: str) -> bytes:
        return b"compact\tshorten\n"

    def set_context(self, tx: Tx, session: str, text: str) -> None:
        self._do("context", session, text)

    def number(self, tx: Tx, session: str) -> int:
        self.numbers += 1
        return self.numbers

    def numbered(self, tx: Tx, session: str, n: int) -> int:
        if n not in self.prompts:
            raise NotFound(f"no such prompt {n}")
        return n

    def prompt_text(self, tx: Tx, session: str, n: int) -> bytes:
        return self.prompts[self.numbered(tx, session, n)].encode()

    def check_edit(self, tx: Tx, session: str, n: int) -> None:
        self.check_prompt(tx, session)

    def edit(self, tx: Tx, session: str, n: int, text: str) -> None:
        self._do("edit", n, text)

    def turns(self, tx: Tx, session: str) -> bytes:
        return b"".join(f"{n}\tqueued\n".encode() for n in self.prompts)

    def turn_ctl(self, session: str, n: int, words: list[str]) -> str | None:
        self._do("turn", n, *words)
        return None

    def last_prompt(self, tx: Tx, session: str) -> int:
        return max(self.answers, default=0)

    def response(self, tx: Tx, prompt: int) -> bytes | None:
        found = self.answers[prompt]
        if isinstance(found, Conflict):
            raise found
        return found or None

    def answered(self, prompt: int, answer: bytes | Conflict) -> None:
        """Answer a prompt, or say that its answer cannot come."""

        def job(tx: Tx) -> None:
            self.answers[prompt] = answer
            self.topics.notify(tx, f"out {prompt}")

        self.store.call(job)

    def conversation(self, tx: Tx, session: str, cursor: object) -> tuple[bytes, object]:
        self.get(session)
        at = cursor if isinstance(cursor, int) else 0
        found = self.blocks.get(session, [])[at : at + 3]
        return b"".join(found), at + len(found)

    def activity_page(self, tx: Tx, session: str, after: int, turn: int | None) -> tuple[bytes, int, bool]:
        self.get(session)
        return self.recorder.page(tx, session, after, turn)

    def turn_of(self, tx: Tx, session: str, n: int) -> int:
        return self.numbered(tx, session, n)

    def is_over(self, tx: Tx, session: str, n: int) -> bool:
        return n not in self.running

    def tell(self, *told: dict[str, Any], turn: int = 1) -> None:
        """Tell what the first session's agent reports."""

        def job(tx: Tx) -> None:
            self.recorder.tell(
                tx, next(iter(self.sessions)), [Told(clean(one.pop("kind"), one) or {}, turn) for one in told]
            )

        self.store.call(job)

    def mail_log(self, tx: Tx, shown: Callable[[Iterable[str]], bool], cursor: int) -> tuple[bytes, int]:
        found = self.blocks.get("", [])[cursor:]
        return b"".join(one for one in found if shown([one.split()[0].decode()])), cursor + len(found)

    def said(self, session: str, *blocks: bytes) -> None:
        """Add more to a log."""

        def job(tx: Tx) -> None:
            self.blocks.setdefault(session, []).extend(blocks)
            self.topics.notify(tx, f"log {session}".strip())

        self.store.call(job)

    def rename(self, tx: Tx, session: str, alias: str) -> None:
        self._do("alias", session, alias)

    def see(self, tx: Tx, session: str, number: str) -> None:
        self._do("seen", session, number)

    def write_state(self, tx: Tx, session: str, word: str) -> None:
        self._do("state", session, word)

    def answer(self, session: str, choice: str) -> None:
        self._do("answer", session, choice)

    def box(self, tx: Tx, owner: str, box: str) -> bytes:
        return f"{box} of {owner}".encode()

    def send(self, tx: Tx, sender: str, fields: dict[str, Any]) -> None:
        self._do("send", sender, fields)

    def take_report(
        self, session: str, report: dict[str, Any], waiting: Any, done: Callable[[BaseException | None], None]
    ) -> None:
        try:
            self._do("report", session, report)
        except AnvilError as error:
            return done(error)
        if self.reports_wait:
            self.asking.append(waiting)
        else:
            waiting.answer({"report": report})
        return done(None)

    def abandoned(self, session: str, waiting: Any) -> None:
        self.store.post(lambda tx: self.done.append(("abandoned", session)))


@contextmanager
def a_world(where: Path) -> Iterator[World]:
    world = World(where)
    world.store.start()
    try:
        yield world
    finally:
        world.store.stop()
        world.beads.close()


def node(tree: Tree, who: Who, path: str) -> Any:
    """Return the node at ``path`` as ``who`` finds it. Raises NotFound."""
    found: Any = tree
    for name in path.split("/"):
        assert isinstance(found, Dir), f"{found.name} is not a directory"
        found = found.lookup(who, name)
        if found is None:
            raise NotFound(f"no such file '{path}'")
    return found


def open_file(tree: Tree, path: str, mode: int = 0, who: Who = USER) -> Any:
    """Return a handle."""
    return call(node(tree, who, path).open, who, mode)


def until(what: Callable[[], object], why: str) -> None:
    """Wait for something that has no event to wait for."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, why
        threading.Event().wait(0.005)
