"""A session of a live daemon, as a script sees it: through its files. Every test that needs one uses this class."""

import json
import os
import signal
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from anvilsrv import words
from anvilsrv.errors import AnvilError
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client
from tests.conftest import PATIENCE, Daemon, wait_until


class Session:
    """One session; ``patience`` (s) bounds every wait for it. Without a ``client`` it gets a connection of its own."""

    def __init__(self, daemon: Daemon, id: str, client: Client | None = None, patience: float = PATIENCE) -> None:
        self.daemon = daemon
        self.id = id
        self.client = client or daemon.client()
        self.patience = patience

    @classmethod
    def starting(cls, daemon: Daemon, backend: str = "shell", *options: str, cwd: Path | None = None) -> Self:
        """Start a session, which may not be ready yet; ``options`` as in ``ctl``: ``alias=bob``."""
        client = daemon.client()
        command = words.join(["new", backend, str(cwd or daemon.home.work), *options])
        return cls(daemon, client.write_read("ctl", command.encode()).decode().strip(), client)

    @classmethod
    def new(cls, daemon: Daemon, backend: str = "shell", *options: str, cwd: Path | None = None) -> Self:
        """Start a session and wait until it is idle."""
        made = cls.starting(daemon, backend, *options, cwd=cwd)
        made.wait("idle")
        return made

    def again(self) -> Self:
        """Return the same session through a new connection, after the daemon was replaced."""
        return type(self)(self.daemon, self.id, patience=self.patience)

    # -- its files

    def read(self, name: str) -> str:
        return self.client.read(f"{self.id}/{name}").decode()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name) or "null")

    def write(self, name: str, text: str | bytes) -> None:
        self.client.write(f"{self.id}/{name}", text.encode() if isinstance(text, str) else text)

    @property
    def state(self) -> str:
        return self.read("state").strip()

    @property
    def pid(self) -> int:
        return int(self.read("pid"))

    @property
    def row(self) -> dict[str, Any]:
        """This session in ``sessions``."""
        rows: list[dict[str, Any]] = json.loads(self.client.read("sessions"))
        return next(row for row in rows if row["id"] == self.id)

    def wait(self, *states: str) -> str:
        """Wait until the state is one of these."""
        try:
            return str(wait_until(lambda: next((s for s in states if self.state == s), ""), "", self.patience))
        except AssertionError:
            row = self.row
            raise AssertionError(
                f"{self.id} is to become {' or '.join(states)}, and is {row['state']}: {row['error']}"
            ) from None

    def freeze(self, how: signal.Signals = signal.SIGSTOP) -> None:
        """Stop every process of its agent, as by SIGSTOP; SIGCONT lets them go on."""
        reached: set[int] = set()
        while new := below(self.pid) - reached:  # one that has been begun meanwhile
            for one in new:
                with suppress(ProcessLookupError):  # it has ended
                    os.kill(one, how)
            reached |= new

    # -- prompts

    def prompt(self, text: str) -> None:
        self.write("in", text)

    def out(self, timeout: float | None = None) -> str:
        """Wait for the response to the last prompt and return it."""
        return self.client.read(f"{self.id}/out", timeout=timeout or self.patience).decode()

    def ask(self, text: str) -> str:
        """Send a prompt and return its response."""
        self.prompt(text)
        return self.out()

    def refused(self, text: str) -> str:
        """Send a prompt that gets no response, and return why."""
        self.prompt(text)
        with pytest.raises(AnvilError) as caught:
            self.out()
        return str(caught.value)

    def question(self) -> dict[str, Any]:
        """Wait for what its agent asks the user and return it."""
        wait_until(lambda: self.read("ask").strip(), f"{self.id} asks nothing", self.patience)
        found: dict[str, Any] = self.json("ask")
        return found

    def asks_too(self, text: str) -> None:
        """Let another tool of its agent ask at the same time; its hook waits as long as the daemon runs."""
        report = {"report": str(uuid.uuid4()), "hook": "Ask", "payload": {"question": text}}
        self.daemon.client(self.id).open(f"{self.id}/hook", wire.ORDWR).write(json.dumps(report).encode())
        wait_until(lambda: text in self.read("ask"), "it does not ask")

    # -- its pane

    def tmux(self, *argv: str) -> str:
        socket = self.daemon.home.namespace / "anvillm.tmux"
        return subprocess.run(["tmux", "-S", str(socket), *argv], capture_output=True, text=True, check=False).stdout

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", self.id)

    def keys(self, *names: str) -> None:
        """Press keys in the pane, as a person does."""
        self.tmux("send-keys", "-t", self.id, *names)


def below(pid: int) -> set[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = {pid}, [pid]
    while todo:
        new = set(children.get(todo.pop(), ())) - found
        found |= new
        todo += new
    return found
