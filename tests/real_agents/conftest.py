"""Agents of a real daemon, with a stand-in for their model's service. A program that is not installed skips its tests, and says so.

A module's tests share one bench of each kind, and one process of its agent: they prompt it in sequence (``bench.agent()``). Who
needs an agent of its own starts one (``bench.new()``); who ends the daemon, or changes what it is started with, takes a bench of
its own (``fresh``).
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from anvilsrv.errors import AnvilError
from tests import conftest
from tests.conftest import ROOT, Daemon, Home, temporary_home, terminal
from tests.real_agents.gemini_api import GeminiApi
from tests.real_agents.messages_api import MessagesApi
from tests.real_agents.responses_api import ResponsesApi
from tests.real_agents.service import Service
from tests.scripted import acp
from tests.session import Session

KEY = "sk-ant-standin-0123456789abcdefghijklmnop"
PLACES = (os.environ.get("ANVILLM_TEST_AGENTS", ""), str(ROOT / "node_modules" / ".bin"))
BESIDE = str(ROOT / "node_modules" / ".beside" / "node_modules" / ".bin")  # another release of Claude Code: see ./check
SENT = ".sent.jsonl"
PATIENCE = 90.0  # s; some agents take ten times as long on a machine that has much to do


def wait_until(what: Callable[[], object], why: str, patience: float = PATIENCE) -> object:
    """Wait as everywhere, with the patience that these programs need."""
    return conftest.wait_until(what, why, patience)


def program(name: str, place: str = "") -> str:
    """Return the path of an agent's program, or a skip that says how to get it."""
    found = shutil.which(name, path=place or os.pathsep.join([*filter(None, PLACES), os.environ["PATH"]]))
    if found is None:
        where = place or "PATH, node_modules/.bin or $ANVILLM_TEST_AGENTS"
        pytest.skip(f"no program '{name}': put it into {where}")
    return found


def careful(home: Home) -> str:
    """Return the option of ``new`` for an agent that asks before it acts."""
    roles = home.config / "roles"
    roles.mkdir(parents=True, exist_ok=True)
    (roles / "careful.yaml").write_text('permissions: ask\nfilesystem: {rwx: ["{CWD}", "{TMPDIR}"]}\n')
    return "role=careful"


class Bench:
    """A daemon with everything to start agents of one kind."""

    def __init__(self, daemon: Daemon, backend: str, service: Service) -> None:
        self.daemon = daemon
        self.backend = backend
        self.service = service
        self.model = service.model
        self.client = daemon.client()
        self._shared: dict[tuple[str, ...], Session] = {}
        self._own: list[Session] = []

    def agent(self, *options: str) -> Session:
        """Return the agent with these options that tests prompt one after another, idle; a new one where the last is
        not fit for that.
        """
        found = self._shared.get(options)
        if found is None or not _fit(found):
            found = self._shared[options] = self.new(*options)
            self._own.remove(found)
        return found

    def over(self, failed: bool) -> None:
        """A test is over: the agents of its own end; what a failed one left of the shared agents is not handed on."""
        if failed:
            self._own += self._shared.values()
            self._shared.clear()
        while self._own:
            with suppress(AnvilError):  # it may be gone
                self.client.write(f"{self._own.pop().id}/ctl", b"kill")

    def new(self, *options: str, cwd: Path | None = None) -> Session:
        """Start a session and wait until it is idle."""
        agent = self.launch(*options, cwd=cwd)
        state = agent.wait("idle", "error", "stopped")
        assert state == "idle", f"{agent.row['error']}\n{agent.screen}\n{self.daemon.words()}"
        return agent

    def launch(self, *options: str, cwd: Path | None = None) -> Session:
        """Start a session."""
        made = Session.starting(self.daemon, self.backend, *options, cwd=cwd)
        made.patience = PATIENCE
        self._own.append(made)
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


def _fit(agent: Session) -> bool:
    try:
        row = agent.row
        return row["state"] == "idle" and not row["queued"] and not row["held"]
    except (AnvilError, StopIteration):  # its daemon was replaced, or the session is gone
        return False


# -- the kinds: each puts an agent's program, and what it needs to find the stand-in, into the daemon's environment


def with_program(home: Home, name: str, place: str = "", **env: str) -> None:
    home.env |= {"PATH": f"{Path(program(name, place)).parent}{os.pathsep}{home.env['PATH']}", **env}


def with_recorded(home: Home, name: str, **env: str) -> None:
    """Do the same with one that speaks by messages: those that it gets are kept in ``SENT`` of the directory in which
    it works.
    """
    found = program(name)
    kept = home.home / "recorded" / name
    kept.parent.mkdir(exist_ok=True)
    words = [os.path.realpath(sys.executable), "-I", "-S", str(acp.HERE / "acp_tee.py"), str(home.work / SENT), found]
    kept.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    kept.chmod(0o755)
    with_program(home, name, **env)
    home.env["PATH"] = f"{kept.parent}{os.pathsep}{home.env['PATH']}"
    real = Path(found).resolve()
    top = next((one for one in real.parents if one.name == "node_modules"), real.parent.parent)
    places = {
        str(acp.HERE),
        str(Path(found).parent),
        str(top),
        str((Path(found).parent / "python").resolve().parent.parent),
    }
    where = home.config / "global.yaml"
    made = yaml.safe_load(where.read_text()) if where.exists() else {}
    made.setdefault("filesystem", {}).setdefault("rox", []).extend(sorted(places))
    where.write_text(yaml.safe_dump(made))


def sent(home: Home) -> list[dict[str, Any]]:
    """Return the messages that the agents of a home got, as far as they are whole lines."""
    try:
        lines = (home.work / SENT).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def with_service(home: Home, service: Service, more: str = "") -> None:
    """Let every session reach the stand-in, by name, as it reaches a real service; the shipped layers name only those. One stand-in
    beside another is reached too."""
    home.config.mkdir(parents=True, exist_ok=True)
    where = home.config / "global.yaml"
    made = yaml.safe_load(where.read_text()) if where.exists() else {}
    host = {"name": f"model.test:{service.port}", "addresses": ["127.0.0.1"]}
    made.setdefault("network", {}).setdefault("hosts", []).append(host)
    where.write_text(yaml.safe_dump(made | (yaml.safe_load(more) or {})))


def claude_env(service: Service, **login: str) -> dict[str, str]:
    """Return what Claude Code needs to find the stand-in, and to leave everybody else alone; without ``login`` a key."""
    quiet = ("DISABLE_TELEMETRY", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_ERROR_REPORTING")
    return {"ANTHROPIC_BASE_URL": service.inside, **(login or {"ANTHROPIC_API_KEY": KEY}), **dict.fromkeys(quiet, "1")}


def claude_with_a_key(home: Home, place: str = "") -> Iterator[Service]:
    with MessagesApi() as service:
        with_service(home, service)
        with_program(home, "claude", place, **claude_env(service))
        yield service


def claude_beside(home: Home) -> Iterator[Service]:
    """Find the other release: of the newest, and of the one that npm takes under Node 20."""
    yield from claude_with_a_key(home, BESIDE)


def claude_with_a_subscription(home: Home) -> Iterator[Service]:
    """Whose limits it tells in words of its own."""
    with MessagesApi() as service:
        with_service(home, service)
        with_program(home, "claude", **claude_env(service, CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-standin"))
        yield service


CODEX = """model = "stand-in"
model_provider = "standin"
[model_providers.standin]
name = "stand-in"
base_url = "{url}/v1"
wire_api = "responses"
"""


def configure_codex(home: Home, url: str, more: str = "") -> None:
    """With a provider of its own."""
    (home.home / ".codex").mkdir()
    (home.home / ".codex" / "config.toml").write_text(CODEX.format(url=url) + more)


def codex_with_a_provider(home: Home) -> Iterator[Service]:
    with ResponsesApi() as service:
        with_service(home, service)
        with_program(home, "codex", STANDIN_KEY="x")
        configure_codex(home, service.inside, 'env_key = "STANDIN_KEY"\n')
        yield service


def claude_adapter(home: Home) -> Iterator[Service]:
    with MessagesApi() as service:
        with_service(home, service)
        with_recorded(home, "claude-agent-acp", **claude_env(service))
        yield service


def codex_adapter(home: Home) -> Iterator[Service]:
    for service in codex_with_a_provider(home):
        with_recorded(home, "codex-acp")
        yield service


def qwen_with_a_key(home: Home) -> Iterator[Service]:
    with MessagesApi() as service:
        with_service(home, service)
        with_recorded(home, "qwen", ANTHROPIC_API_KEY="x", ANTHROPIC_BASE_URL=service.inside, ANTHROPIC_MODEL="m1")
        yield service


def copilot_with_a_provider(home: Home) -> Iterator[Service]:
    with MessagesApi() as service:
        with_service(home, service)
        provider = {"BASE_URL": service.inside, "TYPE": "anthropic", "API_KEY": "x"}
        made = {f"COPILOT_PROVIDER_{name}": value for name, value in provider.items()}
        with_recorded(home, "copilot", **made, COPILOT_MODEL="claude-sonnet-4.5", COPILOT_OFFLINE="true")
        yield service


def vibe_with_a_provider(home: Home) -> Iterator[Service]:
    """Configure a provider that speaks the Messages API. Vibe reads its configuration from variables, too, which the
    user lets through.
    """
    with MessagesApi() as service:
        provider = {
            "name": "standin",
            "api_base": service.inside,
            "api_key_env_var": "MISTRAL_API_KEY",
            "api_style": "anthropic",
        }
        model = {"name": "m1", "provider": "standin", "alias": "m1"}
        made = {
            "PROVIDERS": json.dumps([provider]), "MODELS": json.dumps([model]), "ACTIVE_MODEL": "m1",
            "ENABLE_TELEMETRY": "false", "ENABLE_UPDATE_CHECKS": "false",
        }  # fmt: skip
        with_service(home, service, f"env: [{', '.join(f'VIBE_{name}' for name in made)}]\n")
        with_recorded(home, "vibe-acp", MISTRAL_API_KEY="x", **{f"VIBE_{name}": value for name, value in made.items()})
        yield service


def gemini_with_a_key(home: Home) -> Iterator[Service]:
    with GeminiApi() as service:
        with_service(home, service)
        with_program(home, "gemini", GEMINI_API_KEY="x", GOOGLE_GEMINI_BASE_URL=service.inside)
        yield service


OPENCODE = "configuration: {secrets: [provider.standin.options.apiKey]}\n"


def configure_opencode(home: Home, url: str, key: str) -> None:
    """With a provider that speaks the Messages API."""
    options = {"baseURL": f"{url}/v1", "apiKey": key}
    models = {"m1": {"name": "M1", "limit": {"context": 200000, "output": 8000}}}
    provider = {"npm": "@ai-sdk/anthropic", "name": "stand-in", "options": options, "models": models}
    config = {"model": "standin/m1", "small_model": "standin/m1", "provider": {"standin": provider}}
    directory = home.home / ".config" / "opencode"
    directory.mkdir(parents=True)
    (directory / "opencode.json").write_text(json.dumps(config))


def opencode_with_a_provider(home: Home) -> Iterator[Service]:
    with MessagesApi() as service:
        with_program(home, "opencode")
        configure_opencode(home, service.inside, "x")
        with_service(home, service, OPENCODE)
        yield service


def gemini_by_messages(home: Home) -> Iterator[Service]:
    for service in gemini_with_a_key(home):
        with_recorded(home, "gemini")
        yield service


def opencode_by_messages(home: Home) -> Iterator[Service]:
    for service in opencode_with_a_provider(home):
        with_recorded(home, "opencode")
        yield service


def fake_by_messages(home: Home) -> Iterator[Service]:
    """Make an agent of our own, which asks the stand-in as the real ones do."""
    with MessagesApi() as service:
        with_service(home, service)
        python = [os.path.realpath(sys.executable), "-I", "-S"]
        command = [str(acp.HERE / "acp_tee.py"), str(home.work / SENT), *python, str(acp.HERE / "acp_model.py")]
        acp.install(
            home.config,
            command=[*python, *command],
            env={"FAKE_MODEL_URL": service.inside},
            bypass="free",
            ask="default",
        )
        yield service


def with_kiro(home: Home, version: str, hooks: bool = True) -> None:
    """Put the stand-in for Kiro CLI into the daemon's PATH, with our hooks installed, and log in."""
    program = home.home / ".local/bin/kiro-cli"
    program.parent.mkdir(parents=True)
    text = (ROOT / "tests/real_agents/kiro_standin.py").read_text()
    text = text.replace("#!/usr/bin/env python3", f"#!{os.path.realpath(sys.executable)}", 1)
    program.write_text(text.replace('"KIRO_STANDIN_VERSION", "2.4.0"', f'"KIRO_STANDIN_VERSION", "{version}"'))
    program.chmod(0o755)
    for name in ("kiro_acp_standin.py", "kiro_login.py"):
        shutil.copy(ROOT / "tests/real_agents" / name, program.parent)
    home.env["PATH"] = f"{program.parent}{os.pathsep}{home.env['PATH']}"
    for backend in ("kiro-cli", "kiro-tui"):
        with terminal() as stdin:
            argv = (sys.executable, "-P", "-m", "anvilsrv.cli", "login", backend)
            assert home.run(*argv, stdin=stdin).returncode == 0
    assert not hooks or home.run("sh", str(ROOT / "kiro-cli/install-hooks.sh")).returncode == 0


def kiro_standin(home: Home) -> Iterator[Service]:
    with MessagesApi() as service:  # it needs none
        with_kiro(home, "2.4.0")
        yield service


KINDS: dict[str, tuple[str, Callable[[Home], Iterator[Service]]]] = {
    "claude": ("claude", claude_with_a_key),
    "claude-beside": ("claude", claude_beside),
    "subscribed": ("claude", claude_with_a_subscription),
    "codex": ("codex", codex_with_a_provider),
    "gemini": ("gemini", gemini_with_a_key),
    "opencode": ("opencode", opencode_with_a_provider),
    "kiro-tui": ("kiro-tui", kiro_standin),
    "fake-acp": ("fake-acp", fake_by_messages),
    "gemini-acp": ("gemini-acp", gemini_by_messages),
    "opencode-acp": ("opencode-acp", opencode_by_messages),
    "claude-acp": ("claude-acp", claude_adapter),
    "codex-acp": ("codex-acp", codex_adapter),
    "qwen": ("qwen", qwen_with_a_key),
    "copilot": ("copilot", copilot_with_a_provider),
    "vibe": ("vibe", vibe_with_a_provider),
}


@contextmanager
def a_bench(kind: str) -> Iterator[Bench]:
    """Yield a bench with a home of its own; its daemon ends before its service does."""
    backend, prepared = KINDS[kind]
    with temporary_home() as home, contextmanager(prepared)(home) as service:
        daemon = Daemon(home)
        try:
            yield Bench(daemon.start(), backend, service)
        finally:
            daemon.close()


Benches = Callable[[str], Bench]


@pytest.fixture(scope="module")
def shared() -> Iterator[Benches]:
    """The bench of a module. One of another kind ends it: idle agents are not free."""
    kept: dict[str, Bench] = {}
    with ExitStack() as stack:

        def bench(kind: str) -> Bench:
            if kind not in kept:
                kept.clear()
                stack.close()
                kept[kind] = stack.enter_context(a_bench(kind))
            return kept[kind]

        yield bench


@pytest.fixture
def at(shared: Benches, request: pytest.FixtureRequest) -> Iterator[Benches]:
    """The module's bench of a kind, for one test: its model remembers nothing, and what a failed test leaves is not used again."""
    used: dict[str, Bench] = {}
    failed = request.session.testsfailed

    def bench(kind: str) -> Bench:
        used[kind] = shared(kind)
        used[kind].model.restart()
        return used[kind]

    yield bench
    for one in used.values():
        one.show()
        one.over(request.session.testsfailed > failed)


@pytest.fixture
def fresh() -> Iterator[Benches]:
    """Benches of the test's own."""
    with ExitStack() as stack:

        def bench(kind: str) -> Bench:
            made = stack.enter_context(a_bench(kind))
            stack.callback(made.show)
            return made

        yield bench


@pytest.fixture
def claude(at: Benches) -> Bench:
    """Claude Code with a key, shared by the tests of the module."""
    return at("claude")


@pytest.fixture
def messages_api() -> Iterator[MessagesApi]:
    """The stand-in alone, for who starts Claude Code without a bench."""
    with MessagesApi() as service:
        yield service
