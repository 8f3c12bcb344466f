"""A session with the shell backend, ready for prompts."""

from collections.abc import Iterator

import pytest

from anvilsrv.p9.client import Client
from tests.conftest import Daemon, wait_until


class Agent:
    """One session: its client, its id, and its files."""

    def __init__(self, client: Client, session: str) -> None:
        self.client = client
        self.id = session

    def read(self, name: str) -> str:
        return self.client.read(f"{self.id}/{name}").decode()

    def write(self, name: str, text: str | bytes) -> None:
        self.client.write(f"{self.id}/{name}", text.encode() if isinstance(text, str) else text)

    def wait(self, *states: str) -> str:
        """Wait until the state is one of these."""
        return str(
            wait_until(lambda: next((s for s in states if self.state == s), ""), f"{self.id} never became {states}")
        )

    @property
    def state(self) -> str:
        return self.read("state").strip()

    def ask(self, prompt: str) -> str:
        """Prompt and wait for the response."""
        self.write("in", prompt)
        return self.read("out")


def make(daemon: Daemon, backend: str = "shell", more: str = "") -> Agent:
    """A new session, idle."""
    client = daemon.client()
    made = client.write_read("ctl", f"new {backend} {daemon.home.work} {more}".encode()).decode().strip()
    agent = Agent(client, made)
    agent.wait("idle")
    return agent


@pytest.fixture
def agent(daemon: Daemon) -> Iterator[Agent]:
    yield make(daemon)
