"""The core of a daemon without one: the desk and what lies below it, on a real store, real backend files and a real spool.

Nothing runs in a pane. A test says what an agent reports (``report``), what its process did (``life``) and what is written for it
(``post``, ``send``), and reads what came of it in rows, events and inboxes.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from anvilsrv.agents.spool import Kept
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.clock import Clock
from anvilsrv.desk import outcomes
from anvilsrv.desk.answer import Questions
from anvilsrv.desk.life import Life
from anvilsrv.desk.messages import Messages
from anvilsrv.desk.post import Post
from anvilsrv.desk.report import Reports
from anvilsrv.desk.send import Send
from anvilsrv.mail import box
from anvilsrv.mail.box import Snapshots
from anvilsrv.sessions import prompts, session_rows
from anvilsrv.sessions.happened import Look, Outcomes, Seen
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.registry import Registry, Touched
from anvilsrv.sessions.state import Session
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.effects import Asked, Clear, Effect, Given, Interrupt, Publish, Said, Unasked, Wake
from anvilsrv.store.events import Stream
from anvilsrv.store.store import Store, Tx
from anvilsrv.store.topics import Topics
from tests.scripted import install

T = TypeVar("T")
STORE = "store"  # the name of the store's thread


class Watch(Clock):
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.set = 0.0  # s by which somebody set the machine's clock

    def wall(self) -> float:
        return self.now + self.set

    def monotonic(self) -> float:
        return self.now - 1_600_000_000.0


class Asker:
    """A hook program that brought a report and waits for the reply."""

    def __init__(self) -> None:
        self.replies: list[Mapping[str, Any]] = []

    def answer(self, reply: Mapping[str, Any]) -> None:
        self.replies.append(reply)


class SeenBackends(Backends):
    """The backends, and on which thread their files were read or their Python ran."""

    def __init__(self, directory: Path, threads: set[str]) -> None:
        super().__init__(directory)
        self._threads = threads

    def get(self, name: str) -> Backend:
        self._threads.add(threading.current_thread().name)
        return super().get(name)


class SeenKept(Kept):
    """A session's own directory, and on which thread it was looked into."""

    def __init__(self, state: Path, threads: set[str]) -> None:
        super().__init__(state)
        self._threads = threads

    def spooled(self, session: str) -> list[tuple[object, dict[str, Any]]]:
        self._threads.add(threading.current_thread().name)
        return super().spooled(session)

    def take(self, place: object) -> None:
        self._threads.add(threading.current_thread().name)
        super().take(place)

    def lines(self, session: str, path: str) -> Iterator[dict[str, Any]]:
        self._threads.add(threading.current_thread().name)
        return super().lines(session, path)


class Parts:
    """The parts, as ``app.py`` puts them together. ``errors`` is what the store could tell nobody else."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.clock = Watch()
        self.io: set[str] = set()  # threads on which files were read
        self.errors: list[BaseException] = []
        self.touched: list[Touched] = []
        self.presses: list[Interrupt | Clear] = []
        self.looks: list[Seen] = []  # what is seen next, when somebody looks
        self.stream, self.topics, self.boxes = Stream(), Topics(), Snapshots()
        self.backends = SeenBackends(top / "config" / "backends", self.io)
        self.registry = Registry(self.stream, self.topics, self.backends.known, doing=self.backends.doing)
        self.store = Store(top / "store.db", self._settled, self.errors.append, self.clock)
        self.turns = Turns(self.registry)
        self.post = Post(self.registry, self.turns, self._prompted, self._refusal)
        self.questions = Questions(self.store, self.registry)
        self.life = Life(self.store, self.registry, self.turns, self.post, self.questions, self.backends)
        self.kept = SeenKept(top / "state", self.io)
        self.messages = Messages(self.store, self.registry, self.turns, self.post, self.life.about)
        self.reports = Reports(
            self.store, self.registry, self.turns, self.post, self.questions, self.life, self.backends, self.kept,
            self, self.messages, self.errors.append,
        )  # fmt: skip
        self.send = Send(self.registry, self.turns, self.post)
        self._count = 0

    def start(self) -> "Parts":
        self.store.start()
        self.job(self._load)
        return self

    def close(self) -> None:
        self.reports.close()
        self.store.stop()

    def seen(self, session: str) -> Seen:
        """As ``agents/evidence.py``, by what the test says."""
        self.io.add(threading.current_thread().name)
        return self.looks.pop(0) if self.looks else Seen(Look.FREE)

    def _load(self, tx: Tx) -> None:
        self.stream.load(tx)
        self.boxes.load(tx)
        self.registry.load(tx)

    def _refusal(self, session: Session, text: str) -> str:
        found = self.backends.last(session.backend)
        return "" if found is None else found.refusal(text, session.context.decode())

    def _prompted(self, backend: str) -> bool:
        found = self.backends.last(backend)
        return found is not None and found.mail == "prompt"

    def _settled(self, tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        self.boxes.refresh(tx, touched)
        changed = list(self.registry.refresh(tx, {name for name in touched if " " not in name}))
        self.touched += changed
        for one in changed:
            self.messages.follow(one.before, one.after)
        for effect in effects:
            match effect:
                case Said():
                    self.registry.activity.said(effect)
                case Publish(event):
                    self.stream.publish(event)
                case Wake(topic):
                    self.topics.wake(topic)
                case Asked():
                    self.questions.asked(effect)
                case Unasked():
                    self.questions.unasked(effect)
                case Given():
                    self.messages.given(effect)
                case Interrupt() | Clear():
                    self.presses.append(effect)

    # -- backends ------------------------------------------------------------------------------------------------------

    def backend(self, name: str = "scripted", python: str = "", **changes: Any) -> str:
        """Write a backend, the scripted one with these keys changed; ``python`` is the body of a class ``Odd``. Returns
        its name.
        """
        if python:
            lines = "\n".join(f"    {line}" for line in python.splitlines())
            (self.top / "config" / "backends").mkdir(parents=True, exist_ok=True)
            (self.top / "config" / "backends" / f"{name}.py").write_text(
                f"from anvilsrv.backends.backend import Peculiarity\nclass Odd(Peculiarity):\n{lines}\n"
            )
            changes["python"] = f"{name}.py:Odd"
        install(self.top / "config", name=name, **changes)
        self.backends.get(name)
        self.io.clear()
        return name

    # -- sessions ------------------------------------------------------------------------------------------------------

    def job(self, job: Callable[[Tx], T]) -> T:
        return self.store.call(job)

    def quiet(self) -> None:
        """Wait until what was posted is done, and what that posted in turn."""
        self.reports.idle()
        for _ in range(3):
            self.job(lambda tx: None)

    def new(self, backend: str = "scripted", alias: str = "", parent: str | None = None, policy: str = "") -> str:
        """Create a session whose process does not run yet."""
        if self.backends.last(backend) is None:
            self.backend(backend)
        return self.job(
            lambda tx: self.life.create(
                tx, gaps=[], backend=backend, cwd="/", role="", tasks=[], alias=alias, parent=parent, tier="full", policy=policy
            )
        )  # fmt: skip

    def idle(self, backend: str = "scripted", alias: str = "", parent: str | None = None, policy: str = "") -> str:
        """Create a session whose agent is ready for prompts."""
        made = self.new(backend, alias, parent, policy)
        self.run(made)
        self.report(made, "Ready")
        assert self.row(made).state == "idle"
        return made

    def run(self, session: str) -> int:
        """Let its process run. Returns the pid."""
        self._count += 1
        pid = 100_000 + self._count
        self.job(lambda tx: self.life.launched(tx, session, f"%{pid}", pid, None, None, tx.now.monotonic))
        return pid

    def row(self, session: str) -> Session:
        return self.job(lambda tx: session_rows.get(tx, session))

    def prompt(self, session: str, text: str = "do it", origin: str = "user") -> int:
        """Write a prompt to ``in``. Returns its id."""
        return self.job(lambda tx: self.send.numbered(tx, session, self.send.accept(tx, session, text, origin)).id)

    def get(self, number: int) -> Prompt:
        found = self.job(lambda tx: prompts.get(tx, number))
        assert found is not None
        return found

    def status(self, number: int) -> Status:
        return self.get(number).status

    def open_turns(self, session: str) -> int:
        return self.job(lambda tx: len(tx.all("SELECT 1 FROM turns WHERE session = ? AND status = 'open'", session)))

    def deliver(self, session: str, number: int, to: Status = Status.SENT) -> None:
        """Take the typist's two steps."""
        if self.status(number) == Status.CHOSEN and to != Status.CHOSEN:
            prompt = self.get(number)
            self.happens(
                session, lambda tx: self.turns.delivered.paste(tx, session, number, prompt.tries, prompt.text, None)
            )
        if to == Status.SENT:
            self.happens(session, lambda tx: self.turns.delivered.not_taken(tx, session, number, Seen(Look.OURS)))
        assert self.status(number) == to

    def happens(self, session: str, what: Callable[[Tx], Outcomes]) -> Prompt | None:
        return self.job(lambda tx: outcomes.settle(tx, session, self.post, what(tx)))

    def taken(self, session: str, text: str = "do it") -> int:
        """Let a prompt's turn run. Returns its number."""
        number = self.prompt(session, text)
        self.deliver(session, number)
        self.report(session, "Submit", prompt=text)
        assert self.status(number) == Status.TAKEN
        return number

    # -- agents --------------------------------------------------------------------------------------------------------

    def report(self, session: str, hook: str, number: str = "", **payload: Any) -> Asker:
        """Let the agent's hook report. Returns what it is answered."""
        asker, found = Asker(), self.found(hook, number, **payload)
        self.reports.take(session, found, asker)
        if asker.replies and "take" in asker.replies[0]:  # as the hook program does it
            confirm, ask = (
                Asker(),
                {"report": f"t{self._count}", "take": asker.replies[0]["take"], "of": found["report"]},
            )
            self.reports.take(session, ask, confirm)
            assert confirm.replies == [{"go": True}]
        return asker

    def found(self, hook: str, number: str = "", **payload: Any) -> dict[str, Any]:
        """Return a report as the hook program makes it."""
        self._count += 1
        return {
            "report": number or f"r{self._count}",
            "ts": self.clock.now,
            "hook": hook,
            "payload": payload,
            "takes": True,
        }

    def spool(self, session: str, report: Mapping[str, Any]) -> Path:
        """Leave a report as a hook does while no daemon answers."""
        self._count += 1
        directory = self.top / "state" / "sessions" / session / "ns" / "spool"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self._count:06}.json"
        path.write_text(json.dumps(report))
        return path

    def data(self, session: str) -> Path:
        """Return where the agent keeps its own files."""
        made = self.top / "state" / "sessions" / session / "data"
        made.mkdir(parents=True, exist_ok=True)
        return made

    # -- mail and events -----------------------------------------------------------------------------------------------

    def mail(self, to: str, kind: str = "QUERY_REQUEST", sender: str = "user", **fields: Any) -> str:
        """Write a message to ``mail`` of ``sender``. Returns its id."""
        given = {"to": to, "type": kind, "subject": "s", "body": "b", **fields}
        return self.job(lambda tx: self.post.send(tx, sender, given))

    def inbox(self, owner: str = "user", name: str = "inbox") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.job(lambda tx: box.content(tx, owner, name)))
        return found

    def queue(self, session: str) -> list[str]:
        """Return the text that is on its way or runs, and those that wait, in their order."""
        waiting = {one.id for one in self.job(lambda tx: prompts.waiting(tx, session))}
        return [one.text for one in self.job(lambda tx: prompts.every(tx, session)) if one.id in waiting]

    def events(self, *kinds: str, after: int = 0) -> list[dict[str, Any]]:
        rows = self.job(lambda tx: tx.all("SELECT line FROM events WHERE seq > ? ORDER BY seq", after))
        found: Iterable[dict[str, Any]] = (json.loads(row["line"]) for row in rows)
        return [one for one in found if not kinds or one["type"] in kinds]

    def mark(self) -> int:
        """Return the number of the last event."""
        return max((one["seq"] for one in self.events()), default=0)

    def told(self, after: int) -> list[str]:
        """Return the events since, as words: ``state_change idle``."""
        word = {"state_change": "state", "message": "kind", "error": "error"}
        return [
            f"{one['type']} {one[word[one['type']]]}" if one["type"] in word else one["type"]
            for one in self.events(after=after)
        ]
