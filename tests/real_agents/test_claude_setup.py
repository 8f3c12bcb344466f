"""What a person has set up for the real Claude Code: what of it is named as not granted, and that it works once a layer grants it."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.real_agents.conftest import Bench, Benches, program, wait_until
from tests.session import Session

pytestmark = pytest.mark.timeout(300)  # a busy machine starts agents slowly
BASH = '@@call Bash {"command":"echo ran","description":"x"}'
GUARD = """#!/bin/sh
cat >/dev/null
mkdir -p "$CLAUDE_PLUGIN_DATA" && echo x >"$CLAUDE_PLUGIN_DATA/x" || exit 0
echo guarded >&2
exit 2
"""
SERVER = """#!/usr/bin/env python3
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    tools = {"tools": [{"name": "knock", "description": "x", "inputSchema": {"type": "object", "properties": {}}}]}
    first = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "local", "version": "1"}}
    said = {"initialize": first, "tools/list": tools, "tools/call": {"content": [{"type": "text", "text": "who is there"}]}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": said.get(asked["method"], {})}), flush=True)
"""


def missing(agent: Session) -> list[str]:
    """Return what ``sandbox`` names, and the line that would grant it."""
    return [
        line.removeprefix("missing\t") for line in agent.read("sandbox").splitlines() if line.startswith("missing\t")
    ]


def role(bench: Bench, *lines: str) -> str:
    """Return a role with the lines that ``sandbox`` told."""
    merged: dict[str, list[str]] = {"rwx": ["{CWD}", "{TMPDIR}"], "rox": [], "ro": []}
    rest = [line for line in lines if not line.startswith("filesystem")]
    for line in lines:
        if line.startswith("filesystem"):
            word, _, paths = line.removeprefix("filesystem: {").rstrip("}").partition(": ")
            merged[word] += json.loads(paths)
    roles = bench.daemon.home.config / "roles"
    roles.mkdir(parents=True, exist_ok=True)
    (roles / "granted.yaml").write_text("\n".join([f"filesystem: {json.dumps(merged)}", *rest]) + "\n")
    return "role=granted"


def install_plugin(bench: Bench, market: Path) -> None:
    """Install a plugin of the user's, by Claude's own commands, that refuses every shell command."""
    plugin = market / "guard"
    rows = {
        "PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "${CLAUDE_PLUGIN_ROOT}/guard.sh"}]}]
    }
    files = {
        market / ".claude-plugin/marketplace.json": {
            "name": "local", "owner": {"name": "x"}, "plugins": [{"name": "guard", "source": "./guard", "description": "x"}],
        },
        plugin / ".claude-plugin/plugin.json": {"name": "guard", "version": "1.0.0", "description": "x"},
        plugin / "hooks/hooks.json": {"hooks": rows},
    }  # fmt: skip
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    (plugin / "guard.sh").write_text(GUARD)
    (plugin / "guard.sh").chmod(0o755)
    for words in (["marketplace", "add", str(market)], ["install", "guard@local"]):
        done = bench.daemon.home.run(program("claude"), "plugin", *words, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow(30)
def test_a_plugin_that_guards_guards_inside_too_once_its_place_is_granted(fresh: Benches) -> None:
    claude = fresh("claude")
    market = claude.daemon.home.home / "market"
    install_plugin(claude, market)
    agent = claude.new()
    [line] = missing(agent)
    assert line.startswith("marketplace local of plugins\tfilesystem: {rox: ")
    agent = claude.new(role(claude, line.partition("\t")[2]))
    assert missing(agent) == []
    assert "guarded" in agent.ask(BASH)
    assert not (
        claude.daemon.home.home / ".claude/plugins/data/guard-local/x"
    ).exists()  # what it keeps is the session's


@pytest.mark.slow(23)
def test_notes_that_claude_md_takes_in_and_local_servers_are_named_and_work_once_granted(claude: Bench) -> None:
    home, cwd = claude.daemon.home.home, claude.daemon.home.work / "noted"
    cwd.mkdir()
    (home / "notes.md").write_text("the notes say 42\n")
    (cwd / "CLAUDE.md").write_text("See @~/notes.md\n")
    server = home / "server.py"
    server.write_text(SERVER)
    server.chmod(0o755)
    entry = {"command": os.path.realpath(sys.executable), "args": [str(server)]}
    (home / ".claude.json").write_text(json.dumps({"projects": {str(cwd): {"mcpServers": {"local": entry}}}}))
    agent = claude.new(cwd=cwd)
    told = dict(line.split("\t") for line in missing(agent))
    assert told == {
        f"@~/notes.md in {cwd}/CLAUDE.md": 'filesystem: {ro: ["{HOME}/notes.md"]}',
        f"MCP server local of ~/.claude.json for {cwd}": 'configuration: {mcp: ["local"]}',
    }
    agent.ask("hello")
    assert "the notes say 42" not in json.dumps(claude.model.last.raw)
    agent = claude.new(role(claude, *told.values(), f"filesystem: {{ro: [{json.dumps(str(server))}]}}"), cwd=cwd)
    assert missing(agent) == []
    agent.ask("hello")
    assert "the notes say 42" in json.dumps(claude.model.last.raw)
    knock = "@@call mcp__local__knock {}"
    wait_until(lambda: "who is there" in agent.ask(knock), "its server is not there", 60)
