"""What one sandbox lets its agent do that another does not: a session gets at most what the one that made it has.

What is compared is what is enforced, the mounts and Landlock rules that the launcher gets, not the layers they came from: a path that
one hides, shadows or protects it does not have, whatever is granted above.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from sandbox import hosts
from sandbox.mounts import TMPFS
from sandbox.network import MODES
from sandbox.pathnames import TMPDIR, beneath_any, under
from sandbox.policy import Policy

TIERS = ("full", "ll9", "weak", "none")


class Rights(TypedDict):
    """As JSON. ``spec`` is the launcher's specification; ``own`` are the session's own directories, which are not a right over others;
    ``passed`` the variables taken from the user's environment."""

    spec: dict[str, Any]
    own: list[str]
    passed: list[str]
    permissions: str
    spawn: bool
    control: bool
    configuration: list[str]
    emacs: list[str]


def rights(policy: Policy, spec: dict[str, Any], own: list[str]) -> Rights:
    """Return the rights of a start of ``policy`` by ``spec``."""
    passed = sorted(said.value[0] for said in policy.env if said.value[1] is None)
    return Rights(
        spec=spec, own=own, passed=passed, permissions=policy.permissions, spawn=policy.agents.spawn,
        control=policy.agents.control, configuration=list(policy.configuration.named()),
        emacs=list(policy.emacs),
    )  # fmt: skip


def exceeds(mine: Rights, theirs: Rights) -> list[str]:
    """Return what ``mine`` gives and ``theirs`` does not, as sentences; empty if nothing."""
    one, other = mine["spec"], theirs["spec"]
    found = []
    if TIERS.index(one["tier"]) > TIERS.index(other["tier"]):
        found.append(f"tier {one['tier']} holds less than the parent's, {other['tier']}")
    found += _paths(mine, theirs)
    if _runs_what_it_writes(mine) and not _runs_what_it_writes(theirs):
        found.append(f"{TMPDIR}: x is not the parent's")
    found += _network(one, other)
    found += [
        f"the variable {name} is not passed to the parent" for name in mine["passed"] if name not in theirs["passed"]
    ]
    found += [f"agents.{word} is not the parent's" for word in ("spawn", "control") if mine[word] and not theirs[word]]
    had = theirs.get("configuration", mine["configuration"])  # of a version that did not keep it
    found += [f"configuration: {name} is not the parent's" for name in mine["configuration"] if name not in had]
    shown = theirs.get("emacs", ())  # a version that did not keep it showed nothing
    found += [f"emacs: {name} is not the parent's" for name in mine["emacs"] if name not in shown]
    if mine["permissions"] == "bypass" and theirs["permissions"] == "ask":
        found.append("the parent asks for permissions")
    return found


def _paths(mine: Rights, theirs: Rights) -> list[str]:
    """Return the paths where ``mine`` exceeds ``theirs``. Rights change only at a rule or a mount of either; below the
    nearest of them they are the same.
    """
    points = {path for found in (mine, theirs) for path in _points(found["spec"])}
    found = []
    for path in sorted(points):
        if beneath_any(path, (*mine["own"], *theirs["own"], *theirs["spec"].get("files", ()))):
            continue  # who answers for names depends on the network, and is not a right
        extra = effective(mine["spec"], path) - effective(theirs["spec"], path)
        if extra:
            found.append(f"{path}: {''.join(sorted(extra, key='rwxs'.index))} is not the parent's")
    return found


def _runs_what_it_writes(found: Rights) -> bool:
    """Return whether something in its own directories can be written and run."""
    spec, own = found["spec"], found["own"]
    binds = [
        (target, letters) for target, source, letters, _ in spec["binds"] if source == TMPFS or beneath_any(source, own)
    ]
    rules = {path: set(letters) for path, letters in spec["rules"]}
    if spec["tier"] != "full":
        return any({"w", "x"} <= letters for path, letters in rules.items() if beneath_any(path, own))
    return any({"w", "x"} <= set(letters) & rules.get(target, set()) for target, letters in binds)


def _points(spec: Mapping[str, Any]) -> list[str]:
    return [rule[0] for rule in spec["rules"]] + [bind[0] for bind in spec["binds"]]


def effective(spec: Mapping[str, Any], path: str) -> set[str]:
    """Return what may be done at a path of the host: a set of r, w, x and (connect to a socket) s."""
    ruled = {letter for top, letters in spec["rules"] if under(path, top) for letter in letters} & set("rwxs")
    if spec["tier"] == "none":
        return set("rwxs")
    if spec["tier"] != "full":
        return ruled
    above = [bind for bind in spec["binds"] if under(path, bind[0])]
    if not above:
        return set()
    target, source, letters, _ = max(above, key=lambda bind: len(bind[0]))
    if source != target:  # nothing of the host's: a mask, a file system in memory, a directory of the session's own
        return set()
    return ruled & (set(letters) | {"s"})


def _network(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    found = [f"publishing port {port} is not the parent's" for port in _more("publish", mine, theirs)]
    if theirs["network"] == "all" or mine["network"] == "none":
        return found
    if MODES.index(mine["network"]) > MODES.index(theirs["network"]):
        return [*found, f"network {mine['network']} is not the parent's"]
    if mine["network"] == "hosts":
        return found + _hosts(mine, theirs)
    found += [f"port {port} is not the parent's" for port in _more("connect", mine, theirs)]
    return found + [f"binding port {port} is not the parent's" for port in _more("bind", mine, theirs)]


def _more(key: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[int]:
    return [port for port in mine.get(key, ()) if port not in theirs.get(key, ())]


def _hosts(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    if theirs["network"] == "ports":
        return [
            f"host {host} is not the parent's"
            for host in hosts.listed(mine)
            if host.port not in theirs["connect"] or host.header
        ]
    had, wanted = hosts.listed(theirs), hosts.listed(mine)
    closed = {host.name for host in had if host.header} - {host.name for host in wanted if host.header}
    return [
        f"host {host} is not the parent's"
        for host in wanted
        if not any(one.gives(host) for one in had) or any(host.covers(name) for name in closed)
    ]
