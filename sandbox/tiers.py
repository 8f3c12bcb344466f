"""What this kernel can enforce, found by trying, and whether that is enough for a policy.

``full``: namespaces, Landlock, seccomp. ``ll9``: no user namespaces, Landlock ABI 9 or newer. ``weak``: no user
namespaces and an older ABI, so sockets by path stay open. ``none``: no Landlock.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import kernel, landlock, launcher
from sandbox.errors import SandboxError, SandboxRefused
from sandbox.policy import Policy
from sandbox.seccomp import ARCH

UNKNOWN = "cannot find out what this kernel can enforce"
PATIENCE = 60.0  # s; a program starts in 0.1


@dataclass(frozen=True)
class Report:
    """The best tier, why it is not better, what would make it so, and the kernel's Landlock ABI."""

    tier: str
    reasons: list[str]
    advice: list[str]
    abi: int = 0


def probe() -> Report:
    """Try the tiers from the top, each by starting a program in it (about 0.1 s).

    Raises SandboxError if that tells nothing of the kernel: the machine is too busy, or a disk is full.
    """
    abi = landlock.abi()
    reasons: list[str] = []
    advice: list[str] = []
    if kernel.MACHINE not in ARCH:
        return Report("none", [f"no system call filter for {kernel.MACHINE}"], ["use x86_64 or aarch64"], abi)
    if abi < 1:
        return Report("none", ["this kernel has no Landlock"], [landlock_advice()], 0)
    for tier in ("full", "ll9", "weak"):
        if tier == "ll9" and abi < 9:
            reasons.append(f"Landlock ABI {abi} cannot close sockets by path (9 can, Linux 7.1)")
            continue
        sentence = attempt(tier)
        if sentence is None:
            return Report(tier, reasons, advice, abi)
        reasons.append(f"{tier}: {sentence}")
        if tier == "full":
            advice += namespace_advice()
    return Report("none", reasons, advice, abi)


def attempt(tier: str) -> str | None:
    """Start /bin/true in a tier with next to nothing granted; return the launcher's sentence if it refuses.

    Raises SandboxError if it could not be started, or did not end: that says nothing of the tier.
    """
    system = [path for path in ("/usr", "/bin", "/lib", "/lib64", "/nix/store", "/gnu/store") if os.path.exists(path)]
    links = [[path, os.readlink(path)] for path in system if os.path.islink(path)]
    real = [path for path in system if not os.path.islink(path)]
    devices = [["/dev/null", "/dev/null", "d", "refuse"]]
    spec: dict[str, Any] = {
        "tier": tier, "argv": ["true"], "cwd": "/", "env": {"PATH": f"{os.environ.get('PATH', '')}:/usr/bin:/bin".lstrip(":")},
        "inherit": [], "binds": devices + [[path, path, "rx", "refuse"] for path in real], "links": links, "files": {},
        "directories": [],
        "rules": [["/proc", "r"], ["/dev/null", "rd"], *([path, "rx"] for path in real)], "protected": [],
        "network": "none", "connect": [], "bind": [], "least_abi": 1, "best_effort": False, "status": "",
    }  # fmt: skip
    try:
        with tempfile.TemporaryDirectory(prefix="anvil-probe-") as directory:
            path = Path(directory, "spec.json")
            path.touch(0o600)  # whatever the umask: the launcher takes none that others can write
            path.write_text(json.dumps(spec))
            result = subprocess.run(
                launcher.command(str(path)), capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
            )
    except subprocess.TimeoutExpired:
        raise SandboxError(
            f"{UNKNOWN}: a program did not start within {PATIENCE:g} s; is the machine too busy?"
        ) from None
    except OSError as error:
        raise SandboxError(f"{UNKNOWN}: {error.strerror or error}") from None
    if result.returncode == 0:
        return None
    lines = result.stderr.strip().splitlines()
    return (lines[-1] if lines else f"the launcher ended with {result.returncode}").removeprefix("anvil-sandbox: ")


def gaps(policy: Policy, tier: str, abi: int) -> list[str]:
    """Return what the policy asks and this tier cannot hold, as sentences."""
    found = []
    if tier == "weak":
        found.append("sockets by path stay open, and so tmux and the user's own 9P socket can be reached")
    if tier == "none":
        found.append("nothing is enforced")
    network = policy.network if tier == "full" else policy.network.shared()
    mode = network.mode
    if mode != policy.network.mode and tier != "none":
        ports = ", ".join(str(port) for port in sorted({host.port for host in network.hosts}))
        found.append(f"hosts cannot be held without a network namespace: port {ports} is open to every host")
    if network.mode in ("ports", "all") and any(host.header for host in network.hosts):
        found.append("headers of hosts are added by the door, and this network does not lead through it")
    if widened := network.widened():
        ports = ", ".join(map(str, widened))
        found.append(
            f"connect_tcp and bind_tcp share this machine's network: port {ports}, granted for hosts, is open to all"
        )
    if tier == "weak" and abi < 6:
        found.append("signals to the user's other processes are not held back")
    if tier != "none" and mode == "ports" and abi < 4:
        found.append(f"TCP ports cannot be told apart by Landlock ABI {abi} (4 can, Linux 6.7)")
    if ((tier == "full" and not network.private) or tier in ("ll9", "weak")) and abi < 6:
        found.append(f"abstract sockets (X11, buses) stay open under Landlock ABI {abi} (6 closes them, Linux 6.12)")
    return found


def choose(policy: Policy, report: Report) -> str:
    """Return the tier to use. Raises SandboxRefused: less than what was asked is taken only if ``best_effort`` says so."""
    tier = report.tier
    missing = gaps(policy, tier, report.abi)
    if tier == "none" and policy.best_effort == "unsandboxed":
        return tier
    if tier == "none" or (missing and not policy.best_effort):
        reasons = "; ".join(missing if tier != "none" else report.reasons)
        advice = f" ({'; '.join(report.advice)})" if report.advice else ""
        allow = "best_effort: unsandboxed" if tier == "none" else "best_effort: true"
        raise SandboxRefused(f"the sandbox cannot enforce: {reasons}{advice}; '{allow}' in global.yaml would allow it")
    return tier


def namespace_advice() -> list[str]:
    """Return what keeps user namespaces away on this machine, and what to do."""
    found = []
    switches = {
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1", "run 'anvil-sandbox setup': it installs an AppArmor profile that lets the launcher use user namespaces"),
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "as root: sysctl -w kernel.unprivileged_userns_clone=1"),
        "/proc/sys/user/max_user_namespaces": ("0", "as root: sysctl -w user.max_user_namespaces=15000"),
    }  # fmt: skip
    for path, (bad, sentence) in switches.items():
        try:
            if Path(path).read_text().strip() == bad:
                found.append(sentence)
        except OSError:
            continue
    if not found and chrooted():
        found.append(
            "in a chroot the kernel gives no user namespaces: use systemd-nspawn, bwrap or another that changes the root by pivot_root"
        )
    if not found:
        way = CONTAINERS.get(container())
        found.append(
            f"a container keeps user namespaces away: start it with {way}"
            if way
            else "something keeps user namespaces away: a system call filter around this, or a kernel without CONFIG_USER_NS"
        )
    return found


# By the name that the container's manager gives itself (systemd's container interface): what lets a sandbox be made inside.
CONTAINERS = {
    "docker": "--security-opt seccomp=unconfined --security-opt systempaths=unconfined",
    "podman": "--security-opt seccomp=unconfined --security-opt unmask=ALL",
    "oci": "--security-opt seccomp=unconfined --security-opt unmask=ALL",
    "lxc": "security.nesting=true",
    "systemd-nspawn": "--system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self unshare pivot_root'",
}


def chrooted() -> bool:
    """Return whether the root directory is not that of the mounts, as after chroot(2), if that can be seen."""
    try:
        here, first = os.stat("/"), os.stat("/proc/1/root/")
        return (here.st_dev, here.st_ino) != (first.st_dev, first.st_ino) or _no_root_mount()
    except OSError:
        return _no_root_mount()


def _no_root_mount() -> bool:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            return all(line.split()[4] != "/" for line in lines)
    except OSError:
        return False


def container() -> str:
    """Return the manager of the container that this runs in; empty outside of any, or if none says so."""
    if os.path.exists("/.dockerenv"):
        return "docker"
    if os.path.exists("/run/.containerenv"):
        return "podman"
    for path in ("/run/host/container-manager", "/run/systemd/container"):
        try:
            return Path(path).read_text().strip()
        except OSError:
            continue
    return ""


def landlock_advice() -> str:
    """Return why the kernel refuses Landlock, by its error, and what to do."""
    release = platform.release()
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers and (int(numbers[1]), int(numbers[2])) < (5, 13):
        return f"Linux {release} is too old: Landlock needs 5.13 or newer"
    if landlock.refusal() == errno.EOPNOTSUPP:
        try:
            now = Path("/sys/kernel/security/lsm").read_text().strip()
        except OSError:
            now = "yama,apparmor,bpf"
        return f"Landlock is switched off: boot with lsm=landlock,{now} on the kernel's command line"
    way = CONTAINERS.get(container())
    if way:
        return f"a container keeps Landlock away: start it with {way}"
    return (
        f"Linux {release} was built without CONFIG_SECURITY_LANDLOCK, or a system call filter around this keeps it away"
    )
