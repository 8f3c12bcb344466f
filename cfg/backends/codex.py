"""What Codex needs in its private home: the user's configuration, the login, and hooks."""

import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from anvilsrv.backends.backend import Launch, Place, Report
from anvilsrv.backends.lacks import Lack, Rights, servers
from anvilsrv.backends.private import Private
from anvilsrv.errors import NotPermitted

HOOKS = {"SessionStart": "", "UserPromptSubmit": "", "Stop": "", "PostToolUse": "", "PermissionRequest": "--wait "}

PATCH = "apply_patch"
HEADS = {  # of a file in a patch: what stands for the path on the two sides
    "*** Add File": ("/dev/null", ""), "*** Delete File": ("", "/dev/null"), "*** Update File": ("", ""),
}  # fmt: skip
FILES = 20  # that a question names
TELLS = ("PreToolUse", "PostModelRequest")  # whose payloads go into a file that is followed


class Codex(Private):
    """See ``codex.yaml``."""

    links = {f"codex/{name}": f"{{HOME}}/.codex/{name}" for name in ("AGENTS.md", "rules", "prompts", "skills")}

    def seeds(self, place: Place) -> dict[str, Any]:
        """Return what may be seen of the user's configuration (codex writes into it), hooks, and the login when there
        is an API key.
        """
        hook = self.backend.values(place)["HOOK"]
        program = hook if isinstance(hook, str) else shlex.join(hook)
        hooks = {name: entry(f"{program} {flag}{name}", 864000 if flag else 60) for name, flag in HOOKS.items()}
        told = shlex.quote(f"{place.data_dir}/tools.jsonl")
        hooks |= {name: entry(f"{{ cat; echo; }} >> {told}", 10) for name in TELLS}
        made: dict[str, Any] = {"codex/hooks.json": {"hooks": hooks}}
        seen = place.configuration.visible(configuration(Path(place.home)), "mcp_servers")
        made["codex/config.toml"] = "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in seen.items())
        if key := place.env.get("OPENAI_API_KEY"):
            made["codex/auth.json"] = {"auth_mode": "apikey", "OPENAI_API_KEY": key}
        return made

    def kept(self, path: str, before: str, after: str) -> str:
        """Return where a file is in a fork, without codex's databases, which name files by their paths and are made
        again. Elsewhere it asks where to go on, once ready.
        """
        if before != after:
            raise NotPermitted("Codex can continue a conversation only in its own directory: fork it without branch=")
        return "" if path.startswith("codex/") and ".sqlite" in path else path

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch: the words of the MCP server go in as one TOML array, with the key of the user's own model
        provider.
        """
        made = super().launch(place, resume)
        words = self.backend.values(place)["MCP_ARGS"]
        made.argv.extend(["-c", f"mcp_servers.anvillm.args={json.dumps(list(words))}"])
        for name in provider_keys(Path(place.home)):
            if place.configuration.settings and place.env.get(name):
                made.env[name] = place.env[name]
        return made

    def report(self, hook: str, payload: Mapping[str, Any]) -> Report | None:
        """Return the report; a question about a patch has its diff."""
        found = super().report(hook, payload)
        given = payload.get("tool_input")
        patch = given.get("command") if isinstance(given, Mapping) else None
        if found is not None and found.kind == "ask" and payload.get("tool_name") == PATCH and isinstance(patch, str):
            found.fields["diff"] = unified(patch)
            found.fields["question"] = ", ".join([PATCH, *files(patch)])
        return found

    def lacks(self, place: Place, rights: Rights) -> Iterator[Lack]:
        """Return MCP servers."""
        return servers(configuration(Path(place.home)).get("mcp_servers"), place.configuration, "~/.codex/config.toml")

    def available(self) -> str:
        """Return ``ok`` with a login, a key, or a model provider of the user's own."""
        keys = ("OPENAI_API_KEY", "CODEX_API_KEY", *provider_keys(Path.home()))
        return self.logged_in(keys, "set OPENAI_API_KEY")


class CodexAcp(Codex):
    """See ``codex-acp.yaml``: the same private home without hooks; its MCP server comes with the session."""

    def seeds(self, place: Place) -> dict[str, Any]:
        """Return what may be seen of the user's configuration, and the login when there is an API key."""
        return {name: content for name, content in super().seeds(place).items() if name != "codex/hooks.json"}

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch with the key of the user's own model provider."""
        made = Private.launch(self, place, resume)
        for name in provider_keys(Path(place.home)):
            if place.configuration.settings and place.env.get(name):
                made.env[name] = place.env[name]
        return made


def files(patch: str) -> list[str]:
    """Return the files that a patch of Codex's own form is about."""
    heads = (line.partition(": ") for line in patch.splitlines() if line.startswith(tuple(HEADS)))
    return [path for _, _, path in heads][:FILES]


def unified(patch: str) -> str:
    """Return the same as a unified diff: the form has no numbers of lines, so its hunks have none either."""
    made = []
    for line in patch.splitlines():
        head, mark, path = line.partition(": ")
        if mark and head in HEADS:
            old, new = HEADS[head]
            made += [f"--- {old or path}", f"+++ {new or path}"]
        elif not line.startswith(("*** Begin Patch", "*** End ")):
            made.append(line)
    return "\n".join(made) + "\n"


def entry(command: str, timeout: int) -> list[dict[str, Any]]:
    """Return one row of hooks.json."""
    return [{"hooks": [{"type": "command", "command": command, "timeout": timeout}]}]


def configuration(home: Path) -> dict[str, Any]:
    """Return the user's config.toml; empty if there is none that can be read."""
    try:
        return tomllib.loads((home / ".codex" / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def toml(value: Any) -> str:
    """Return a value of TOML on one line: what JSON writes for texts, numbers and flags is TOML too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")


def provider_keys(home: Path) -> list[str]:
    """Return the variables that hold the keys of model providers in the user's config.toml."""
    providers = configuration(home).get("model_providers", {})
    rows = providers.values() if isinstance(providers, dict) else ()
    return [str(row["env_key"]) for row in rows if isinstance(row, dict) and "env_key" in row]
