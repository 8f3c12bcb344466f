"""Our entries in the configuration of the user's own agents, by the merging installers of claude/ and kiro-cli/.

Only where that agent is: its program, or a configuration of its own. An entry that was there before stays as it is, and
one that the user took out stays out. Kiro's agent and hooks are files of ours as a whole: one that the user changed is
kept, and the new version put beside it, as with the configuration.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from anvilsrv.programs import json_entry as merge
from installer.edits import edited
from installer.layout import Layout, Refused, checksum, replace, say, xdg
from installer.record import Record, forget

WHOLE = "anvillm.json"  # a file of ours in a directory of the agent


def claude() -> bool:
    home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home())
    return bool(shutil.which("claude")) or (home / ".claude.json").exists() or (Path.home() / ".claude").is_dir()


def desktop() -> bool:
    return (xdg("XDG_CONFIG_HOME", ".config") / "Claude").is_dir()


def kiro() -> bool:
    return bool(shutil.which("kiro-cli")) or Path(os.environ.get("KIRO_HOME") or Path.home() / ".kiro").is_dir()


class Agent(NamedTuple):
    """Whose configuration, whether it is here, what is added, and the installer with its words."""

    title: str
    there: Callable[[], bool]
    what: str
    command: str


AGENTS = (
    Agent("Claude Code", claude, "MCP server 'anvillm'", "claude/install-mcp.sh"),
    Agent("Claude Desktop", desktop, "MCP server 'anvillm'", "claude/install-mcp.sh --desktop"),
    Agent("Kiro", kiro, "MCP server 'anvillm'", "kiro-cli/install-mcp.sh"),
    Agent("Kiro", kiro, "agent 'anvillm' and its hooks", "kiro-cli/install-hooks.sh"),
)


def add(layout: Layout, record: Record) -> None:
    """Add what is missing; a file that cannot be read is left as it is, and said so."""
    for agent in AGENTS:
        if not agent.there():
            continue
        files = [Path(line) for line in call(layout, agent.command, "--where").splitlines()]
        ours = [path for path in files if str(path) in record.merged]
        if bool(ours) != any(holds(path) for path in files):
            continue  # there before us, or taken out since
        if ours and all(path.name == WHOLE for path in files):
            _upgrade(layout, record, agent, files)
            continue
        try:
            with ExitStack() as stack:
                for path in files:
                    stack.enter_context(edited(record, path, agent.command))
                if not ours:
                    say(f"{agent.title}: {agent.what} (leave such files alone: --no-agents)")
                call(layout, agent.command)
        except Refused as error:
            say(f"left as it is: {error}")


def _upgrade(layout: Layout, record: Record, agent: Agent, files: list[Path]) -> None:
    """Replace the files that are still as we left them; of the others the new version is put beside."""
    with tempfile.TemporaryDirectory() as top:
        env = {"KIRO_HOME": top}
        call(layout, agent.command, env=env)
        fresh = [Path(line).read_bytes() for line in call(layout, agent.command, "--where", env=env).splitlines()]
    for path, content in zip(files, fresh, strict=True):
        known, now, new = record.merged.get(str(path)), checksum(path), hashlib.sha256(content).hexdigest()
        beside = path.with_name(f"{path.name}.new")
        if known is None or now is None:
            continue  # there before us, or taken out since
        if now == known["after"]:
            if now != new:
                replace(path, content)
            forget(beside, record.beside)
            known["after"] = new
        elif new not in (now, record.beside.get(str(beside)), known["after"]):
            replace(beside, content)
            record.beside[str(beside)] = new
            say(f"changed by you, left as it is: {path}\n    the new version is {beside}")


def holds(path: Path) -> bool:
    """Return whether our entry is in a file, or is the file."""
    if path.name == WHOLE:
        return path.exists()
    try:
        servers = merge.load(path).get("mcpServers")
    except merge.Refused:
        return False
    return isinstance(servers, dict) and "anvillm" in servers


def drop(layout: Layout, by: str, path: Path) -> None:
    """Take our entry out of a file that is not as we left it. Raises Refused."""
    if path.name == WHOLE:
        raise Refused("you have changed it; remove the file yourself if you do not need it")
    if str(path) not in call(layout, by, "--where").splitlines():
        raise Refused("its installer looks elsewhere now")
    call(layout, by, "--undo")


def call(layout: Layout, command: str, *argv: str, env: Mapping[str, str] | None = None) -> str:
    """Run one of the installers of the installed program; what it printed. Raises Refused with its words."""
    script, *words = command.split()
    path = layout.env / "share/anvillm" / script
    done = subprocess.run(
        ["sh", str(path), *words, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    if done.returncode:
        raise Refused((done.stderr or done.stdout).strip()[-500:])
    return done.stdout
