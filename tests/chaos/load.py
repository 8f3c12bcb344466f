"""Who writes to the daemon meanwhile, and a ledger of what each was told.

Each session has two threads of its own: one that sends prompts and now and then withdraws one or waits for its answer, one that sends
mail to the other sessions. A prompt's text begins with a token that nothing else has; so does a message's subject.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from anvilsrv.errors import AnvilError
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client, P9Error
from tests.session import Session

SILENCE = 60.0  # s that a writer waits for a reply: longer than any silence
ANSWER = 15.0  # s after which the queue of a session is told to go on
AHEAD = 4  # prompts of a session that are not answered yet
KINDS = ("QUERY_REQUEST", "REVIEW_RESPONSE", "LOG_ERROR")


@dataclass
class Ledger:
    """What the writers of one session were told. A token that is in none of these was refused."""

    sent: dict[str, str] = field(default_factory=dict)  # prompts: token -> the whole text
    accepted: set[str] = field(default_factory=set)  # prompts that the daemon has taken
    unknown: set[str] = field(default_factory=set)  # prompts and mail whose reply never came: done once, or not at all
    numbers: dict[str, int] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)  # by the reason
    wrong: list[str] = field(default_factory=list)  # answers that were not those of their prompts
    mailed: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)  # those that are answered


class Writer:
    """What the two threads of a session have in common: a connection that is made again, and an end."""

    def __init__(self, session: Session, ledger: Ledger, over: threading.Event, rng: random.Random) -> None:
        self.session = session
        self.id = session.id
        self.ledger = ledger
        self.over = over
        self.rng = rng
        self.client: Client | None = None
        self.thread = threading.Thread(target=self._run)
        self.failed: BaseException | None = None

    def _run(self) -> None:
        count = 0
        try:
            while not self.over.wait(self.rng.uniform(0.0, 0.4)):
                count += 1
                self.once(count)
        except BaseException as error:
            self.failed = error
        finally:
            if self.client is not None:
                self.client.close()

    def once(self, count: int) -> None:
        raise NotImplementedError

    def connection(self) -> Client | None:
        """Return a connection to whatever daemon is there; None when the run is over first."""
        while self.client is None and not self.over.is_set():
            try:
                self.client = Client(str(self.session.daemon.home.socket), timeout=SILENCE)
            except AnvilError:
                self.over.wait(0.05)
        return self.client

    def lost(self) -> None:
        """The daemon is gone."""
        if self.client is not None:
            self.client.close()
        self.client = None


class Prompter(Writer):
    """Sends prompts."""

    def __init__(
        self, session: Session, name: str, text: Callable[[str, bool], str], ledger: Ledger, over: threading.Event,
        rng: random.Random,
    ) -> None:  # fmt: skip
        super().__init__(session, ledger, over, rng)
        self._name = name
        self._text = text
        self._ahead = 0

    def once(self, count: int) -> None:
        token = f"p{self._name}{count}"
        text = self.ledger.sent[token] = self._text(token, self.rng.random() < 0.15)
        number = self._send(token, text)
        self._ahead += number is not None
        if number is None:
            return
        self.ledger.numbers[token] = number
        if self.rng.random() < 0.1:
            self._withdraw(token, number)
        elif self._ahead >= AHEAD or self.rng.random() < 0.3:
            self._wait(token, number)
            self._ahead = 0

    def _send(self, token: str, text: str) -> int | None:
        """Return the number of the prompt; None if it has none, or nobody told."""
        client, begun = self.connection(), False
        if client is None:
            return None
        try:
            if client.read(f"{self.id}/state") == b"error\n":
                help_on(client, self.id)
            with client.open(f"{self.id}/in", wire.ORDWR) as file:
                self.ledger.unknown.add(token)
                begun = file.write(text.encode()) > 0
                self.ledger.accepted.add(token)  # a write that was answered takes effect
                if self.rng.random() < 0.3:
                    self.over.wait(self.rng.uniform(0.0, 0.5))  # somebody else writes meanwhile
                file.write(b"")
                file.offset = 0
                return int(file.read_all())
        except P9Error as error:
            self.ledger.refused[str(error)] += 1
            if begun:  # what it was told last is that it is not taken
                self.ledger.accepted.discard(token)
            else:
                self.ledger.unknown.discard(token)
        except AnvilError:
            self.lost()
        return None

    def _withdraw(self, token: str, number: int) -> None:
        client = self.connection()
        try:
            if client is not None:
                client.write(f"{self.id}/turns/{number}/ctl", b"drop")
                self.ledger.withdrawn.add(token)
        except P9Error:
            pass  # it is on its way already
        except AnvilError:
            self.lost()  # done or not: then it was, or was not

    def _wait(self, token: str, number: int) -> None:
        while not self.over.is_set() and (client := self.connection()) is not None:
            try:
                answer = client.read(f"{self.id}/turns/{number}/out", timeout=ANSWER).decode()
                if answer not in (f"{token}\n", self.ledger.sent[token]):
                    self.ledger.wrong.append(f"{token} got {answer[:80]!r}")
                return
            except P9Error:
                return  # it failed: the list says so, too
            except AnvilError:
                self._go(client)

    def _go(self, client: Client) -> None:
        """Do what a person does when no answer comes. The queue may be held, after a prompt that could not be
        delivered.
        """
        try:
            help_on(client, self.id)
        except P9Error:
            pass
        except AnvilError:
            self.lost()


def help_on(client: Client, session: str) -> None:
    """Let a queue that is held go on, and start an agent again that could not be started, on a full disk. Raises AnvilError."""
    if client.read(f"{session}/state") in (b"error\n", b"stopped\n"):
        client.write(f"{session}/ctl", b"restart")
    client.write(f"{session}/ctl", b"go")


class Mailer(Writer):
    """Sends mail."""

    def __init__(
        self, session: Session, name: str, others: list[str], ledger: Ledger, over: threading.Event, rng: random.Random
    ) -> None:
        super().__init__(session, ledger, over, rng)
        self._name = name
        self._others = others

    def once(self, count: int) -> None:
        token, kind = f"m{self._name}{count}", self.rng.choice(KINDS)
        fields = {"to": self.rng.choice(self._others), "type": kind, "subject": token, "body": "x"}
        client = self.connection()
        if client is None:
            return
        try:
            client.write(f"{self.id}/mail", json.dumps(fields).encode())
            self.ledger.mailed.add(token)
            if kind == "QUERY_REQUEST":
                self.ledger.asked.add(token)
        except P9Error as error:
            self.ledger.refused[str(error)] += 1
        except AnvilError:
            self.ledger.unknown.add(token)
            self.lost()
        self.over.wait(self.rng.uniform(0.0, 1.0))


def end(writers: list[Writer], over: threading.Event) -> None:
    """Let them come to their end, and raise what one of them met."""
    over.set()
    until = time.monotonic() + 2 * SILENCE
    for one in writers:
        one.thread.join(max(0.0, until - time.monotonic()))
        assert not one.thread.is_alive(), "a writer does not end"
        if one.failed is not None:
            raise one.failed
