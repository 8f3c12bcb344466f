"""The limits of one session: what the user set over what layers say, and the control group in which its agent is.

What holds for a launch is in its specification (``run/sandbox.json``), so a daemon finds the group of an agent that another started.

Threads: any; nothing is kept.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox import groups, limit_values
from sandbox.layers import Origin
from sandbox.limits import Limit, Limits, within

DAEMON = "the daemon"
USER = Origin("limits", "", 0)
PARENT = Origin("the session that spawned it", "", 0)


def bounded(limits: Limits, most: Mapping[str, int | None], asked: Mapping[str, str]) -> Limits:
    """Return the limits of layers, as far as the session that spawned this one has them, and what the user set."""
    made = within(limits, most, PARENT)
    return made | {name: Limit(limit_values.parse(name, said), (USER,)) for name, said in asked.items()}


def specified(spec: Path) -> dict[str, Any]:
    """Return the limits in a specification; empty if there is none."""
    try:
        found = json.loads(spec.read_text()).get("limits")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def group(spec: Path, pid: int) -> str:
    """Return the group of the agent whose keeper is that process; empty if it is in none."""
    wanted = specified(spec).get("group")
    if not wanted:
        return ""
    if wanted["parent"]:
        return f"{wanted['parent']}/{wanted['name']}"
    try:  # in a scope of systemd's the keeper is beside it
        lines = groups.read(f"/proc/{pid}/cgroup").splitlines()
    except OSError:
        return ""
    here = next((line[3:] for line in lines if line.startswith("0::")), "")
    return f"{wanted['mount']}{os.path.dirname(here)}/{wanted['name']}" if here else ""


def out_of_memory(spec: Path) -> tuple[int, str] | None:
    """Return how an agent ended that no keeper saw: only a group of ours that still exists can tell."""
    wanted = specified(spec).get("group")
    if not wanted or not wanted["parent"]:
        return None
    said = groups.reason(f"{wanted['parent']}/{wanted['name']}")
    return (137, said) if said else None


def forget(spec: Path) -> None:
    """Remove a group in which nothing is any more, and with it what it counted."""
    wanted = specified(spec).get("group")
    if wanted and wanted["parent"]:
        try:
            os.rmdir(f"{wanted['parent']}/{wanted['name']}")
        except OSError:
            return
