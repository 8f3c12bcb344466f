"""A real agent that has a placeholder for a key: the door has the real one, and adds it to what goes to the service by TLS."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.authority import Authority, authority
from tests.conftest import Daemon, Home, temporary_home
from tests.real_agents.conftest import (
    OPENCODE,
    Bench,
    claude_env,
    configure_codex,
    configure_opencode,
    with_program,
)
from tests.real_agents.gemini_api import GeminiApi
from tests.real_agents.messages_api import MessagesApi
from tests.real_agents.model import heard
from tests.real_agents.responses_api import ResponsesApi
from tests.real_agents.service import Service

pytestmark = pytest.mark.timeout(300)  # a busy machine starts agents slowly

KEY = "sk-ant-api03-5a3c9e71d0f24b68a1b2c3d4e5f60718"


def claude(home: Home, service: Service) -> str:
    with_program(home, "claude", **claude_env(service, ANTHROPIC_API_KEY=KEY))
    return ""


def codex(home: Home, service: Service) -> str:
    with_program(home, "codex", OPENAI_API_KEY=KEY)
    configure_codex(home, service.inside)
    return ""


def gemini(home: Home, service: Service) -> str:
    with_program(home, "gemini", GEMINI_API_KEY=KEY, GOOGLE_GEMINI_BASE_URL=service.inside)
    return ""


def opencode(home: Home, service: Service) -> str:
    with_program(home, "opencode", ANTHROPIC_API_KEY=KEY)
    configure_opencode(home, service.inside, "{env:ANTHROPIC_API_KEY}")
    return OPENCODE


class Kind(NamedTuple):
    """A service, the name that it has in the world, and how it is told who pays; ``prepare`` sets the agent up as its user does
    who has a key, and gives more for the layer."""

    service: type[Service]
    name: str
    field: str
    value: str
    prepare: Callable[[Home, Service], str]

    @property
    def told(self) -> str:
        return " ".join(KEY if word.startswith("env:") else word for word in self.value.split())


KINDS = {
    "claude": Kind(MessagesApi, "api.anthropic.com", "x-api-key", "env:ANTHROPIC_API_KEY", claude),
    "codex": Kind(ResponsesApi, "api.openai.com", "authorization", "Bearer env:OPENAI_API_KEY", codex),
    "gemini": Kind(GeminiApi, "generativelanguage.googleapis.com", "x-goog-api-key", "env:GEMINI_API_KEY", gemini),
    "opencode": Kind(MessagesApi, "api.anthropic.com", "x-api-key", "env:ANTHROPIC_API_KEY", opencode),
}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Authority]:
    yield from authority()


@contextmanager
def bench(backend: str, kind: Kind, issuer: Authority) -> Iterator[Bench]:
    """Yield a daemon that knows the key; its layer names the service at the place of the stand-in."""
    with temporary_home() as home, kind.service(tls=issuer.context(kind.name)) as service:
        service.inside = f"http://{kind.name}"
        more = kind.prepare(home, service)
        home.env["SSL_CERT_FILE"] = str(issuer.file)
        header = f'{{{kind.field}: "{kind.value}"}}'
        host = f'{{name: "{kind.name}:{service.port}", addresses: [127.0.0.1], header: {header}}}'
        home.config.mkdir(parents=True, exist_ok=True)
        (home.config / "global.yaml").write_text(f"network: {{hosts: [{host}]}}\n{more}")
        daemon = Daemon(home)
        try:
            yield Bench(daemon.start(), backend, service)
        finally:
            daemon.close()


@pytest.mark.slow(12)
@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_key_of_an_agent_is_added_outside(name: str, issuer: Authority) -> None:
    kind = KINDS[name]
    with bench(name, kind, issuer) as made:
        try:
            agent = made.new()
            assert agent.ask("hello") == heard("hello")
            asked = [headers(one["headers"]) for one in made.service.requests if one["method"] == "POST"]
            assert asked and {one.get(kind.field) for one in asked} == {kind.told}
            assert not [one for one in asked if "placeholder" in str(one)]
            assert f"host\t{kind.name}:{made.service.port} at 127.0.0.1/32 with {kind.field}\t" in agent.read("sandbox")
            assert holding(made.daemon.home.state, KEY) == []
            seen = environments(agent.id)
            assert seen and not [one for one in seen if KEY.encode() in one]
        finally:
            made.show()


def headers(found: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in found.items()}


def environments(session: str) -> list[bytes]:
    """Return the environments of the processes that run inside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it is gone, or another user's
            found.append(path.read_bytes())
    return [one for one in found if f"ANVILLM_SESSION={session}\0".encode() in one]


def holding(top: Path, text: str) -> list[str]:
    """Return the files below a directory that hold a text."""
    found = []
    for directory, _, names in os.walk(top):
        for path in (Path(directory, name) for name in names):
            with suppress(FileNotFoundError):  # the daemon works on
                if path.is_file() and text.encode() in path.read_bytes():
                    found.append(str(path))
    return found
