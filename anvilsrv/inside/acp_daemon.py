"""What the front tells the daemon and gets from it: reports, the next prompt, answers to questions. All through the session's
``hook``.

A prompt is fetched in two steps: ``next`` brings it, and ``take`` says whether it may be given to the agent. Between the two
anything may be killed: a prompt that was not taken is fetched again, one that was is given to no other.

Threads: ``reports`` sends them in their order; ``next`` fetches a prompt; one ``ask <number>`` for each question that is open.
What they learn goes to ``events``. Everything else may be called from the thread of the front. ``close`` ends and joins them.
"""

import json
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.errors import AnvilError
from anvilsrv.inside import hook
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client, ConnectionLost, P9Error
from anvilsrv.strict_json import loads_bytes

CONNECT = 2.0  # s
PAUSES = (0.1, 0.5, 1.0, 2.0)  # s before another try; the last repeats
LAST = 5.0  # s for what is still to be reported at the end


@dataclass(frozen=True)
class Offered:
    """The daemon has a prompt. ``link`` names it in what is asked and told of it."""

    take: int
    number: int
    text: str
    context: str
    link: str


@dataclass(frozen=True)
class Go:
    """Whether it may be given to the agent."""

    offered: Offered
    go: bool


@dataclass(frozen=True)
class Chosen:
    """The user chose these options."""

    values: Mapping[str, str]


@dataclass(frozen=True)
class Answered:
    """The question of that number was answered; empty: it was withdrawn."""

    number: int
    words: str


Event = Offered | Go | Chosen | Answered


class Call:
    """One open of ``hook``, on a connection of its own, which ``close`` ends from any thread. Raises AnvilError."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._file: Any = None
        self.closed = False

    def open(self) -> None:
        """Connect, unless that is so."""
        if self._file is not None:
            return
        session = os.environ.get("ANVILLM_SESSION", "")
        path = f"{os.environ.get('NAMESPACE', '').rstrip('/')}/agent"
        client = Client(path, uname=session, timeout=CONNECT)
        with self._lock:
            self._client = client
            if self.closed:
                client.close()
                raise ConnectionLost("connection is closed")
        self._file = client.open(f"{session}/hook", wire.ORDWR)

    def exchange(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Write a report, and wait for its reply for as long as it takes."""
        file = self._file
        file.write(json.dumps(report).encode("ascii"), timeout=hook.TIMEOUT)
        file.offset = 0
        found = loads_bytes(file.read_all(None) or b"{}")
        return found if isinstance(found, dict) else {}

    def renew(self) -> None:
        """Renew: the connection is broken, ``open`` makes another."""
        with self._lock:
            client, self._client, self._file = self._client, None, None
        if client is not None:
            client.close()

    def close(self) -> None:
        """Close: whatever waits on it gets ConnectionLost."""
        with self._lock:
            self.closed, client = True, self._client
        if client is not None:
            client.close()


class Daemon:
    """The daemon, as the front sees it. ``tell`` gets the events."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._reports: queue.SimpleQueue[tuple[str, Mapping[str, Any], float] | threading.Event | None] = (
            queue.SimpleQueue()
        )
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._call = Call()  # of the prompt that is being fetched
        self._fetcher: threading.Thread | None = None
        self._questions: dict[int, tuple[Call, threading.Thread]] = {}
        self._numbers = 0
        self._reporter = threading.Thread(target=self._report, name="reports", daemon=True)
        self._reporter.start()

    # -- reports

    def report(self, name: str, **payload: Any) -> None:
        """Tell it, after what was told before."""
        self._reports.put((name, payload, time.monotonic()))

    def _report(self) -> None:
        while (one := self._reports.get()) is not None:
            if isinstance(one, threading.Event):
                one.set()
                continue
            name, payload, made = one
            hook.send(name, payload, mono=made)

    # -- prompts

    def fetch(self, chosen: Mapping[str, str]) -> None:
        """Fetch the next prompt: it comes as Offered; or, if options other than these were chosen, Chosen comes.

        Nothing if it is being fetched."""
        if self._fetcher is None:
            self._call = Call()
            self._asked = queue.SimpleQueue()
            self._fetcher = threading.Thread(
                target=self._next, args=(self._call, self._asked, dict(chosen)), name="next", daemon=True
            )
            self._fetcher.start()

    def leave(self) -> None:
        """Stop wanting it; the daemon keeps it."""
        self._call.close()
        self._asked.put(False)
        self._fetcher = None

    def take(self) -> None:
        """Ask whether what was offered may be given to the agent: the answer comes as Go."""
        self._asked.put(True)

    def _next(self, call: Call, asked: "queue.SimpleQueue[bool]", chosen: Mapping[str, str]) -> None:
        found: dict[str, Any] | None = {}
        while found is not None and not isinstance(found.get("take"), int):
            if call.closed or self._closing.is_set():
                return
            link = _number()
            found = self._until({"report": link, "hook": "next", "mono": time.monotonic(), "chosen": chosen}, call)
            if found is not None and isinstance(values := found.get("choose"), dict):
                self._tell(Chosen({str(name): str(value) for name, value in values.items()}))
                return
        if found is None:
            return
        offered = Offered(
            found["take"], int(found.get("n") or 0), str(found.get("text")), str(found.get("context") or ""), link
        )
        self._tell(offered)
        if not asked.get():
            return
        question = {"report": _number(), "take": offered.take, "of": link, "turn": link}
        self._tell(Go(offered, self._settled(question, call)))

    def _settled(self, question: Mapping[str, Any], call: Call) -> bool:
        """Return whether it may be handed on; asked until the daemon says so, or another one does: it knows."""
        while not self._closing.is_set():
            found = self._until({**question, "mono": time.monotonic()}, call)
            if found is not None and "go" in found:
                return found["go"] is True
            if found is None and call.closed and not self._closing.is_set():
                call = Call()
        return False

    def _until(self, report: Mapping[str, Any], call: Call) -> dict[str, Any] | None:
        """Return the reply, from a daemon that is there, or will be again; None once it is not wanted any more."""
        tries = 0
        while not self._closing.is_set() and not call.closed:
            try:
                call.open()
                return call.exchange(report)
            except AnvilError as error:
                if call.closed:
                    return None
                call.renew()
                tries = max(tries, 2 if isinstance(error, P9Error) else 0)
            self._closing.wait(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1
        return None

    # -- questions

    def ask(self, payload: Mapping[str, Any]) -> int:
        """Ask the user, after what was reported before; the answer comes as Answered. Returns the question's number."""
        self._numbers += 1
        number, call, reported = self._numbers, Call(), threading.Event()
        self._reports.put(reported)
        thread = threading.Thread(
            target=self._ask, args=(number, payload, call, reported), name=f"ask {number}", daemon=True
        )
        self._questions[number] = (call, thread)
        thread.start()
        return number

    def unask(self, number: int) -> None:
        """Withdraw the question: it is answered, or gone."""
        found = self._questions.pop(number, None)
        if found is not None:
            found[0].close()

    def _ask(self, number: int, payload: Mapping[str, Any], call: Call, reported: threading.Event) -> None:
        while not reported.wait(PAUSES[-1]):
            if call.closed or self._closing.is_set():
                return
        report = {"report": _number(), "ts": time.time(), "mono": time.monotonic(), "hook": "Ask", "payload": payload}
        found = self._until(report, call)
        words = found.get("stdout") if found is not None else None
        if found is not None:
            self._tell(Answered(number, words if isinstance(words, str) else ""))

    def close(self) -> None:
        """Close. What was reported goes out first, if the daemon takes it in time."""
        self._reports.put(None)
        self._reporter.join(LAST)
        self._closing.set()
        fetcher = self._fetcher
        self.leave()
        for number in list(self._questions):
            self.unask(number)
        if fetcher is not None:
            fetcher.join(CONNECT)


def _number() -> str:
    return os.urandom(16).hex()
