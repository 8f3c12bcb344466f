"""Where control groups (cgroup v2) for sandboxes can be made on this machine: below the group that was given to the daemon, or below
a scope for each, which systemd makes; else limits are those of each process.

A daemon has the group above its own for itself if its own is called ``LEAF``: units of systemd say so (``Delegate=yes`` with
``DelegateSubgroup=``), and who starts it otherwise can make both. By the name alone no one's other processes are ever moved.

Threads: any.
"""

from __future__ import annotations

import os
import subprocess

from sandbox import groups, outside
from sandbox.limits import PROCESS, Way

LEAF = "anvilsrv-daemon"
PATIENCE = 10.0  # s for systemd
_SHOW = "cat \"$0$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.controllers\""


def find(*, daemon: bool) -> Way:
    """Return the best way there is; ``daemon``: a group may have been given to us. Takes some 50 ms where systemd is
    asked.
    """
    mount = mounted()
    if not mount:
        return PROCESS
    return (_given(mount) if daemon else None) or _scope(mount) or PROCESS


def mounted() -> str:
    """Return where cgroup v2 is mounted; empty if nowhere."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                if after.startswith("cgroup2 "):
                    return before.split()[4]
    except OSError:
        pass
    return ""


def _given(mount: str) -> Way | None:
    try:
        here = groups.own(mount)
        if os.path.basename(here) != LEAF:
            return None
        parent = os.path.dirname(here)
        found = groups.enable(parent)
    except OSError:
        return None
    return Way("group", mount, parent, frozenset(found)) if found else None


def _scope(mount: str) -> Way | None:
    """Return a way by one of systemd's scopes for each sandbox: the user's, or root's own."""
    program, root = outside.which("systemd-run"), os.geteuid() == 0
    manager = "/run/systemd/system" if root else f"{os.environ.get('XDG_RUNTIME_DIR', '/nowhere')}/systemd"
    if program is None or not os.path.isdir(manager):
        return None
    command = [program, *([] if root else ["--user"]), "--scope", "--quiet", "--collect", "-p", "Delegate=yes"]
    try:
        asked = subprocess.run(
            [*command, "/bin/sh", "-c", _SHOW, mount], capture_output=True, text=True, timeout=PATIENCE, check=True,
            stdin=subprocess.DEVNULL, env=outside.environment(), cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    found = [name for name in groups.CONTROLLERS if name in asked.stdout.split()]
    return Way("scope", mount, "", frozenset(found), (*command, "--")) if found else None
