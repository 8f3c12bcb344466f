"""Agents of a real daemon, with a stand-in for their model's service. A program that is not installed skips its tests, and says so."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client
from tests.agents.messages_api import MessagesApi
from tests.agents.model import Model
from tests.agents.service import Service
from tests.conftest import PATIENCE, ROOT, Daemon, Home, wait_until

KEY = "sk-ant-standin-0123456789abcdefghijklmnop"
PLACES = (os.environ.get("ANVILLM_TEST_AGENTS", ""), str(ROOT / "node_modules" / ".bin"))


def program(name: str) -> str:
    """The path of an agent's program, or a skip that says how to get it."""
    found = shutil.which(name, path=os.pathsep.join([*filter(None, PLACES), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"no program '{name}': put it into PATH, node_modules/.bin or $ANVILLM_TEST_AGENTS")
    return found


class Agent:
    """A session as a script sees it: through its files."""

    def __init__(self, daemon: Daemon, client: Client, id: str, model: Model) -> None:
        self.daemon = daemon
        self.client = client
        self.id = id
        self.model = model

    def read(self, name: str) -> str:
        return self.client.read(f"{self.id}/{name}").decode()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name) or "null")

    def write(self, name: str, text: str) -> None:
        self.client.write(f"{self.id}/{name}", text.encode())

    def state(self) -> str:
        return self.read("state").strip()

    def pid(self) -> int:
        return int(self.read("pid"))

    def prompt(self, text: str) -> None:
        self.write("in", text)

    def out(self, timeout: float = PATIENCE) -> str:
        return self.client.read(f"{self.id}/out", timeout=timeout).decode()

    def say(self, text: str) -> str:
        """A prompt and its response."""
        self.prompt(text)
        return self.out()

    def refused(self, text: str) -> str:
        """A prompt that gets no response, and why."""
        self.prompt(text)
        with pytest.raises(AnvilError) as caught:
            self.out()
        return str(caught.value)

    def wait_state(self, *words: str) -> str:
        wait_until(lambda: self.state() in words, f"{self.id} is to become {' or '.join(words)}")
        return self.state()

    def wait_ask(self) -> dict[str, Any]:
        wait_until(lambda: self.read("ask").strip(), "nothing is asked")
        found: dict[str, Any] = self.json("ask")
        return found

    def listed(self) -> dict[str, Any]:
        """This session in ``sessions``."""
        rows = json.loads(self.client.read("sessions"))
        found: dict[str, Any] = next(row for row in rows if row["id"] == self.id)
        return found

    def tmux(self, *argv: str) -> str:
        socket = self.daemon.home.namespace / "anvillm.tmux"
        return subprocess.run(["tmux", "-S", str(socket), *argv], capture_output=True, text=True, check=False).stdout

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-t", self.id)

    def keys(self, *names: str) -> None:
        """What a person presses in the pane."""
        self.tmux("send-keys", "-t", self.id, *names)

    def errors(self) -> list[str]:
        return [str(row["error"]) for row in [self.listed()] if row["error"]]


class Bench:
    """A daemon with everything to start agents of one kind."""

    def __init__(self, daemon: Daemon, backend: str, service: Service) -> None:
        self.daemon = daemon
        self.backend = backend
        self.service = service
        self.model = service.model
        self.client = daemon.client()

    def new(self, *options: str, cwd: Path | None = None) -> Agent:
        """A session, idle."""
        agent = self.launch(*options, cwd=cwd)
        state = agent.wait_state("idle", "error", "stopped")
        assert state == "idle", f"{agent.errors()}\n{agent.screen}\n{self.daemon.words()}"
        return agent

    def launch(self, *options: str, cwd: Path | None = None) -> Agent:
        """A session, starting."""
        words = " ".join(["new", self.backend, str(cwd or self.daemon.home.work), *options])
        id = self.client.write_read("ctl", words.encode()).decode().strip()
        return Agent(self.daemon, self.client, id, self.model)

    def again(self, agent: Agent) -> Agent:
        """The same session, seen through a new connection (after the daemon was replaced)."""
        self.client = self.daemon.client()
        return Agent(self.daemon, self.client, agent.id, self.model)


@pytest.fixture
def messages_api() -> Iterator[MessagesApi]:
    with MessagesApi() as service:
        yield service


@pytest.fixture
def claude_home(home: Home, messages_api: MessagesApi) -> Home:
    """A home in which Claude Code finds its stand-in and nothing else."""
    found = Path(program("claude"))
    home.env |= {
        "PATH": f"{found.parent}{os.pathsep}{home.env['PATH']}",
        "ANTHROPIC_BASE_URL": messages_api.url,
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
    }
    return home


@pytest.fixture
def claude(claude_home: Home, stopped_daemon: Daemon, messages_api: MessagesApi) -> Bench:
    """Claude Code against the stand-in for the Messages API."""
    return Bench(stopped_daemon.start(), "claude", messages_api)
