"""Who works with one session of a fleet: one that prompts, one that answers questions, a person who types in its pane.

A prompt holds a token that nothing else has; so does a line that the person types. What the model is to do with it is in the prompt
(tests/real_agents/model.py).
"""

import json
import random
import re
import subprocess
import threading
from collections.abc import Callable

from anvilsrv.errors import AnvilError
from anvilsrv.p9 import wire
from anvilsrv.p9.client import P9Error
from tests.chaos.load import Ledger, Writer, help_on
from tests.real_agents.directives import command
from tests.session import Session

TOKEN = re.compile(r"\b[pt][a-z]\d+\b")
ANSWER = 40.0  # s after which the queue of a session is told to go on
AHEAD = 3  # prompts of a session that are not answered yet


def allowed(token: str) -> bool:
    """Return whether the user allows what that prompt makes the agent ask for; the same for whoever asks."""
    return random.Random(token).random() < 0.6


def shapes(kind: str, asks: bool) -> list[Callable[[str], str]]:
    """Return what prompts may look like; ``asks``: of an agent that asks for permissions."""
    made: list[Callable[[str], str]] = [
        lambda token: f"{token}: answer",
        lambda token: f"{token}: answer\nwith two lines",
        lambda token: f"@@slow 2 {token} one two three four\n{token}",
        lambda token: f"@@fail 400 {token} is refused\n{token}",
        lambda token: f"@@hold g{token} {token} one two three four",
    ]
    if asks:
        run = lambda token: command(kind, f"echo {token} >> ran", ask=True)  # noqa: E731
        made += [run] * 4
    if kind == "claude":
        made += [both] * asks
        made.append(background)
    return made


def both(token: str) -> str:
    """Two tools at once: two questions."""
    lines = (json.dumps({"command": f"echo {token} >> {name}", "description": "x"}) for name in ("ran", "ran2"))
    return f"@@both {' ;; '.join(f'Bash {line}' for line in lines)}"


def background(token: str) -> str:
    """Return the directive for a task in the background, whose end wakes the agent."""
    return f"@@call Bash {json.dumps({'command': f'sleep 2; echo {token}', 'description': 'x', 'run_in_background': True})}"


class Prompter(Writer):
    """Sends prompts; interrupts some, and lets those go on that a model holds."""

    def __init__(
        self, session: Session, name: str, made: list[Callable[[str], str]], release: Callable[[str], None],
        ledger: Ledger, over: threading.Event, rng: random.Random,
    ) -> None:  # fmt: skip
        super().__init__(session, ledger, over, rng)
        self._name = name
        self._made = made
        self._release = release
        self._ahead = 0

    def once(self, count: int) -> None:
        token = f"p{self._name}{count}"
        text = self.ledger.sent[token] = self.rng.choice(self._made)(token)
        number = self._send(token, text)
        if number is None:
            return
        self.ledger.numbers[token] = number
        self._ahead += 1
        if text.startswith("@@hold"):
            self.over.wait(self.rng.uniform(0.5, 6.0))
            if self.rng.random() < 0.5:
                self._do("interrupt")
            self._release(f"g{token}")
        if self._ahead >= AHEAD or self.rng.random() < 0.4:
            self._wait(number)
            self._ahead = 0
        self.over.wait(self.rng.uniform(0.0, 3.0))

    def _send(self, token: str, text: str) -> int | None:
        """Return the number of the prompt; None if it has none, or nobody told."""
        client = self.connection()
        if client is None:
            return None
        try:
            with client.open(f"{self.id}/in", wire.ORDWR) as file:
                self.ledger.unknown.add(token)
                file.write(text.encode())
                self.ledger.accepted.add(token)  # a write that was answered takes effect
                file.write(b"")
                file.offset = 0
                return int(file.read_all())
        except P9Error as error:
            self.ledger.refused[str(error)[:100]] += 1
            self.ledger.accepted.discard(token)
            self._help()
        except AnvilError:
            self.lost()
        return None

    def _wait(self, number: int) -> None:
        while not self.over.is_set() and (client := self.connection()) is not None:
            try:
                client.read(f"{self.id}/turns/{number}/out", timeout=ANSWER)
                return
            except P9Error:
                return  # it failed: the list says so, too
            except AnvilError:
                self._help()

    def _help(self) -> None:
        client = self.connection()
        try:
            if client is not None:
                help_on(client, self.id)
        except P9Error:
            pass
        except AnvilError:
            self.lost()

    def _do(self, word: str) -> None:
        client = self.connection()
        try:
            if client is not None:
                client.write(f"{self.id}/ctl", word.encode())
        except P9Error:
            pass  # it was over before
        except AnvilError:
            self.lost()


class Answerer(Writer):
    """Answers what the session asks, each question by its id, in another order than they came."""

    def once(self, count: int) -> None:
        client = self.connection()
        if client is None:
            return
        try:
            open_now = [json.loads(line) for line in client.read(f"{self.id}/ask").decode().splitlines()]
            self.rng.shuffle(open_now)
            for one in open_now:
                token = TOKEN.search(json.dumps(one))
                choice = "allow" if token is not None and allowed(token[0]) else "deny"
                client.write(f"{self.id}/answer", f"{one['id']} {choice}".encode())
                self.ledger.refused[choice] += 1
        except P9Error:
            pass  # somebody else was sooner, or it is gone
        except AnvilError:
            self.lost()
        self.over.wait(self.rng.uniform(0.2, 2.0))


class Person(Writer):
    """Types into the pane: lines of her own, half lines that she takes back."""

    def __init__(self, session: Session, name: str, ledger: Ledger, over: threading.Event, rng: random.Random) -> None:
        super().__init__(session, ledger, over, rng)
        self._name = name

    def once(self, count: int) -> None:
        self.over.wait(self.rng.uniform(10.0, 40.0))
        token = f"t{self._name}{count}"
        if self._asked() or self._emptied():  # her Enter would answer it
            return
        self._keys("-l", f"typed {token}")
        self.over.wait(self.rng.uniform(0.3, 2.0))
        if self.rng.random() < 0.5 and not self._asked():
            self.ledger.sent[token] = token
            self._keys("Enter")
        else:
            self._keys("C-e")
            for _ in range(len(token) + 6):
                self._keys("BSpace")

    def _asked(self) -> bool:
        """Return whether a question is open, or that cannot be told now."""
        client = self.connection()
        try:
            return client is None or bool(client.read(f"{self.id}/ask"))
        except P9Error:
            return True
        except AnvilError:
            self.lost()
            return True

    def _emptied(self) -> bool:
        """Return whether she took back what was left of a line of hers: part of a prompt was typed into it."""
        client = self.connection()
        try:
            rows = json.loads(client.read("sessions")) if client is not None else []
        except AnvilError:
            self.lost()
            return True
        held = next((row["held"] for row in rows if row["id"] == self.id), "")
        return emptied(self.session, held)

    def _keys(self, *names: str) -> None:
        press(self.session, *names)


def press(session: Session, *names: str) -> None:
    """Press keys in the pane of a session, as a person who is attached does."""
    socket = session.daemon.home.namespace / "anvillm.tmux"
    argv = ["tmux", "-S", str(socket), "send-keys", "-t", session.id, *names]
    subprocess.run(argv, capture_output=True, check=False, timeout=30)


def emptied(session: Session, held: str) -> bool:
    """Take back all that stands in the input of a session, if its queue is ``held`` by it; return whether it was."""
    typing = "typing" in held
    if typing:
        press(session, "C-e")
        press(session, "-N", "400", "BSpace")
    return typing
