"""A user at work beside a hostile agent: how long reads and writes take while it is quiet, and while it attacks, in turn."""

import json
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.conftest import Daemon, Home, wait_until
from tests.session import Session

BACKEND = """
backend:
  title: Hostile
  command: ["{{PYTHON}}", "-I", "-S", "{program}", "{{ANVILSRV}}"]
  env: {{DATA_DIR: "{{DATA_DIR}}"}}
  ready: {{timeout: 20}}
  hooks:
    Ready:  {{report: ready, transcript: transcript}}
    Submit: {{report: submit, text: text}}
    Stop:   {{report: stop, text: text}}
  input: {{settle: 0, submit: Enter, confirm: 3}}
filesystem: {{rox: ["{place}"]}}
"""
ROLE = 'agents: {spawn: true, control: true}\nfilesystem: {rwx: ["{CWD}", "{TMPDIR}"]}\n'
OPERATIONS = ("read", "list", "write", "mail", "prompt")


class Run:
    """``figures`` has the times (s) of each of the user's operations, by whether the agent attacked."""

    def __init__(self, home: Home, daemon: Daemon) -> None:
        self.daemon = daemon
        self.home = home
        self.figures: dict[bool, dict[str, list[float]]] = {
            on: {name: [] for name in OPERATIONS} for on in (False, True)
        }
        self.memory = 0.0  # MB, the most
        self.words: dict[str, dict[str, object]] = {}
        backends, roles = home.config / "backends", home.config / "roles"
        for one in (backends, roles):
            one.mkdir(parents=True, exist_ok=True)
        program = Path(__file__).with_name("agent.py")
        (backends / "hostile.yaml").write_text(BACKEND.format(program=program, place=program.parent))
        (roles / "hostile.yaml").write_text(ROLE)
        self.place = home.work / "hostile"
        self.place.mkdir()

    def start(self) -> None:
        """Start the user's session and the hostile one."""
        self.daemon.start()
        self.client = self.daemon.client()
        self.user = Session.new(self.daemon, "shell")
        self.hostile = Session.new(self.daemon, "hostile", "role=hostile", cwd=self.place)
        self.flag = self.place / "attack"

    def attack(self, on: bool, only: str = "") -> None:
        """Let it begin, or stop; with ``only`` these (of ``ATTACKS`` in ``agent.py``)."""
        if on:
            self.flag.write_text(only)
        else:
            self.flag.unlink(missing_ok=True)

    def work(self, seconds: float, on: bool) -> None:
        """Do the user's work for a while: a bit of everything, with the pauses of a person at a front-end."""
        figures, until = self.figures[on], time.monotonic() + seconds
        number = 0
        while time.monotonic() < until:
            number += 1
            self._timed(figures["read"], lambda: self.client.read(f"{self.user.id}/state"))
            self._timed(figures["list"], lambda: self.client.read("sessions"))
            self._timed(figures["write"], lambda: self.client.write(f"{self.user.id}/context", b"be kind"))
            if number % 5 == 0:
                self._timed(
                    figures["mail"], lambda: self.client.write("user/mail", MAIL.replace(b"ID", self.user.id.encode()))
                )
            if number % 15 == 0:
                self._timed(figures["prompt"], partial(self._prompt, number))
            self.memory = max(self.memory, self.resident())
            threading.Event().wait(0.01)

    def _prompt(self, number: int) -> None:
        answer = self.user.ask(f"echo {number}")
        assert str(number) in answer, answer

    @staticmethod
    def _timed(into: list[float], do: Callable[[], object]) -> None:
        began = time.perf_counter()
        do()
        into.append(time.perf_counter() - began)

    def resident(self) -> float:
        """Return MB of the daemon now."""
        assert self.daemon.process is not None
        lines = Path(f"/proc/{self.daemon.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    def finish(self) -> None:
        """Kill it, with what it started: nothing of it is left, however deep it lies."""
        for row in json.loads(self.client.read("sessions")):
            if row["id"] != self.user.id:
                self.client.write(f"{row['id']}/ctl", b"kill")
        sessions = self.home.state / "sessions"
        wait_until(lambda: {path.name for path in sessions.iterdir()} <= {self.user.id}, "what is left of it")

    def told(self) -> dict[str, dict[str, object]]:
        """Return what each attack did, and was told."""
        return {path.stem: json.loads(path.read_text()) for path in sorted(self.place.glob("*.told"))}

    def medians(self) -> dict[str, tuple[float, float]]:
        """Return ms of each operation, undisturbed and attacked."""
        return {
            name: (
                1000 * statistics.median(self.figures[False][name]),
                1000 * statistics.median(self.figures[True][name]),
            )
            for name in OPERATIONS
            if self.figures[False][name] and self.figures[True][name]
        }


MAIL = b'{"to":"ID","type":"LOG_ERROR","subject":"s","body":"b"}'


def run(home: Home, daemon: Daemon, rounds: int, seconds: float, only: str = "") -> Run:
    """Run that many rounds, each as long undisturbed as attacked."""
    made = Run(home, daemon)
    made.start()
    made.work(2.0, False)  # warm
    made.figures[False] = {name: [] for name in OPERATIONS}
    for _ in range(rounds):
        for on in (False, True):
            made.attack(on, only)
            threading.Event().wait(1.0)  # it begins, or what is on its way comes to an end
            made.work(seconds, on)
    made.words = made.told()
    made.attack(False)
    made.finish()
    return made
