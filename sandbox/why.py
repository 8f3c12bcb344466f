"""Why a path, a port or a host can or cannot be used under a policy, and which line would change it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sandbox import hosts
from sandbox.pathnames import TMPDIR, beneath_any, resolve, under
from sandbox.policy import Policy

_WORDS = {"r": "read", "w": "write", "x": "execute"}


def explain(policy: Policy, asked: str, env: Mapping[str, str]) -> list[str]:
    """Return lines for people: first the verdict, then each reason."""
    if asked.startswith("tcp:"):
        return _port(policy, asked)
    if asked.startswith("host:"):
        return _host(policy, asked)
    path = os.path.abspath(os.path.expanduser(asked))
    found = resolve(path)
    lines = [f"link: {link} -> {target}" for link, target in found.links]
    if under(found.path, "/tmp") and not any(under(found.path, g.path) for g in policy.grants):
        return [f"{asked}: private", "the agent's /tmp is its own, empty at the start; yours is not in it"]
    if under(found.path, policy.namespace):
        return [f"{asked}: replaced", f"inside, {policy.namespace} is the session's own directory"]
    rights = policy.rights(found.path)
    verdict = ", ".join(_WORDS[letter] for letter in rights) or "not granted"
    lines.insert(0, f"{asked}: {verdict}")
    for grant in policy.grants:
        if under(found.path, grant.path) and not grant.path.startswith(TMPDIR):
            lines += [f"{grant.letters} on {grant.path}: {origin}" for origin in grant.origins]
    for top in (top for top in policy.hide if under(found.path, top)):
        lines.append(f"never reachable: {top} holds what acts as the user")
    if beneath_any(found.path, (top for top, _ in policy.protect)):
        lines.append("never writable: configuration, programs or data that decide what runs outside")
    if not found.kind:
        lines.append("it does not exist")
    elif os.path.exists(found.path) and not os.access(found.path, os.R_OK):
        lines.append("outside the sandbox, too, you cannot read it")
    lines += [f"note: {note}" for note in policy.notes if path in note or found.path in note]
    if not rights and not beneath_any(found.path, policy.hide):
        lines.append(f"to allow it: {_line(found.path, found.kind, env)}")
    return lines


def _line(path: str, kind: str, env: Mapping[str, str]) -> str:
    home = env.get("HOME", "")
    place = path
    if home and under(place, home) and place != home:
        place = "{HOME}" + place[len(home) :]
    more = "or rox, rw, rwx" if kind == "d" else "to write it, grant its directory: many programs save by rename"
    return f'filesystem: {{ro: ["{place}"]}} in a role or task ({more})'


def _port(policy: Policy, asked: str) -> list[str]:
    network, number = policy.network, asked.removeprefix("tcp:")
    if network.mode == "all":
        return [f"{asked}: open", *(f"network unrestricted: {origin}" for origin in network.origins)]
    if network.mode == "hosts":
        open_to = [
            f"{host}: {', '.join(map(str, said))}" for host, said in network.hosts.items() if str(host.port) == number
        ]
        return [f"{asked}: {'open to some hosts' if open_to else 'closed'}", *open_to]
    if network.mode == "none":
        return [f"{asked}: closed", "no layer gives a network; to allow it: "
                f"network: {{enabled: true, connect_tcp: [{number}]}} in a role or task"]  # fmt: skip
    origin = network.connect.get(int(number)) if number.isdigit() else None
    if origin is not None:
        return [f"{asked}: open", f"connect_tcp: {origin}"]
    ports = " ".join(map(str, sorted(network.connect)))
    return [f"{asked}: closed", f"only these are open: {ports}"]


def _how(host: hosts.Host) -> str:
    fields = " and ".join(field for field, _ in host.header)
    return f", by http://{host.name}, to which the door adds {fields}" if fields else ""


def _host(policy: Policy, asked: str) -> list[str]:
    network = policy.network
    text = asked.removeprefix("host:")
    name, _, port = text.partition(":")
    try:
        wanted = hosts.parse(f"{name}:{port}" if port else name)
    except ValueError as error:
        return [f"{asked}: closed", str(error)]
    covering = hosts.covering(network.hosts, wanted.name)
    granted = [f"{host}{_how(host)}: {', '.join(map(str, network.hosts[host]))}" for host in covering]
    if network.mode == "all":
        return [f"{asked}: open", *(f"network unrestricted: {origin}" for origin in network.origins)]
    if network.mode == "ports" and wanted.port in {*network.connect, *network.widened()}:
        return [f"{asked}: open", f"port {wanted.port} is open to every host", *granted]
    if any(host.port == wanted.port for host in covering) and network.mode == "hosts":
        return [f"{asked}: open", *granted]
    what = str(wanted) if wanted.port != hosts.TLS_PORT else wanted.name
    reason = [f"only on another port: {line}" for line in granted] or ["no layer names it"]
    return [f"{asked}: closed", *reason, f'to allow it: network: {{hosts: ["{what}"]}} in a role or task']
