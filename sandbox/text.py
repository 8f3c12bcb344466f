"""The policy as text, for people: each line with where it came from."""

from __future__ import annotations

from sandbox.hosts import Host
from sandbox.plan import least_abi
from sandbox.policy import PLACEHOLDER, Policy

TIERS = {
    "full": "user, mount, pid, ipc namespaces, Landlock, system call filter, no capabilities",
    "ll9": "Landlock and system call filter; no namespaces: metadata of your files can be changed",
    "weak": "WEAK: Landlock and system call filter only: sockets by path, and so tmux, can be reached",
    "none": "NONE: nothing is enforced",
}


def describe(policy: Policy, tier: str) -> str:
    """Return what holds, one line each: what, value, the layer it came from; columns separated by tabs. A session's
    ``sandbox`` file.
    """
    lines = [("tier", tier, TIERS.get(tier, ""))]
    if policy.best_effort:
        lines.append(("best_effort", str(policy.best_effort).lower(), str(policy.origins["best_effort"])))
    for grant in (*policy.grants, *policy.private):
        word = {"r": "ro", "rx": "rox"}.get(grant.letters, grant.letters)
        word = "private" if grant in policy.private else word
        lines.append((word, grant.path, ", ".join(map(str, grant.origins))))
    lines += [("protected", path, "never writable") for path, _ in policy.protect]
    lines += [("hidden", path, "never reachable") for path in policy.hide]
    lines += [("socket", grant.path, ", ".join(map(str, grant.origins))) for grant in policy.unix]
    lines += _network(policy, tier)
    lines += _environment(policy)
    for name, origins in policy.configuration.named().items():
        lines.append(("configuration", name, ", ".join(map(str, origins))))
    for word in ("spawn", "control"):
        if getattr(policy.agents, word):
            lines.append(("agents", word, str(policy.origins[word])))
    lines += [("emacs", name, str(said.origin)) for name, said in policy.emacs.items()]
    if not policy.land:
        lines.append(("land", "off", str(policy.origins["land"])))
    if not policy.checkpoints:
        lines.append(("checkpoints", "off", str(policy.origins["checkpoints"])))
    lines.append(("permissions", policy.permissions, str(policy.origins.get("permissions", "default"))))
    lines.append(("landlock", f"ABI {least_abi(policy, tier)} or newer", "needed for all of this"))
    lines += [("note", note, "") for note in policy.notes]
    return "".join("\t".join(_one_line(part) for part in line if part) + "\n" for line in lines)


def _environment(policy: Policy) -> list[tuple[str, str, str]]:
    kept = policy.network.secrets()
    said = [(*one.value, str(one.origin)) for one in policy.env]  # name, value or None, who said so
    said = [
        (name, PLACEHOLDER, "the door adds it") if value is None and name in kept else (name, value, why)
        for name, value, why in said
    ]
    return [("env", name if value is None else f"{name}={value}", why) for name, value, why in said]


def _one_line(part: str) -> str:
    """Return a name on one line: it may hold a newline, which would make a line of its own."""
    return "".join(char if char.isprintable() else "\ufffd" for char in part)


def _network(policy: Policy, tier: str) -> list[tuple[str, str, str]]:
    network = policy.network if tier == "full" else policy.network.shared()
    lines = [("network", network.mode, ", ".join(map(str, network.origins)))]
    if network.mode == "ports":
        lines += [("connect", f"tcp {port}", str(origin)) for port, origin in sorted(network.connect.items())]
        lines += [("connect", f"tcp {port}", "granted for hosts, open to all") for port in network.widened()]
        lines += [("bind", f"tcp {port}", str(origin)) for port, origin in sorted(network.bind.items())]
    if network.mode != "all":
        lines += [("host", _host(host), ", ".join(map(str, said))) for host, said in sorted(network.hosts.items())]
    return lines + [("publish", f"tcp {port}", str(origin)) for port, origin in sorted(network.publish.items())]


def _host(host: Host) -> str:
    """Return ``NAME:PORT`` and what is written beside it; of a header, only where its value comes from."""
    words = [str(host), *(f"at {address}" for address in host.addresses)]
    return " ".join([*words, *(f"with {field}" for field, _ in host.header)])
