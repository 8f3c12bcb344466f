"""Kiro's home of the session's own: what may be seen of the user's configuration, and our MCP server; its login in a database.

It has never been run against the real Kiro.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anvilsrv.backends.backend import Launch, Place
from anvilsrv.backends.lacks import Lack, Rights, servers
from anvilsrv.backends.private import Private
from anvilsrv.errors import AnvilError
from anvilsrv.strict_json import loads_object

SERVERS = "mcpServers"
LARGEST = 1 << 18  # bytes of a file of the user's
AGENTS = 200


class KiroAcp(Private):
    """See ``kiro-cli.yaml``."""

    links = {f"kiro/{name}": f"{{HOME}}/.kiro/{name}" for name in ("steering", "skills", "hooks")}

    def seeds(self, place: Place) -> dict[str, Any]:
        """Return what may be seen of the user's settings, agents and MCP servers, with ours."""
        home, shown = Path(place.home) / ".kiro", place.configuration
        words = [str(one) for one in self.backend.values(place)["MCP_ARGS"]]
        ours = {"anvillm": {"command": str(self.backend.values(place)["MCP_COMMAND"]), "args": words}}
        theirs = shown.visible(read(home, "settings/mcp.json"), SERVERS).get(SERVERS, {})
        return {
            "kiro/settings/cli.json": shown.visible(read(home, "settings/cli.json"), SERVERS),
            "kiro/settings/mcp.json": {SERVERS: {**theirs, **ours}},
            **{f"kiro/agents/{name}": shown.visible(read(home, f"agents/{name}"), SERVERS) for name in agents(home)},
        }

    def lacks(self, place: Place, rights: Rights) -> Iterator[Lack]:
        """Return MCP servers."""
        home = Path(place.home) / ".kiro"
        found = read(home, "settings/mcp.json").get(SERVERS)
        return servers(found, place.configuration, "~/.kiro/settings/mcp.json")

    def available(self) -> str:
        """Return ``ok`` with a login or a key."""
        return self.logged_in(("KIRO_API_KEY",), "set KIRO_API_KEY")


class Kiro(KiroAcp):
    """See ``kiro-tui.yaml``."""

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch. 3.x runs hooks of both forms: one of them is to report."""
        found = re.search(r"(\d+)\.\d+", self.backend.version())
        form = "3" if found and int(found[1]) >= 3 else "2"
        made = super().launch(place, resume)
        env = {"ANVILLM_KIRO": form, "ANVILLM_KIRO_HOOK": str(self.backend.values(place)["HOOK"][-1])}
        return replace(made, env={**made.env, **env})

    def available(self) -> str:
        """Return ``ok`` only with its hooks: without them a prompt could never be confirmed."""
        why = super().available()
        if why == "ok" and not (Path.home() / ".kiro" / "agents" / "anvillm.json").exists():
            return "its hooks are missing: run kiro-cli/install-hooks.sh of this installation"
        return why


def agents(home: Path) -> list[str]:
    """Return the files of the user's agents."""
    return sorted(path.name for path in (home / "agents").glob("*.json"))[:AGENTS]


def read(home: Path, name: str) -> Mapping[str, Any]:
    """Return an object in a file of the user's; empty if there is none."""
    try:
        with open(home / name, "rb") as file:
            return loads_object(file.read(LARGEST), LARGEST)
    except (AnvilError, OSError):
        return {}
