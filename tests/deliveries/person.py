"""A person at the keyboard of an agent's pane: turns the wheel, types half lines, answers questions, resizes the window.

Threads: ``Person`` has one of its own, which does one thing after another, and one that reads what the terminal is sent.
"""

import fcntl
import os
import pty
import random
import signal
import struct
import subprocess
import termios
import threading
import time
from collections import Counter

from anvilsrv.errors import AnvilError
from tests.conftest import PATIENCE
from tests.session import Session

UP, DOWN = b"\x1b[<64;5;5M", b"\x1b[<65;5;5M"
ALTERNATE = b"\x1b[?1049h"  # what tmux draws begins with this
STUCK = 10.0  # s after which a person clears what is in the way, be it a prompt; an agent that has little time draws late what is typed
SOON = 1.0  # s in which a prompt may come that a person adds a key to


class Person:
    """Works in the pane of ``agent`` until it is closed. ``did``: what, and how often."""

    def __init__(self, agent: Session, seed: int, clear: tuple[str, ...], pace: float) -> None:
        self.did: Counter[str] = Counter()
        self.errors: list[str] = []
        self._agent, self._clear, self._pace = agent, clear, pace
        self._chance = random.Random(seed)
        self._rows = agent.again()
        self._over = threading.Event()
        self._master, slave = pty.openpty()
        self._size(80, 24)
        self._attached = threading.Event()
        argv = ["sh", "-c", agent.read("tmux").splitlines()[-1]]  # the line that a person is given for it
        env = {**agent.daemon.home.env, "TERM": "xterm-256color"}
        self._client = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
        os.close(slave)
        self._threads = [
            threading.Thread(target=self._work, name="person"),
            threading.Thread(target=self._see, name="eyes"),
        ]
        for one in self._threads:
            one.start()
        assert self._attached.wait(PATIENCE), f"the person sees nothing: {self._client.poll()}"

    def close(self) -> None:
        self._over.set()
        self._threads[0].join()
        if self._client.poll() is not None:
            self.errors.append(f"the person's terminal ended: {self._client.returncode}")
        os.killpg(self._client.pid, signal.SIGTERM)
        self._client.wait(10)
        self._threads[1].join()
        os.close(self._master)

    def _see(self) -> None:
        while True:
            try:
                if not (data := os.read(self._master, 65536)):
                    return
                if ALTERNATE in data:
                    self._attached.set()
            except OSError:  # the terminal is closed
                return

    def _size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _pause(self, longest: float) -> None:
        self._over.wait(self._chance.uniform(0.0, longest))

    # -- what is done

    def _work(self) -> None:
        acts = [
            self._turns_the_wheel,
            self._types_half_a_line,
            self._makes_it_another_size,
            self._adds_to_what_is_typed,
        ]
        since: float | None = None
        while not self._over.is_set():
            try:
                self._answers()
                held = "someone is typing" in self._rows.row["held"]
                since = (since or time.monotonic()) if held else None
                if since is not None and time.monotonic() - since > STUCK:
                    self._agent.keys(*self._clear)
                    self.did["clears"] += 1
                    since = None
                elif not held:
                    self._chance.choice(acts)()
            except (AnvilError, OSError, StopIteration) as error:
                self.errors.append(f"the person: {error!r}")
                return
            self._pause(self._pace)

    def _answers(self) -> None:
        if self._rows.read("ask").strip():
            self.did["answers"] += 1
            try:
                self._rows.write("answer", self._chance.choice(["yes", "no"]))
            except AnvilError:
                return  # it has gone

    def _turns_the_wheel(self) -> None:
        self.did["scrolls"] += 1
        times = self._chance.randrange(1, 8)
        for _ in range(times):
            os.write(self._master, UP)
            self._pause(0.03)
        self._pause(0.8)
        for _ in range(3 * times):
            os.write(self._master, DOWN)
            self._pause(0.02)

    def _types_half_a_line(self) -> None:
        self.did["types"] += 1
        text = self._chance.choice(["half a li", "wait,", "no", "日本", "x"])
        for char in text:
            os.write(self._master, char.encode())
            self._pause(0.1)
        self._pause(1.0)
        for _ in text:
            os.write(self._master, b"\x7f")
            self._pause(0.03)

    def _adds_to_what_is_typed(self) -> None:
        """A key while a prompt is on its way, if one is soon."""
        over = time.monotonic() + SOON
        while "\tsending\t" not in self._rows.read("turns/list"):
            if time.monotonic() > over or self._over.is_set():
                return
        self.did["adds"] += 1
        self._pause(0.3)
        os.write(self._master, b"z")
        self._pause(1.0)
        os.write(self._master, b"\x7f")

    def _makes_it_another_size(self) -> None:
        self.did["resizes"] += 1
        self._size(self._chance.randrange(20, 220), self._chance.randrange(5, 70))
        self._pause(0.3)
