"""From a policy and a tier to the launcher's specification: every mount, link, rule and variable, in order."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sandbox import limits, outside
from sandbox.errors import SandboxRefused
from sandbox.git_cover import Cover
from sandbox.limits import PROCESS, Way
from sandbox.mounts import EMPTY, TMPFS, TTY
from sandbox.network import Network
from sandbox.pathnames import TMPDIR, beneath_any, expand, kind, resolve, under
from sandbox.policy import Policy
from sandbox.sockets import MASKED

#: Device nodes of the full tier; the lower tiers grant the same on the user's own /dev, and no other terminal.
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1",
          "/dev/stderr": "/proc/self/fd/2", "/dev/ptmx": "pts/ptmx"}  # fmt: skip
_HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
_FALLBACK_PATH = "/usr/local/bin:/usr/bin:/bin"


class Bind(NamedTuple):
    """``source`` appears at ``target`` with ``letters``; ``missing`` says what to do without it (or a tmpfs's mode)."""

    target: str
    source: str
    letters: str
    missing: str


def specification(
    policy: Policy, argv: list[str], *, tier: str, namespace_source: str, tmpdir: str, env: Mapping[str, str],
    status_file: str = "", shown: Mapping[str, str] = {}, listed: Sequence[str] = (), cover: Cover | None = None,
    door: str = "", session: str = "", way: Way = PROCESS,
) -> dict[str, Any]:  # fmt: skip
    """Return what the launcher needs to start ``argv``, as JSON. ``namespace_source`` is the session's own directory,
    bound at the namespace. ``tmpdir`` is a directory kept for /tmp; empty for a fresh one. ``env`` is where allowed
    variables are taken from. ``status_file``, outside the sandbox, gets the exit status (128 and more for a signal) and
    after a refusal, on a second line, its sentence; the full tier always writes it, the lower ones only for a refusal.
    ``shown`` are directories that the full tier shows, read-only, in place of those of the same path, unless the policy
    grants something in there; ``listed`` are directories whose names, and no more, can be seen in the lower tiers.
    ``cover`` is what the full tier mounts over repositories. ``door`` is the socket of the door, which knows the
    sandbox as ``session``. ``way`` is the mechanism that enforces limits. Raises SandboxRefused if the tier cannot hold
    what is protected.
    """
    if not argv:
        raise SandboxRefused("no program to start")
    inside = "/tmp" if tier == "full" else tmpdir
    namespace = policy.namespace if tier == "full" else namespace_source
    variables = _environment(policy, env, tmpdir=inside, namespace=namespace) | (cover.variables if cover else {})
    grants = _granted(policy, argv[0], inside, variables)
    view = _View(policy, grants, inside, tmpdir, namespace_source)
    view.shown = {at: source for at, source in shown.items() if not any(under(path, at) for path in grants)}
    view.cover = cover or Cover()
    view.home = env.get("HOME") or os.path.expanduser("~")
    network = policy.network if tier == "full" else policy.network.shared()
    view.made = files = _files(network, env) if tier == "full" else {}
    if tier == "full":
        binds, rules = view.binds(), view.rules()
    else:
        binds, rules = [], [*view.lower_rules(tier), *((path, "l") for path in listed)]
    home = resolve(variables["HOME"]) if variables.get("HOME", "").startswith("/") else None
    links = view.links(home.links if home else ()) if tier == "full" else []
    return {
        "tier": tier, "argv": argv, "cwd": policy.cwd, "env": variables, "inherit": ["TERM", "COLORTERM"],
        "binds": [list(bind) for bind in binds], "links": [list(link) for link in links],
        "files": files, "rules": [list(rule) for rule in rules],
        "directories": [home.path] if tier == "full" and home else [],
        "protected": view.protected(binds),
        "network": network.mode, "connect": sorted({*network.connect, *network.widened()}), "bind": sorted(network.bind),
        "hosts": [list(host) for host in network.hosts], "publish": sorted(network.publish),
        "door": _door(network, door, session) if door and tier == "full" and network.private else None,
        "least_abi": least_abi(policy, tier), "best_effort": bool(policy.best_effort),
        "status": status_file, "room": _room(policy, binds),
        "limits": limits.specified(policy.limits, way, tier, f"session-{session}" if way.parent else "agent"),
    }  # fmt: skip


def _room(policy: Policy, binds: Sequence[Bind]) -> int:
    """Return the bytes in each file system that is in memory."""
    return limits.room(policy.limits, sum(bind.source == TMPFS and "w" in bind.letters for bind in binds))


def _granted(policy: Policy, program: str, inside: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the letters of each path, with what ``advanced`` adds for the program."""
    grants = {grant.path.replace(TMPDIR, inside, 1): grant.letters for grant in policy.grants
              if inside or not grant.path.startswith(TMPDIR)}  # fmt: skip
    for path in _programs(policy, program, variables):
        grants[path] = "".join(sorted(set(grants.get(path, "")) | set("rx")))
    return grants


def least_abi(policy: Policy, tier: str) -> int:
    """Return the oldest Landlock ABI that holds everything the policy asks for in this tier."""
    network = policy.network if tier == "full" else policy.network.shared()
    least = {"full": 1, "ll9": 9, "weak": 1}.get(tier, 0)
    if (network.mode != "none" and tier == "ll9") or (tier == "full" and not network.private):
        least = max(least, 6)  # the network namespace is shared, and with it abstract sockets: X11, buses
    return max(least, 4) if network.mode == "ports" else least


def _environment(policy: Policy, source: Mapping[str, str], *, tmpdir: str, namespace: str) -> dict[str, str]:
    found: dict[str, str] = {}
    source = policy.inside(source)
    for variable, value in (said.value for said in policy.env):
        if value is not None:
            found[variable] = value.replace(TMPDIR, tmpdir)
        elif variable.endswith("*"):
            found |= {name: text for name, text in source.items() if name.startswith(variable[:-1])}
        elif variable in source:
            found.setdefault(variable, source[variable])
    found["NAMESPACE"] = namespace
    if tmpdir:
        found["TMPDIR"] = tmpdir
    if policy.network.mode == "ports":
        found["RES_OPTIONS"] = (found.get("RES_OPTIONS", "") + " use-vc").strip()
    return found


def _programs(policy: Policy, program: str, variables: Mapping[str, str]) -> list[str]:
    """Return the program itself with ``add_exec``, and with ``ldd`` the libraries it is linked to."""
    if not (policy.add_exec or policy.ldd):
        return []
    path = shutil.which(program, path=variables.get("PATH", _FALLBACK_PATH))
    if path is None or beneath_any(path, policy.writable):  # what an agent could have put there is not run by us
        return []
    found = [os.path.realpath(path)] if policy.add_exec else []
    if policy.ldd and path == outside.which(path):  # ldd may run what it looks at
        result = subprocess.run(
            [outside.which("ldd") or "/usr/bin/ldd", path],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        words = [word for line in result.stdout.splitlines() for word in line.split()]
        found += [os.path.realpath(word) for word in words if word.startswith("/")]
    return found


def _door(network: Network, socket: str, session: str) -> dict[str, Any]:
    """Return what the launcher needs of the door (``listeners``). The hello is made here, since the launcher has no
    json.
    """
    granted = [list(host) for host in network.hosts]
    hello = {"session": session, "hosts": granted, "publish": sorted(network.publish)}
    return {"socket": socket, "ports": sorted({host.inside for host in network.hosts}), "hello": json.dumps(hello)}


def _files(network: Network, env: Mapping[str, str]) -> dict[str, str]:
    """Return small files made for the inside: who answers for names. By host that is only the door: a name in the
    machine's hosts(5) would come before it, and one that a domain of the machine's is added to could match a pattern.
    """
    if network.mode == "hosts":
        return {"/etc/resolv.conf": "nameserver 127.0.0.1\nsearch invalid\n", "/etc/hosts": _HOSTS}
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return {}
    return {"/etc/resolv.conf": text + ("\noptions use-vc\n" if network.mode == "ports" else "")}


class _View:
    """What the agent sees, as mounts (full tier) and as Landlock rules."""

    def __init__(self, policy: Policy, grants: dict[str, str], inside: str, tmpdir: str, session: str) -> None:
        self.policy, self.grants, self.inside, self.tmpdir, self.session = policy, grants, inside, tmpdir, session
        self.private = [grant.path for grant in policy.private]
        self.home = "/"
        self.shown: dict[str, str] = {}
        self.made: Mapping[str, str] = {}
        self.cover = Cover()

    def effective(self, path: str) -> str:
        """Return the letters that hold at a path: all grants above it, as far up as the nearest private or hidden
        directory.
        """
        roof = max((top for top in (*self.private, *self.policy.hide) if under(path, top)), key=len, default="")
        above = [top for top in self.grants if under(path, top) and under(top, roof or "/")]
        # The private /tmp says nothing about what is granted of the user's own beneath /tmp.
        letters = "".join(self.grants[top] for top in above if top != self.inside or path == top)
        kept = "rx" if self._protected(path) else "rwx"
        return "".join(letter for letter in kept if letter in letters)

    def protected(self, binds: list[Bind]) -> list[str]:
        """Return the protected paths that are in sight at all: beneath the private /tmp, say, the same name is another
        file.
        """
        found = {bind.target: bind for bind in binds}
        above = {path: found.get(path) or self._nearest(path, found) for path, _ in self.policy.protect}
        return [path for path, bind in above.items() if bind is not None and bind.source == bind.target]

    def _protected(self, path: str) -> bool:
        return beneath_any(path, (top for top, _ in self.policy.protect))

    def binds(self) -> list[Bind]:
        """Return every mount, parents before what lies in them."""
        found = {f"/dev/{name}": Bind(f"/dev/{name}", f"/dev/{name}", "d", "skip") for name in DEVICES}
        found["/dev/console"] = Bind("/dev/console", TTY, "d", "skip")
        found["/dev/shm"] = Bind("/dev/shm", TMPFS, "rw", "1777")
        found |= {path: Bind(path, TMPFS, "rw", "0700") for path in self.private}
        found[self.inside] = self._tmp()
        found |= {path: Bind(path, source, "rx", "refuse") for path, source in self.shown.items()}
        for path in sorted(self.grants, key=_depth):
            letters, above = self.effective(path), self._nearest(path, found)
            if (
                path not in found
                and letters
                and (above is None or letters != above.letters or above.source != above.target)
            ):
                missing = "refuse" if path == self.policy.cwd else "skip"
                found[path] = Bind(path, path, letters, missing)
        if self.policy.cwd not in found:
            found[self.policy.cwd] = Bind(self.policy.cwd, self.policy.cwd, self.effective(self.policy.cwd), "refuse")
        self._protect(found)
        self._lay_over(found)
        self._session(found)
        self._mask(found)
        for path in self.made:  # a file of ours lies there
            found.pop(path, None)
        return sorted(found.values(), key=lambda bind: (_depth(bind.target), bind.target))

    def _tmp(self) -> Bind:
        letters = self.grants.get(self.inside, "rw")
        return Bind(self.inside, self.tmpdir or TMPFS, letters, "refuse" if self.tmpdir else "1777")

    @staticmethod
    def _nearest(path: str, found: Mapping[str, Bind]) -> Bind | None:
        while path != "/":
            path = os.path.dirname(path)
            if path in found:
                return found[path]
        return None

    def _protect(self, found: dict[str, Bind]) -> None:
        """Add read-only mounts over what must not change. Every directory on the way to it becomes a mount too: a mount
        cannot be renamed, so the name cannot be moved aside and recreated.
        """
        for path, make in sorted([*self.policy.protect, *self.cover.protect], key=lambda entry: _depth(entry[0])):
            above = self._nearest(path, found)
            if above is None or "w" not in above.letters or above.source != above.target:
                continue  # nothing of the host's shows there, or nothing that could be written
            self._pin(path, above, found)
            letters = "rx" if "x" in above.letters else "r"
            found[path] = Bind(path, path, letters, "mkdir" if make == "d" else "touch")

    def _pin(self, path: str, above: Bind, found: dict[str, Bind]) -> None:
        between = os.path.dirname(path)
        while between != above.target:
            found.setdefault(between, Bind(between, between, above.letters, "mkdir"))
            between = os.path.dirname(between)

    def _lay_over(self, found: dict[str, Bind]) -> None:
        """Add the session's own git directories, and read-only what they borrow. What they lie over cannot be moved."""
        for target, source in (*self.cover.over, *self.cover.reads):
            above = self._nearest(target, found)
            if above is not None and "w" in above.letters and above.source == above.target:
                self._pin(target, above, found)
            letters = "rwx" if (target, source) in self.cover.over else "r"
            found[target] = Bind(target, source, letters, "refuse")
        found.update({path: Bind(path, EMPTY, "r", "skip") for path in self.cover.empty})

    def _session(self, found: dict[str, Bind]) -> None:
        """Add the session's own directory in place of the user's namespace, and the sockets let in."""
        namespace = self.policy.namespace
        above = self._nearest(namespace, found)
        if above is not None and "w" in above.letters and above.source == above.target:
            self._pin(namespace, above, found)
        for path in [path for path in found if under(path, namespace)]:
            del found[path]
        if self.session:
            found[namespace] = Bind(namespace, self.session, "r", "refuse")
            found[f"{namespace}/spool"] = Bind(f"{namespace}/spool", f"{self.session}/spool", "rw", "skip")
        else:
            found[namespace] = Bind(namespace, TMPFS, "r", "0555")
        for grant in self.policy.unix:
            within = bool(self.session) and under(grant.path, namespace)
            if not within or _place(self.session + grant.path[len(namespace) :]):
                found[grant.path] = Bind(grant.path, grant.path, "r", "skip")

    def _mask(self, found: dict[str, Bind]) -> None:
        known = [path for pattern in MASKED for path in glob.glob(expand(pattern, {"HOME": self.home}))]
        for path in (*self.policy.hide, *known):
            above = self._nearest(path, found)
            if path not in found and above is not None and above.source == above.target:
                if "w" in above.letters:
                    self._pin(path, above, found)
                found[path] = Bind(path, EMPTY, "r", "skip")

    def links(self, more: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return links that lead into the grants; those that lie in a grant are there already."""
        tops = [*self.grants, self.inside]
        return [
            *_LINKS.items(),
            *((path, to) for path, to in dict.fromkeys([*self.policy.links, *more]) if not beneath_any(path, tops)),
        ]

    def rules(self) -> list[tuple[str, str]]:
        """Return Landlock rules for the full tier. ``/`` can be listed: there is nothing in it but what is granted."""
        namespace = self.policy.namespace
        found = [("/", "l"), ("/proc", "r"), ("/dev", "rd"), ("/dev/shm", "rw"), (self.inside, self._tmp().letters)]
        found += [(path, letters) for path in self.grants if (letters := self.effective(path))]
        found += [(target, "rwx") for target, _ in self.cover.over if "w" not in self.effective(target)]
        found += [(target, "r") for target, _ in self.cover.reads]
        found += [(path, "rw") for path in self.private] + [(path, "rx") for path in self.shown]
        found += [(namespace, "rs"), (f"{namespace}/spool", "rw"), *((grant.path, "rs") for grant in self.policy.unix)]
        return [*found, *((path, "r") for path in self.made)]

    def lower_rules(self, tier: str) -> list[tuple[str, str]]:
        """Return Landlock rules without a mount namespace. Raises SandboxRefused if they cannot hold."""
        if tier == "none":
            return []
        writable = [path for path, letters in self.grants.items() if "w" in letters]
        hard = [path for path, _ in self.policy.protect] + ([self.policy.namespace] if self.policy.namespace else [])
        for path in hard:
            top = next((top for top in writable if under(path, top) or under(top, path)), None)
            if top is not None and not (self.tmpdir and under(top, self.tmpdir)) and top != self.session:
                raise SandboxRefused(f"{top} is writable and {path} must not be: tier {tier} cannot enforce that")
        for path in self.policy.hide:
            top = next((top for top in self.grants if under(path, top)), None)
            if top is not None:
                raise SandboxRefused(
                    f"{top} is granted and {path} in it must not be seen: tier {tier} cannot enforce that"
                )
        found = [(path, letters) for path in self.grants if (letters := self.effective(path))]
        found += [("/proc", "r"), *((f"/dev/{name}", "rd") for name in DEVICES), ("/etc/resolv.conf", "r")]
        resolv = resolve("/etc/resolv.conf").path
        found += [(resolv, "r"), *((grant.path, "rs") for grant in self.policy.unix)]
        if self.session:
            found += [(self.session, "rs"), (f"{self.session}/spool", "rw")]
        return [rule for rule in found if resolve(rule[0]).path == rule[0]]


def _depth(path: str) -> int:
    return path.rstrip("/").count("/")


def _place(path: str) -> bool:
    """Return whether there is a file to bind a socket on, made now if need be. The session's directory is read-only
    inside.
    """
    if kind(path):
        return True
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except OSError:
        return False
    return True
