"""Agents of a real daemon, with a stand-in for their model's service. A program that is not installed skips its tests, and says so."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import conftest
from tests.conftest import ROOT, Daemon, Home
from tests.real_agents.gemini_api import GeminiApi
from tests.real_agents.messages_api import MessagesApi
from tests.real_agents.responses_api import ResponsesApi
from tests.real_agents.service import Service
from tests.session import Session

KEY = "sk-ant-standin-0123456789abcdefghijklmnop"
PLACES = (os.environ.get("ANVILLM_TEST_AGENTS", ""), str(ROOT / "node_modules" / ".bin"))


FULL = bool(os.environ.get("ANVILLM_TEST_FULL"))  # all tests of codex, gemini and opencode: ten minutes on two cores
WHY = "one of many tests of this agent: set ANVILLM_TEST_FULL=1 for all"
PATIENCE = 90.0  # s; some agents take ten times as long on a machine that has much to do


def wait_until(what: Callable[[], object], why: str, patience: float = PATIENCE) -> object:
    """As everywhere, with the patience that these programs need."""
    return conftest.wait_until(what, why, patience)


def program(name: str) -> str:
    """The path of an agent's program, or a skip that says how to get it."""
    found = shutil.which(name, path=os.pathsep.join([*filter(None, PLACES), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"no program '{name}': put it into PATH, node_modules/.bin or $ANVILLM_TEST_AGENTS")
    return found


class Bench:
    """A daemon with everything to start agents of one kind."""

    def __init__(self, daemon: Daemon, backend: str, service: Service) -> None:
        self.daemon = daemon
        self.backend = backend
        self.service = service
        self.model = service.model
        self.client = daemon.client()

    def new(self, *options: str, cwd: Path | None = None) -> Session:
        """A session, idle."""
        agent = self.launch(*options, cwd=cwd)
        state = agent.wait("idle", "error", "stopped")
        assert state == "idle", f"{agent.row['error']}\n{agent.screen}\n{self.daemon.words()}"
        return agent

    def launch(self, *options: str, cwd: Path | None = None) -> Session:
        """A session, starting."""
        made = Session.starting(self.daemon, self.backend, *options, cwd=cwd)
        made.patience = PATIENCE
        return made

    def show(self) -> None:
        """What a failed test wants to see; pytest shows it only then."""
        tmux = ["tmux", "-S", str(self.daemon.home.namespace / "anvillm.tmux")]
        found = subprocess.run(
            [*tmux, "list-panes", "-a", "-F", "#{pane_id}"], capture_output=True, text=True, check=False
        )
        for pane in found.stdout.split():
            argv = [*tmux, "capture-pane", "-p", "-t", pane]
            print(pane, subprocess.run(argv, capture_output=True, text=True, check=False).stdout.rstrip())
        print(self.daemon.words())
        print("prompts:", [prompt[:200] for prompt in self.model.prompts()])


@pytest.fixture
def messages_api() -> Iterator[MessagesApi]:
    with MessagesApi() as service:
        yield service


def with_program(home: Home, name: str, **env: str) -> None:
    """Put an agent's program, and what it needs to find the stand-in, into the daemon's environment."""
    home.env |= {"PATH": f"{Path(program(name)).parent}{os.pathsep}{home.env['PATH']}", **env}


def serve(daemon: Daemon, backend: str, service: Service) -> Iterator[Bench]:
    """A bench; its daemon ends before its service does."""
    bench = Bench(daemon.start(), backend, service)
    yield bench
    bench.show()
    daemon.close()


def claude_env(service: Service) -> dict[str, str]:
    """What Claude Code needs to find the stand-in, and to leave everybody else alone."""
    quiet = ("DISABLE_TELEMETRY", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_ERROR_REPORTING")
    return {"ANTHROPIC_BASE_URL": service.url, "ANTHROPIC_API_KEY": KEY, **dict.fromkeys(quiet, "1")}


@pytest.fixture
def claude(home: Home, stopped_daemon: Daemon, messages_api: MessagesApi) -> Iterator[Bench]:
    """Claude Code against the stand-in for the Messages API."""
    with_program(home, "claude", **claude_env(messages_api))
    yield from serve(stopped_daemon, "claude", messages_api)


@pytest.fixture
def subscribed(home: Home, stopped_daemon: Daemon, messages_api: MessagesApi) -> Iterator[Bench]:
    """Claude Code with a subscription's token, whose limits it tells in words of its own."""
    with_program(
        home, "claude", ANTHROPIC_BASE_URL=messages_api.url, CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-standin",
        DISABLE_TELEMETRY="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", DISABLE_ERROR_REPORTING="1",
    )  # fmt: skip
    yield from serve(stopped_daemon, "claude", messages_api)


CODEX = """model = "stand-in"
model_provider = "standin"
[model_providers.standin]
name = "stand-in"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "STANDIN_KEY"
"""


@pytest.fixture
def codex(home: Home, stopped_daemon: Daemon) -> Iterator[Bench]:
    """Codex with a model provider of the user's own."""
    with ResponsesApi() as service:
        with_program(home, "codex", STANDIN_KEY="x")
        (home.home / ".codex").mkdir()
        (home.home / ".codex" / "config.toml").write_text(CODEX.format(url=service.url))
        yield from serve(stopped_daemon, "codex", service)


@pytest.fixture
def gemini(home: Home, stopped_daemon: Daemon) -> Iterator[Bench]:
    """Gemini CLI with a key."""
    with GeminiApi() as service:
        with_program(home, "gemini", GEMINI_API_KEY="x", GOOGLE_GEMINI_BASE_URL=service.url)
        yield from serve(stopped_daemon, "gemini", service)


def with_kiro(home: Home, version: str) -> None:
    """Put the stand-in for Kiro CLI into the daemon's PATH, with our hooks installed."""
    program = home.home / ".local/bin/kiro-cli"
    program.parent.mkdir(parents=True)
    text = (ROOT / "tests/real_agents/kiro_standin.py").read_text()
    text = text.replace("#!/usr/bin/env python3", f"#!{os.path.realpath(sys.executable)}", 1)
    program.write_text(text.replace('"KIRO_STANDIN_VERSION", "2.4.0"', f'"KIRO_STANDIN_VERSION", "{version}"'))
    program.chmod(0o755)
    (home.home / ".local/share/kiro-cli").mkdir(parents=True)
    home.env["PATH"] = f"{program.parent}{os.pathsep}{home.env['PATH']}"
    assert home.run("sh", str(ROOT / "kiro-cli/install-hooks.sh")).returncode == 0


@pytest.fixture
def kiro_cli(home: Home, stopped_daemon: Daemon, messages_api: MessagesApi) -> Iterator[Bench]:
    """The stand-in for Kiro CLI; it needs no service."""
    with_kiro(home, "2.4.0")
    yield from serve(stopped_daemon, "kiro-cli", messages_api)


@pytest.fixture
def opencode(home: Home, stopped_daemon: Daemon, messages_api: MessagesApi) -> Iterator[Bench]:
    """opencode with a provider of the user's own that speaks the Messages API."""
    with_program(home, "opencode")
    options = {"baseURL": f"{messages_api.url}/v1", "apiKey": "x"}
    models = {"m1": {"name": "M1", "limit": {"context": 200000, "output": 8000}}}
    provider = {"npm": "@ai-sdk/anthropic", "name": "stand-in", "options": options, "models": models}
    config = {"model": "standin/m1", "small_model": "standin/m1", "provider": {"standin": provider}}
    directory = home.home / ".config" / "opencode"
    directory.mkdir(parents=True)
    (directory / "opencode.json").write_text(json.dumps(config))
    yield from serve(stopped_daemon, "opencode", messages_api)
