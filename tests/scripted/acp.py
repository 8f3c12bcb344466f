"""The backend ``fake-acp``: ``install`` puts it where a daemon finds it; the rest is about its agent, ``acp_agent.py``."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
COMMAND = [os.path.realpath(sys.executable), "-I", "-S", str(HERE / "acp_agent.py")]


def install(config: Path, name: str = "fake-acp", **acp: Any) -> None:
    """Write ``<config>/backends/<name>.yaml`` (``config`` is ``~/.config/anvillm``); ``acp`` goes into its table ``acp``."""
    directory = config / "backends"
    directory.mkdir(parents=True, exist_ok=True)
    body = {"title": "Fake", "acp": {"command": COMMAND, **acp}, "limits": [{"match": r"resets in (?P<seconds>\d+) s"}]}
    made = {"backend": body, "filesystem": {"rox": [str(HERE)], "rwx": ["{CWD}"]}}
    (directory / f"{name}.yaml").write_text(yaml.safe_dump(made, sort_keys=False))


def script(cwd: Path, *turns: dict[str, Any], **keys: Any) -> None:
    """Give the agents in ``cwd`` their script."""
    fresh = cwd / "acp.json.new"
    fresh.write_text(json.dumps({**keys, "turns": turns}))
    fresh.rename(cwd / "acp.json")


def seen(cwd: Path, event: str | None = None) -> list[dict[str, Any]]:
    """Return what the agents in ``cwd`` did, in order; ``event``: start, received, turn, permission, answered, second,
    child, eof.
    """
    try:
        lines = (cwd / "acp.log").read_text().splitlines()
    except FileNotFoundError:
        return []
    found = [json.loads(line) for line in lines]
    return [one for one in found if event in (None, one["event"])]


def sent(cwd: Path, method: str) -> list[dict[str, Any]]:
    """Return the parameters of every message with this method that an agent got."""
    messages = [one["message"] for one in seen(cwd, "received")]
    return [one.get("params", {}) for one in messages if one.get("method") == method]
