"""What of the user's own configuration of an agent is let in: each part by its name, and no secret unless that is named too.

In a layer: ``configuration: {settings: true, mcp: [NAME], secrets: [a.path]}``. Which file that means, a backend knows (its YAML or
Python); it asks ``visible`` for what the agent may see of it.

Threads: any; nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.layers import Layer, Origin

LISTS = ("mcp", "secrets")
#: Names of what is a secret, whatever its value.
_NAME = re.compile(
    r"token(?!s$|s?_?(limit|count|budget|max))|secret|passw(or)?d|passphrase|api_?key|access_?key|private_?key|credential"
    r"|authori[sz]ation|bearer|cookie|session_?key|key_?helper|^key$|headers_?helper|_(pat|pwd)$",
    re.IGNORECASE,
)
#: Values that are one, whatever their name: keys of well-known services, JSON web tokens, PEM, passwords in URLs and commands.
_VALUE = re.compile(
    r"\b(sk|pk|rk|ghp|gho|ghu|ghs|ghr|glpat|github_pat|npm|hf|xox[abeoprs]|shpat|pypi)[-_][A-Za-z0-9_-]{12,2000}"
    r"|\bA(KIA|SIA)[A-Z0-9]{12,64}|\bAIza[A-Za-z0-9_-]{20,64}|\beyJ[A-Za-z0-9_-]{8,2000}\.|-----BEGIN |\bbearer +[^\s\"'{$]{8}"
    r"|(token|passw(or)?d|secret|api[_-]?key)[\"']?\s?[=:]\s?[\"']?[^\s\"'${]{6}"
    r"|://[^/\s:@]{0,256}:[^/\s@{$]{1,256}@",
    re.IGNORECASE,
)
_NAMES_A_VARIABLE = re.compile(r"^env_|_env(_var)?$")
_REFERENCE = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|\{(env|file):[^{}]*\}")  # says where it is, not what it is
_HYPHEN = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|-")


@dataclass(frozen=True)
class Configuration:
    """The parts that are let in, each with who said so."""

    settings: tuple[Origin, ...] = ()
    mcp: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)  # names of MCP servers
    secrets: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)  # paths in the settings, with dots

    def named(self) -> dict[str, tuple[Origin, ...]]:
        """Return each part, by its name in ``sandbox`` and where two sessions are compared."""
        found = {"settings": self.settings} if self.settings else {}
        found |= {f"mcp {name}": origins for name, origins in self.mcp.items()}
        return found | {f"secret {path}": origins for path, origins in self.secrets.items()}

    def visible(self, settings: Mapping[str, Any], servers: str) -> dict[str, Any]:
        """Return what may be seen of a user's settings; ``servers`` is the key of the MCP servers among them, which are
        not settings.
        """
        found: dict[str, Any] = {}
        if self.settings:
            kept = {key: value for key, value in settings.items() if key != servers}
            found = self._clean(kept, "")
        named = self.servers(settings.get(servers))
        return {**found, servers: named} if named else found

    def servers(self, entries: object) -> dict[str, Any]:
        """Return the MCP servers that are let in, with all that they need."""
        known = entries if isinstance(entries, Mapping) else {}
        return {name: known[name] for name in self.mcp if isinstance(known.get(name), Mapping)}

    def _clean(self, value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            return {
                key: self._clean(one, at)
                for key, one in value.items()
                if (at := f"{path}.{key}" if path else str(key)) in self.secrets or not secret(str(key), one)
            }
        if isinstance(value, list):
            return [self._clean(one, path) for one in value if not _holds_one(one)]
        return value


NOTHING = Configuration()


def _holds_one(item: object) -> bool:
    """Return whether an item of a list is or directly has a secret: half a row would be worse than none."""
    rows = item.items() if isinstance(item, Mapping) else [("", item)]
    return any(isinstance(value, str) and secret(str(name), value) for name, value in rows)


def secret(name: str, value: object) -> bool:
    """Return whether a value of that name looks like a secret: by its name, unless it is a flag, a number or a
    reference, or by itself.
    """
    name = _HYPHEN.sub("_", name)
    named = bool(_NAME.search(name)) and not _NAMES_A_VARIABLE.search(name)
    if not isinstance(value, str):
        return isinstance(value, (Mapping, list)) and named
    return not _REFERENCE.fullmatch(value) and (named or bool(_VALUE.search(value)))


def united(found: list[Layer]) -> Configuration:
    """Return what the layers let in, all of them together."""
    settings: list[Origin] = []
    named: dict[str, dict[str, tuple[Origin, ...]]] = {key: {} for key in LISTS}
    for layer in found:
        for key, said in layer.configuration:
            if key == "settings":
                settings += [said.origin] if said.value else []
            else:
                before = named[key].get(said.value, ())
                named[key][said.value] = (*before, said.origin)
    return Configuration(tuple(settings), named["mcp"], named["secrets"])
