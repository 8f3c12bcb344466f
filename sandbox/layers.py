"""One layer of the policy: a YAML file, or a mapping the daemon gives, checked key by key.

A layer only says; nothing is resolved here. Whatever is wrong is a PolicyError that names the file, line and key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sandbox import hosts, limit_values
from sandbox.errors import PolicyError
from sandbox.git_find import NAMES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
#: The key of a list of paths, and the letters that it grants.
RIGHTS = {"ro": "r", "rox": "rx", "rw": "rw", "rwx": "rwx"}
#: What of the user's Emacs an agent may ask for.
EMACS = ("xref", "imenu", "diagnostics", "buffers", "selection", "eldoc", "project", "open_diff")
_LOG_LEVELS = ("error", "warn", "info", "debug")
_Lines = Mapping[tuple[Any, ...], int]


class Origin(NamedTuple):
    """Where a line of the policy came from."""

    layer: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.layer} ({self.file}:{self.line})" if self.line else self.layer


class Said(NamedTuple):
    """A value and where it was said."""

    value: Any
    origin: Origin


@dataclass
class Layer:
    """What one layer asks for, in its own words; templates are still in the paths."""

    name: str
    paths: dict[str, list[Said]] = field(default_factory=dict)  # ro rox rw rwx private protect hide unprotect
    unix: list[Said] = field(default_factory=list)
    env: list[Said] = field(default_factory=list)  # (name, value or None)
    network: dict[str, Said] = field(default_factory=dict)
    hosts: list[Said] = field(default_factory=list)  # of network: each a Host
    configuration: list[tuple[str, Said]] = field(default_factory=list)  # (settings mcp secrets, what)
    emacs: list[Said] = field(default_factory=list)  # of EMACS
    limits: dict[str, Said] = field(default_factory=dict)  # as ``limit_values`` reads them
    worktrees: str = ""  # where those of branches are made
    setup: str = ""  # what sets a work tree of a branch up
    activity: int = 0  # bytes of it that the daemon keeps of a session; 0: nothing is said of it
    single: dict[str, Said] = field(default_factory=dict)  # best_effort, spawn, permissions, ...
    description: str = ""


def read(name: str, path: Path) -> Layer:
    """Return the layer in a YAML file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read: {error}") from None
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise PolicyError(f"{path}{line}: not YAML: {getattr(error, 'problem', None) or error}") from None
    finally:
        loader.dispose()
    lines: dict[tuple[Any, ...], int] = {}
    if node is not None:
        _note_lines(node, (), lines, path)
    return parse(name, data, file=str(path), lines=lines)


def _note_lines(node: yaml.Node, path: tuple[Any, ...], lines: dict[tuple[Any, ...], int], file: Path) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, key.value)
            if below in lines:
                raise PolicyError(f"{file}:{key.start_mark.line + 1}: {key.value}: duplicate key")
            _note_lines(value, below, lines, file)
            lines[below] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(value, (*path, index), lines, file)


def parse(name: str, data: object, *, file: str = "", lines: _Lines | None = None) -> Layer:
    """Return the layer in a mapping; ``lines`` gives the line of each key path."""
    return _Parser(name, file, lines or {}).layer(data)


class _Parser:
    def __init__(self, name: str, file: str, lines: _Lines) -> None:
        self.file, self.lines = file, lines
        self.found = Layer(name)

    def layer(self, data: object) -> Layer:
        top = {
            "general": self._general, "filesystem": self._filesystem, "network": self._network, "env": self._env,
            "unix": self._unix, "agents": self._agents, "permissions": self._permissions, "advanced": self._advanced,
            "configuration": self._configuration, "git": self._git, "limits": self._limits,
            "emacs": self._emacs,
        }  # fmt: skip
        for key, value in self._mapping((), data).items():
            if key == "description":
                if not isinstance(value, str | None):
                    raise self._wrong((key,), "is not a text")
                self.found.description = value or ""
                continue
            if key == "backend" and self.found.name.startswith("backend "):
                continue  # the daemon's part of a backend's file
            if key not in top:
                raise self._wrong((key,), f"no such key (known: {', '.join(top)})")
            if value is not None:
                top[key]((key,), value)
        return self.found

    # Each of these reads one section, ``at`` is its place.

    def _general(self, at: tuple[Any, ...], data: object) -> None:
        for key, value in self._known(at, data, "best_effort", "log_level", "activity").items():
            here = (*at, key)
            if key == "activity":
                self._activity(here, value)
                continue
            if key == "best_effort" and not (isinstance(value, bool) or value == "unsandboxed"):
                raise self._wrong(here, "must be true, false or unsandboxed")
            if key == "log_level" and value not in _LOG_LEVELS:
                raise self._wrong(here, f"must be one of {', '.join(_LOG_LEVELS)}")
            self.found.single[key] = self._said(here, value)

    def _activity(self, at: tuple[Any, ...], value: object) -> None:
        if self.found.name != "global":
            raise self._wrong(at, "is allowed only in global.yaml")
        try:
            self.found.activity = limit_values.parse("activity", value) or limit_values.MOST
        except ValueError as error:
            raise self._wrong(at, str(error)) from None

    def _filesystem(self, at: tuple[Any, ...], data: object) -> None:
        for key, value in self._known(at, data, *RIGHTS, "private", "protect", "hide", "unprotect").items():
            here = (*at, key)
            paths = self.found.paths.setdefault(key, [])
            for index, path in enumerate(self._list(here, value)):
                if not isinstance(path, str) or not path:
                    raise self._wrong((*here, index), "is not a path")
                if key == "unprotect" and path not in NAMES:
                    raise self._wrong(
                        (*here, index), f"'{path}' is not protected by its name (those: {', '.join(NAMES)})"
                    )
                if key != "unprotect" and not path.startswith(("/", "~/", "{")):
                    raise self._wrong(
                        (*here, index), f"'{path}' is not absolute: it must begin with /, ~/ or a {{NAME}}"
                    )
                paths.append(self._said((*here, index), path))

    def _network(self, at: tuple[Any, ...], data: object) -> None:
        known = ("enabled", "unrestricted", "connect_tcp", "bind_tcp", "hosts", "publish")
        for key, value in self._known(at, data, *known).items():
            here = (*at, key)
            if key in ("enabled", "unrestricted"):
                self._flag(here, value)
            elif key == "hosts":
                self._hosts(here, value)
            else:
                for index, port in enumerate(self._list(here, value)):
                    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
                        raise self._wrong((*here, index), f"{port!r} is not a port (1 to 65535)")
            self.found.network[key] = self._said(here, value)

    def _hosts(self, at: tuple[Any, ...], data: object) -> None:
        for index, entry in enumerate(self._list(at, data)):
            try:
                self.found.hosts.append(self._said((*at, index), hosts.parse(entry)))
            except ValueError as error:
                raise self._wrong((*at, index), str(error)) from None

    def _env(self, at: tuple[Any, ...], data: object) -> None:
        for index, entry in enumerate(self._list(at, data)):
            here = (*at, index)
            if not isinstance(entry, str):
                raise self._wrong(here, f"{entry!r} is neither NAME nor NAME=value")
            variable, equals, value = entry.partition("=")
            if not _VARIABLE.fullmatch(variable) or (equals and variable.endswith("*")) or "\0" in value:
                raise self._wrong(here, f"{variable!r} is not the name of a variable")
            self.found.env.append(self._said(here, (variable, value if equals else None)))

    def _unix(self, at: tuple[Any, ...], data: object) -> None:
        for index, entry in enumerate(self._list(at, data)):
            if not isinstance(entry, str) or not entry:
                raise self._wrong((*at, index), f"{entry!r} is neither a path nor the name of a socket")
            self.found.unix.append(self._said((*at, index), entry))

    def _agents(self, at: tuple[Any, ...], data: object) -> None:
        for key, value in self._known(at, data, "spawn", "control").items():
            self._flag((*at, key), value)
            self.found.single[key] = self._said((*at, key), value)

    def _emacs(self, at: tuple[Any, ...], data: object) -> None:
        for index, name in enumerate(self._list(at, data)):
            if name not in EMACS:
                raise self._wrong((*at, index), f"{name!r} is not a tool of Emacs (known: {', '.join(EMACS)})")
            self.found.emacs.append(self._said((*at, index), name))

    def _configuration(self, at: tuple[Any, ...], data: object) -> None:
        for key, value in self._known(at, data, "settings", "mcp", "secrets").items():
            here = (*at, key)
            if key == "settings":
                self._flag(here, value)
                self.found.configuration.append((key, self._said(here, value)))
                continue
            for index, name in enumerate(self._list(here, value)):
                if not isinstance(name, str) or not name or not name.isprintable() or "*" in name:
                    raise self._wrong((*here, index), f"{name!r} is not a name")
                self.found.configuration.append((key, self._said((*here, index), name)))

    def _git(self, at: tuple[Any, ...], data: object) -> None:
        for key, value in self._known(at, data, "land", "checkpoints", "worktrees", "setup").items():
            if key == "setup":
                if not isinstance(value, str) or not value.strip() or "\0" in value:
                    raise self._wrong((*at, key), "is a command for the shell")
                self.found.setup = value
                continue
            if key == "worktrees":
                if (
                    self.found.name != "global"
                    or not isinstance(value, str)
                    or not value.startswith(("/", "{HOME}", "~/"))
                ):
                    raise self._wrong((*at, key), "must be an absolute path, and is allowed only in global.yaml")
                self.found.worktrees = value
                continue
            self._flag((*at, key), value)
            self.found.single[key] = self._said((*at, key), value)

    def _limits(self, at: tuple[Any, ...], data: object) -> None:
        for key, value in self._known(at, data, *limit_values.NAMES).items():
            try:
                self.found.limits[key] = self._said((*at, key), limit_values.parse(key, value))
            except ValueError as error:
                raise self._wrong((*at, key), str(error)) from None

    def _permissions(self, at: tuple[Any, ...], value: object) -> None:
        if value not in ("ask", "bypass"):
            raise self._wrong(at, "must be ask or bypass")
        self.found.single["permissions"] = self._said(at, value)

    def _advanced(self, at: tuple[Any, ...], data: object) -> None:
        for key, value in self._known(at, data, "ldd", "add_exec").items():
            self._flag((*at, key), value)
            self.found.single[key] = self._said((*at, key), value)

    # --- small checks

    def _known(self, at: tuple[Any, ...], data: object, *keys: str) -> dict[str, Any]:
        found = self._mapping(at, data)
        for key in found:
            if key not in keys:
                raise self._wrong((*at, key), f"no such key (known: {', '.join(keys)})")
        return {key: value for key, value in found.items() if value is not None}

    def _mapping(self, at: tuple[Any, ...], data: object) -> dict[Any, Any]:
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            raise self._wrong(at, "must be a mapping")
        return dict(data)

    def _list(self, at: tuple[Any, ...], data: object) -> list[Any]:
        if not isinstance(data, list | tuple):
            raise self._wrong(at, "must be a list")
        return list(data)

    def _flag(self, at: tuple[Any, ...], value: object) -> None:
        if not isinstance(value, bool):
            raise self._wrong(at, f"must be true or false, not {value!r}")

    def _said(self, at: tuple[Any, ...], value: object) -> Said:
        return Said(value, Origin(self.found.name, self.file, self._line(at)))

    def _line(self, at: tuple[Any, ...]) -> int:
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at, 0)

    def _wrong(self, at: tuple[Any, ...], why: str) -> PolicyError:
        line = self._line(at)
        where = f"{self.file}:{line}" if line else self.file or self.found.name
        key = ".".join(str(part) for part in at if not isinstance(part, int)) or "the file"
        return PolicyError(f"{where}: {key}: {why}")


def wrong(said: Said, key: str, why: str) -> PolicyError:
    """Return the error for something in a layer that turned out wrong later."""
    origin = said.origin
    where = f"{origin.file}:{origin.line}" if origin.line else origin.file or origin.layer
    return PolicyError(f"{where}: {key}: {why}")
