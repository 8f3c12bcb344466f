"""A daemon that is killed again and again while four clients write to it: nothing that was answered may be lost.

Shared by tests/daemon/test_never_lost.py (a few kills) and bench/kills.py (many, with a seed).
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client
from tests.conftest import Daemon, wait_until
from tests.session import Session

LONGEST = 0.25  # s of writing before a kill


class Kills:
    """Writers that go on until the daemon is gone, and what of theirs was answered. AssertionError says what was lost."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self.daemon = daemon
        self.session = Session.new(daemon)
        self.prompts: list[str] = []
        self.subjects: list[str] = []
        self.contexts: list[str] = []
        self.aliases: list[str] = []
        self.starts: list[float] = []  # s until the daemon served again
        self._random = random.Random(seed)
        self._round = 0

    def run(self, count: int) -> None:
        """Kill so many times at random points, look after each, and at last see that every prompt ran exactly once."""
        for _ in range(count):
            self._kill(self._random.uniform(0.0, LONGEST))
            self._look()
        assert self.session.again().ask("echo end") == "end\n"
        ran = Counter((self.daemon.home.work / "ran").read_text().split())
        assert min(len(self.prompts), len(self.subjects)) > count / 2, "there was no load"
        assert set(self.prompts) - set(ran) == set(), "prompts were lost"
        assert [text for text, times in ran.items() if times > 1] == [], "prompts were typed twice"

    def _kill(self, seconds: float) -> None:
        writers = (self._prompt, self._mail, self._context, self._alias)
        threads = [threading.Thread(target=self._go_on, args=(write,)) for write in writers]
        self._round += 1
        before = len(self.subjects)
        for thread in threads:
            thread.start()
        if self._round % 5:  # every fifth kill may come before anything is answered
            wait_until(lambda: len(self.subjects) > before, "nothing is answered")
        threading.Event().wait(seconds)
        self.daemon.kill()
        for thread in threads:
            thread.join()
        began = time.monotonic()
        self.daemon.start()
        self.starts.append(time.monotonic() - began)

    def _look(self) -> None:
        """What was not answered may be there as well: it was accepted, and the answer is what got lost."""
        with Client(str(self.daemon.home.socket), timeout=30) as client:
            found = Counter(one["subject"] for one in json.loads(client.read("user/inbox")))
            assert set(self.subjects) - set(found) == set(), f"mail was lost, kill {self._round}"
            assert max(found.values(), default=1) == 1, f"mail came twice, kill {self._round}"
            for name, answered in (("context", self.contexts), ("alias", self.aliases)):
                text = client.read(f"{self.session.id}/{name}").decode()
                assert number(text) >= number(answered[-1] if answered else ""), f"{name}: {text!r}, kill {self._round}"

    def _go_on(self, write: Callable[[Client, str], None]) -> None:
        count = 0
        try:
            with Client(str(self.daemon.home.socket), timeout=10) as client:
                while True:
                    count += 1
                    write(client, f"{self._round}-{count}")
        except AnvilError:
            return

    def _prompt(self, client: Client, token: str) -> None:
        if self._round % 5 == 1 or len(self.prompts) < 5 * self._round:  # the queue is not to grow for ever
            client.write(f"{self.session.id}/in", f"echo p{token} >> ran".encode())
            self.prompts.append(f"p{token}")
        else:
            client.read(f"{self.session.id}/state")

    def _mail(self, client: Client, token: str) -> None:
        client.write(f"{self.session.id}/mail", f'{{"to":"user","type":"LOG_ERROR","subject":"{token}"}}'.encode())
        self.subjects.append(token)

    def _context(self, client: Client, token: str) -> None:
        client.write(f"{self.session.id}/context", f"context {token}".encode())
        self.contexts.append(f"context {token}")

    def _alias(self, client: Client, token: str) -> None:
        client.write(f"{self.session.id}/alias", f"a{token}".encode())
        self.aliases.append(f"a{token}")


def number(text: str) -> tuple[int, int]:
    """Return the round and count of a token, to compare which came later."""
    digits = text.strip().removeprefix("context ").removeprefix("a")
    first, _, second = digits.partition("-")
    return (int(first), int(second)) if second else (0, 0)
