"""The policy of one session: the union of its layers, resolved against this machine.

``load`` reads ``global.yaml``, ``backends/<n>.yaml``, ``roles/<n>.yaml`` and ``tasks/<n>.yaml``, each from the first
directory that has it, over a built-in layer; the most permissive wins, path by path. ``plan.specification`` turns the
result into what the launcher does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from sandbox import configuration, defaults, layers, limits, network, sockets
from sandbox.configuration import Configuration
from sandbox.errors import PolicyError
from sandbox.layers import RIGHTS, Layer, Origin, Said
from sandbox.limits import Limits
from sandbox.network import Network
from sandbox.pathnames import TMPDIR, Resolved, absolute, beneath_any, kind, resolve, under

GLOBAL = "global"
CONTROL_GROUPS = "/sys/fs/cgroup"
PLACEHOLDER = "placeholder"  # what an agent has in the place of a key that it must not have
DAEMON = "daemon"  # the layer by which a daemon grants a session its own directories


class Grant(NamedTuple):
    """A path and what may be done there (``r``, ``w``, ``x``), with everyone who said so."""

    path: str
    letters: str
    origins: tuple[Origin, ...]
    kind: str


@dataclass(frozen=True)
class Agents:
    """What an agent may do with other agents: start them; prompt and control what it started."""

    spawn: bool = False
    control: bool = False


@dataclass
class Policy:
    """What one session may do. Attributes are for reading; ``notes`` says in sentences what was left out and why."""

    cwd: str
    namespace: str
    grants: list[Grant]
    private: list[Grant]
    protect: list[tuple[str, str]]  # (path, d or f: what to make of it where it is missing)
    hide: list[str]
    links: list[tuple[str, str]]
    unix: list[Grant]
    env: list[Said]
    network: Network
    agents: Agents
    permissions: str
    best_effort: bool | str
    log_level: str
    ldd: bool
    add_exec: bool
    configuration: Configuration = field(default_factory=Configuration)
    origins: dict[str, Origin] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unprotect: list[Said] = field(default_factory=list)  # names in a project that stay writable
    limits: Limits = field(default_factory=limits.defaults)
    land: bool = True  # whether the user's branch follows what is committed
    setup: list[str] = field(default_factory=list)  # what sets a work tree of a branch up, in this order
    worktrees: str = ""  # the user's place for work trees of branches
    checkpoints: bool = True  # whether work trees are kept when a turn begins and ends
    emacs: dict[str, Said] = field(default_factory=dict)  # what of the user's Emacs it may ask for, by name

    @property
    def writable(self) -> list[str]:
        """Every directory and file that an agent under this policy can change."""
        return [grant.path for grant in self.grants if "w" in grant.letters and not grant.path.startswith(TMPDIR)]

    def inside(self, source: Mapping[str, str]) -> dict[str, str]:
        """Return the user's environment with a placeholder for each variable that the door adds to requests."""
        return {**source, **dict.fromkeys(self.network.secrets() & source.keys(), PLACEHOLDER)}

    def rights(self, path: str) -> str:
        """Return the letters that hold for a path, from every grant above it; protected paths lose ``w``, hidden ones
        all.
        """
        roof = max((top for top in self.hide if under(path, top)), key=len, default="")
        letters = "".join(g.letters for g in self.grants if under(path, g.path) and (not roof or under(g.path, roof)))
        kept = "rx" if beneath_any(path, (top for top, _ in self.protect)) else "rwx"
        return "".join(letter for letter in kept if letter in letters)


def load(
    *,
    config: Sequence[Path],
    backend: str,
    role: str | None,
    tasks: Sequence[str],
    cwd: str,
    namespace: str,
    env: Mapping[str, str],
    extra: Sequence[tuple[str, Mapping[str, Any]]] = (),
    untrusted: Iterable[str] = (),
) -> Policy:
    """Return the policy of a session. Raises PolicyError.

    ``config`` are directories, the user's first; ``backend`` may be empty. ``cwd`` must be a directory without links
    in its path (``os.path.realpath`` it once, when the session is made): a link there now was put there since.
    ``extra`` are layers of the caller, with the rights of ``global.yaml``. ``untrusted`` are directories that other
    agents can write: links in them are not followed either.
    """
    return _Union(cwd, namespace, env, [Path(path) for path in config]).of(
        _layers(config, backend, role, tasks, extra), tuple(untrusted)
    )


def _layers(
    config: Sequence[Path], backend: str, role: str | None, tasks: Sequence[str],
    extra: Sequence[tuple[str, Mapping[str, Any]]],
) -> list[Layer]:  # fmt: skip
    found = [layers.parse("default", defaults.LAYER)]
    wanted = [(GLOBAL, "", "global", False)]
    wanted += [("backend", "backends", backend, True)] if backend else []
    wanted += [("role", "roles", role or "default", role is not None)]
    wanted += [("task", "tasks", task, True) for task in dict.fromkeys(tasks)]
    for word, folder, name, needed in wanted:
        path = _find(config, word, folder, name)
        if path is not None:
            layer = word if word == GLOBAL else f"{word} {name}"
            found.append(layers.read(layer, path))
        elif word == "role" and not needed:
            found.append(layers.parse("default", defaults.WITHOUT_ROLE))
        elif needed:
            known = ", ".join(names(config, folder)) or "none"
            raise PolicyError(f"no {word} '{name}' (known: {known})")
    return found + [layers.parse(name, mapping) for name, mapping in extra]


def _find(config: Sequence[Path], word: str, folder: str, name: str) -> Path | None:
    if not layers.NAME.fullmatch(name):
        raise PolicyError(f"'{name}' is not the name of a {word}")
    for directory in config:
        path = Path(directory) / folder / f"{name}.yaml"
        if path.is_file():
            return path
    return None


def names(config: Sequence[Path], folder: str) -> list[str]:
    """Return the layers there are in ``roles``, ``tasks`` or ``backends``."""
    return sorted({path.stem for directory in config for path in (Path(directory) / folder).glob("*.yaml")})


class _Union:
    """Puts layers together. ``values`` are the templates' values."""

    def __init__(self, cwd: str, namespace: str, env: Mapping[str, str], config: list[Path]) -> None:
        home = env.get("HOME") or os.path.expanduser("~")
        self.cwd, self.namespace, self.config = cwd, os.path.normpath(namespace), config
        self.values = dict(env) | {"CWD": cwd, "HOME": home, "NAMESPACE": self.namespace}
        self.notes: list[str] = []
        self.links: dict[str, str] = {}
        self.protected_links: list[str] = []
        self.origins: dict[str, Origin] = {}

    def of(self, found: list[Layer], untrusted: tuple[str, ...]) -> Policy:
        self._check_cwd()
        wanted = [(said, key, self._path(said, f"filesystem.{key}")) for layer in found
                  for key in (*RIGHTS, "private") for said in layer.paths.get(key, ())]  # fmt: skip
        untrusted += self._writable(wanted)
        singles = self._singles(found)
        policy = Policy(
            cwd=self.cwd, namespace=self.namespace, grants=self._grants(wanted, untrusted, RIGHTS),
            private=self._grants(wanted, untrusted, {"private": "rw"}), protect=self._protected(found),
            hide=self._hidden(found), links=[], unix=self._sockets(found), env=self._env(found),
            network=network.united(found), agents=Agents(*(bool(singles.get(w)) for w in ("spawn", "control"))),
            permissions=str(singles.get("permissions", "bypass")), best_effort=singles.get("best_effort", False),
            log_level=str(singles.get("log_level", "warn")), ldd=bool(singles.get("ldd")),
            add_exec=bool(singles.get("add_exec")), configuration=configuration.united(found), origins=self.origins, notes=self.notes,
            unprotect=[said for layer in found for said in layer.paths.get("unprotect", ())], land=bool(singles.get("land", True)),
            limits=limits.united(found),
            checkpoints=bool(singles.get("checkpoints", True)),
            worktrees=self._worktrees(found),
            setup=[layer.setup for layer in found if layer.setup],
            emacs={said.value: said for layer in reversed(found) for said in reversed(layer.emacs)},
        )  # fmt: skip
        policy.links = sorted(self.links.items())
        self._check_protected(policy)
        return policy

    def _check_cwd(self) -> None:
        if not os.path.isabs(self.cwd) or self.cwd == "/" or os.path.normpath(self.cwd) != self.cwd:
            raise PolicyError(f"'{self.cwd}' cannot be a working directory")
        if not os.path.isdir(self.cwd):
            raise PolicyError(f"no directory '{self.cwd}'")
        if os.path.realpath(self.cwd) != self.cwd:
            raise PolicyError(f"the working directory {self.cwd} is reached through a link")

    def _path(self, said: Said, key: str) -> str:
        try:
            return absolute(said.value, self.values)
        except ValueError as error:
            raise layers.wrong(said, key, str(error)) from None

    def _writable(self, wanted: list[tuple[Said, str, str]]) -> tuple[str, ...]:
        """Return every name, as written and as resolved, under which an agent could put a link."""
        named = {path for _, key, path in wanted if "w" in RIGHTS.get(key, "") and not path.startswith(TMPDIR)}
        return tuple(named | {os.path.realpath(path) for path in named})

    def _resolve(self, path: str, untrusted: tuple[str, ...]) -> Resolved | None:
        try:
            found = resolve(path, untrusted)
        except PermissionError as error:
            self.notes.append(f"{path} is not granted: {error.filename} is a link where an agent can put links")
            return None
        self.links.update(found.links)
        return found

    def _grants(
        self, wanted: list[tuple[Said, str, str]], untrusted: tuple[str, ...], letters: Mapping[str, str]
    ) -> list[Grant]:
        united: dict[str, tuple[set[str], list[Origin], str]] = {}
        for said, key, path in wanted:
            if key not in letters:
                continue
            found = Resolved(path, (), "d") if path.startswith(TMPDIR) else self._resolve(path, untrusted)
            if found is None:
                continue
            if not found.kind and key != "private":
                if said.origin.layer != "default":
                    self.notes.append(f"{path} does not exist ({said.origin})")
                continue
            if under(found.path, "/proc"):
                self.notes.append(f"{path} is not granted: a session has a /proc of its own ({said.origin})")
                continue
            where = TMPDIR if found.path.startswith(TMPDIR) else found.path  # all of it is the session's own
            rights, origins, _ = united.setdefault(where, (set(), [], found.kind))
            rights.update(letters[key])
            if said.origin not in origins:
                origins.append(said.origin)
        return [Grant(path, "".join(x for x in "rwx" if x in rights), tuple(origins), what)
                for path, (rights, origins, what) in sorted(united.items())]  # fmt: skip

    def _protected(self, found: list[Layer]) -> list[tuple[str, str]]:
        """Return what no agent may ever write: the configuration, our programs and their environment, the daemon's
        data.
        """
        program = Path(__file__).resolve().parents[1]
        named = {str(path): "d" for path in (*self.config, program, sys.prefix, sys.base_prefix)}
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            named[absolute(f"{{{name}}}/anvillm", self.values)] = "d"
        named[self.values.get("ANVILLM_BEADS_PATH") or self.values["HOME"] + "/.beads"] = "d"
        named |= dict.fromkeys(self._holding_ours(), "d")
        named[CONTROL_GROUPS] = "d"  # or an agent raised its own limits
        for layer in found:
            for said in layer.paths.get("protect", ()):
                path = self._path(said, "filesystem.protect")
                if path.startswith(TMPDIR):
                    raise layers.wrong(said, "filesystem.protect", "the temporary directory cannot be protected")
                named[path] = "d" if said.value.endswith("/") else "f"
        paths = {}
        for path, make in named.items():
            at = resolve(os.path.abspath(path))
            paths[at.path] = at.kind or make
            self.protected_links += [link for link, _ in at.links]
        return sorted((path, make) for path, make in paths.items() if path not in ("/", "/usr"))

    def _holding_ours(self) -> list[str]:
        """Return where the installer put links to our programs. A link cannot be bound over, so the directory is what
        does not change.
        """
        found = []
        for name in ("bin", ".local/bin"):
            directory = f"{self.values['HOME']}/{name}"
            try:
                with os.scandir(directory) as entries:
                    if any(one.is_symlink() and under(os.path.realpath(one.path), sys.prefix) for one in entries):
                        found.append(directory)
            except OSError:
                continue
        return found

    def _hidden(self, found: list[Layer]) -> list[str]:
        paths = {*sockets.directories_of_tmux(self.values), absolute("{XDG_STATE_HOME}/anvillm", self.values)}
        paths |= {self._path(said, "filesystem.hide") for layer in found for said in layer.paths.get("hide", ())}
        return sorted({os.path.realpath(path) for path in paths if not path.startswith(TMPDIR)})

    def _check_protected(self, policy: Policy) -> None:
        for link in self.protected_links:
            for top in policy.writable:
                if under(link, top):
                    raise PolicyError(f"{link} is a link to what must not be written, and {top} is writable")
        for grant in list(policy.grants):
            trusted = any(not origin.file and origin.layer == DAEMON for origin in grant.origins)
            if beneath_any(grant.path, policy.hide) and not trusted:
                policy.grants.remove(grant)
                policy.notes.append(f"{grant.path} is never reachable")
            elif "w" in grant.letters and beneath_any(grant.path, (path for path, _ in policy.protect)):
                policy.notes.append(f"{grant.path} is never writable")
        if "r" not in policy.rights(self.cwd):
            raise PolicyError(
                f"the working directory {self.cwd} is not granted: start in a directory of yours, or grant it in a layer"
            )
        home = self.values["HOME"]
        if "w" in policy.rights(home):
            policy.notes.append(f"{home} is writable: what the agent puts there may run outside later (.profile, ...)")

    def _sockets(self, found: list[Layer]) -> list[Grant]:
        united: dict[str, list[Origin]] = {}
        for layer in found:
            trusted = layer.name == GLOBAL or not any(said.origin.file for said in layer.unix)
            for said in layer.unix:
                self._socket(said, trusted, united)
        return [Grant(path, "s", tuple(origins), "f") for path, origins in sorted(united.items())]

    def _socket(self, said: Said, trusted: bool, united: dict[str, list[Origin]]) -> None:
        entry = said.value
        if entry not in sockets.NAMED:
            try:
                absolute(entry, self.values)
            except ValueError as error:
                raise layers.wrong(said, "unix", str(error)) from None
        hidden = self._hidden([])
        for path in sockets.values_of(entry, self.values):
            real = os.path.realpath(path)
            if any(sockets.unreachable(one, self.values) or beneath_any(one, hidden) for one in (path, real)):
                raise layers.wrong(said, "unix", f"{path} is never reachable")
            acting = sockets.acts_as_user(entry, path, self.values) or sockets.acts_as_user(entry, real, self.values)
            if acting and not trusted:
                raise layers.wrong(said, "unix", f"'{entry}' acts as the user: only global.yaml may let it in")
            if not kind(real):
                self.notes.append(f"socket {path} does not exist ({said.origin})")
                continue
            united.setdefault(path if path.startswith(self.namespace) else real, []).append(said.origin)

    def _env(self, found: list[Layer]) -> list[Said]:
        """Return the variables, later layers before earlier ones where two give a value."""
        united: dict[str, Said] = {}
        for layer in found:
            for said in layer.env:
                variable, value = said.value
                try:
                    text = None if value is None else _with_templates(value, self.values)
                except ValueError as error:
                    raise layers.wrong(said, "env", str(error)) from None
                if text is not None or variable not in united:
                    united[variable] = Said((variable, text), said.origin)
            for said in layer.unix:
                for variable in sockets.NAMED.get(said.value, ((), ()))[1]:
                    united.setdefault(variable, Said((variable, None), said.origin))
        return list(united.values())

    def _worktrees(self, found: list[Layer]) -> str:
        said = next((layer.worktrees for layer in reversed(found) if layer.worktrees), "")
        home = self.values["HOME"]
        return (
            os.path.normpath(said.replace("{HOME}", home).replace("~", home, 1) if said[:1] in "{~" else said)
            if said
            else ""
        )

    def _singles(self, found: list[Layer]) -> dict[str, Any]:
        """Return single values, the most permissive of each."""
        order: dict[str, tuple[Any, ...]] = {
            "best_effort": (False, True, "unsandboxed"), "permissions": ("ask", "bypass"),
            "log_level": ("error", "warn", "info", "debug"),
            **dict.fromkeys(("spawn", "control", "ldd", "add_exec"), (False, True)),
            "land": (True, False),  # what leaves the user's branch alone
            "checkpoints": (True, False),
        }  # fmt: skip
        values: dict[str, Any] = {}
        for layer in found:
            for key, said in layer.single.items():
                if key == "best_effort" and said.value and layer.name != GLOBAL:
                    raise layers.wrong(said, "general.best_effort", "only global.yaml may weaken the sandbox")
                ranks = order[key]
                if key not in values or ranks.index(said.value) > ranks.index(values[key]):
                    values[key], self.origins[key] = said.value, said.origin
        return values


def _with_templates(value: str, values: Mapping[str, str]) -> str:
    """Return a variable's value: ``{NAME}`` where it is one of our templates, everything else (JSON, say) as it stands."""
    for name in ("CWD", "HOME", "NAMESPACE"):
        value = value.replace(f"{{{name}}}", values[name])
    return value
