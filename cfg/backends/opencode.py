"""What opencode needs besides its YAML: private directories, and a configuration made of the user's and ours."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anvilsrv.backends.backend import Launch, Place
from anvilsrv.backends.lacks import Lack, Rights, servers
from anvilsrv.backends.private import Private
from anvilsrv.errors import NotPermitted

NAMES = ("AGENTS.md", "agents", "commands", "plugins")
KEYS = (
    "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENROUTER_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "OPENCODE_API_KEY",
)  # fmt: skip
COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


class OpenCode(Private):
    """See ``opencode.yaml``."""

    links = {f"config/opencode/{name}": f"{{HOME}}/.config/opencode/{name}" for name in NAMES}

    def seeds(self, place: Place) -> dict[str, Any]:
        """Return key bindings: it breaks off at the second press; two Escapes in one write would be another key.
        Ctrl-C, which empties the input, ends the program if that is empty already.
        """
        keys = {"session_interrupt": "escape,ctrl+g", "input_clear": "ctrl+c,f12"}
        return {"config/opencode/tui.json": {"keybinds": keys}}

    def kept(self, path: str, before: str, after: str) -> str:
        """Return where a file is in a fork: a conversation stays in the directory in which it was begun."""
        if before != after:
            raise NotPermitted(
                "opencode can continue a conversation only in its own directory: fork it without branch="
            )
        return path

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch: ours goes in by the environment, over the user's; and what the plugin needs."""
        made = super().launch(place, resume)
        values = self.backend.values(place)
        config = self.configured(place)
        plugins, mcp = config.get("plugin"), config.get("mcp")
        config |= {
            "plugin": [*(plugins if isinstance(plugins, list) else []), f"file://{self.backend.path.parent}/opencode/anvillm.js"],
            "mcp": {**(mcp if isinstance(mcp, dict) else {}),
                    "anvillm": {"type": "local", "command": [values["MCP_COMMAND"], *values["MCP_ARGS"]], "enabled": True}},
        }  # fmt: skip
        made.env["OPENCODE_CONFIG_CONTENT"] = json.dumps(config)
        made.env["ANVILLM_HOOK"] = json.dumps(values["HOOK"])
        made.env["ANVILLM_TOLD"] = f"{place.data_dir}/told.jsonl"
        made.env["ANVILLM_JOURNAL"] = f"{place.data_dir}/journal.jsonl"
        return made

    def configured(self, place: Place) -> dict[str, Any]:
        """Return what may be seen of the user's configuration, with what every session has."""
        config = place.configuration.visible(configuration(Path(place.home) / ".config" / "opencode"), "mcp")
        experimental = config.get("experimental")
        return config | {
            "autoupdate": False,
            "share": "disabled",
            "permission": "ask" if place.permissions == "ask" else "allow",
            "experimental": {**(experimental if isinstance(experimental, dict) else {}), "disable_paste_summary": True},
        }

    def lacks(self, place: Place, rights: Rights) -> Iterator[Lack]:
        """Return MCP servers."""
        return servers(
            configuration(Path(place.home) / ".config" / "opencode").get("mcp"),
            place.configuration,
            "~/.config/opencode",
        )

    def available(self) -> str:
        """Return ``ok`` with a key, a login, or a provider in the user's configuration."""
        if configuration(Path.home() / ".config" / "opencode").get("provider"):
            return super().available()
        how = "set a provider's API key, or configure a provider in ~/.config/opencode/opencode.json"
        return self.logged_in(KEYS, how)

    def reads(self) -> list[str]:
        """Return the paths with that of the plugin."""
        return [*super().reads(), str(self.backend.path.parent / "opencode")]


class OpenCodeAcp(OpenCode):
    """See ``opencode-acp.yaml``: it tells everything in the protocol, and needs no plugin."""

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch with its configuration, by the environment."""
        made = Private.launch(self, place, resume)
        made.env["OPENCODE_CONFIG_CONTENT"] = json.dumps(self.configured(place))
        return made

    def reads(self) -> list[str]:
        """Return the paths without a plugin of ours."""
        return Private.reads(self)


def configuration(directory: Path) -> dict[str, Any]:
    """Return the user's configuration, comments taken out; empty when there is none that can be read."""
    for name in ("opencode.jsonc", "opencode.json", "config.json"):
        try:
            text = (directory / name).read_text(encoding="utf-8")
            found = json.loads(COMMENT.sub(lambda one: one[1] or "", text))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            return found
    return {}
