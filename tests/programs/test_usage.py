"""What every program has in common: how it says its usage and its version, and what it does when nobody listens."""

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from anvilsrv import __version__
from tests.conftest import ROOT, Home
from tests.install.conftest import listing

PROGRAMS = Path(sys.prefix) / "bin"
SCRIPTS = sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])
SHELL = [str(ROOT / one) for one in ("bin/Alog", "acme/Assist", "acme/Claude", "acme/Kiro", "acme/Tell")]
COMMANDS = ("start", "fgstart", "stop", "restart", "status", "doctor", "export", "login", "ls", "ask", "run", "attach")
WORKFLOWS = sorted(path.name for path in (ROOT / "workflows").iterdir() if "." not in path.name)
OURS = [*(str(PROGRAMS / one) for one in SCRIPTS), *SHELL]
NAMES = [Path(one).name for one in OURS]


@pytest.fixture
def nowhere(home: Home) -> Home:
    """A home in which no daemon runs."""
    return home


def ask(home: Home, *argv: str) -> "subprocess.CompletedProcess[str]":
    env = home.env | {"PATH": f"{PROGRAMS}:{home.env['PATH']}"}
    return home.run(*argv, env=env, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("program", OURS, ids=NAMES)
def test_help_is_printed_on_standard_output(program: str, nowhere: Home) -> None:
    done = ask(nowhere, program, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(f"[Uu]sage: {Path(program).name}\\b", done.stdout)


# A line that would do something, and asks for help at its end.
HELPED = [
    "quickstart --help", "quickstart -h", "install --uninstall --help", "check --all --help", "claude/install-mcp.sh --undo --help",
    "claude/install-mcp.sh --desktop --help", "claude/login --help", "kiro-cli/install-mcp.sh --undo --help",
    "kiro-cli/install-hooks.sh --undo -h", *(f"workflows/{name} shell /tmp --help" for name in WORKFLOWS), "acme/Claude /tmp --help",
    "acme/Assist main --help", "bin/Alog me --help", *(f"{PROGRAMS}/anvilsrv {word} --help" for word in COMMANDS),
    f"{PROGRAMS}/anvilsrv run shell echo --help", f"{PROGRAMS}/anvil-sandbox setup --help", f"{PROGRAMS}/9p-read-inbox user --help",
    f"{PROGRAMS}/anvillm-skills load beads --help", f"{PROGRAMS}/anvillm-notify x --help", f"{PROGRAMS}/anvilweb --addr x --help",
]  # fmt: skip


@pytest.mark.parametrize("line", HELPED)
def test_help_anywhere_shows_the_usage_and_does_nothing_else(line: str, nowhere: Home) -> None:
    (nowhere.home / ".claude.json").write_text('{"mcpServers": {"anvillm": {}}}')
    (nowhere.home / ".kiro/agents").mkdir(parents=True)
    (nowhere.home / ".kiro/agents/anvillm.json").write_text("{}")
    before = listing(nowhere.top)
    program, *words = line.split()
    done = ask(nowhere, str(ROOT / program), *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(f"[Uu]sage: (./|anvilsrv )?{Path(program).name}\\b", done.stdout)
    assert listing(nowhere.top) == before


@pytest.mark.parametrize("program", OURS, ids=NAMES)
def test_the_version_is_that_of_the_whole(program: str, nowhere: Home) -> None:
    done = ask(nowhere, program, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{Path(program).name} {__version__}\n", "")


@pytest.mark.parametrize("program", OURS, ids=NAMES)
def test_an_unknown_option_is_refused_with_the_usage(program: str, nowhere: Home) -> None:
    done = ask(nowhere, program, "--nonsense")
    status = 1 if program.endswith("/anvil9p") else 2  # as plan9port's 9p
    assert (done.returncode, done.stdout) == (status, "")
    assert "usage: " in done.stderr.lower()


@pytest.mark.parametrize("command", ["anvil-sandbox show", "anvillm-skills load beads", "anvilmcp --help"])
def test_a_reader_that_is_gone_is_no_error(command: str, nowhere: Home) -> None:
    program, *words = command.split()
    reading, writing = os.pipe()
    os.close(reading)
    argv = [str(PROGRAMS / program), *words]
    with os.fdopen(writing, "wb") as pipe:
        done = nowhere.run(*argv, capture_output=False, stdout=pipe, stderr=subprocess.PIPE)
    assert done.returncode in (0, -signal.SIGPIPE)
    assert not done.stderr
