"""Prompts for the stand-in models (``model.py``) in the words of each agent's tools and service."""

import json
import shlex

SHELL = {"claude": "Bash", "codex": "exec_command", "gemini": "run_shell_command", "opencode": "bash", "qwen": "run_shell_command",
         "copilot": "bash", "fake": "Bash", "vibe": "bash"}  # fmt: skip


def command(backend: str, line: str, ask: bool = False) -> str:
    """The agent runs a shell command; with ``ask`` one that wants a permission."""
    backend = backend.removesuffix("-acp")
    arguments = {"codex": {"cmd": line}, "gemini": {"command": line}, "vibe": {"command": line}}.get(
        backend, {"command": line, "description": "x"}
    )
    if backend == "codex" and ask:
        arguments |= {"sandbox_permissions": "require_escalated", "justification": "a test"}
    return f"@@call {SHELL[backend]} {json.dumps(arguments)}"


def edit(backend: str, path: str, old: str, new: str) -> str:
    """Have the agent change a line in a file, with its tool for that; some want to have read it."""
    backend = backend.removesuffix("-acp")
    snake = {"file_path": path, "old_string": old, "new_string": new}
    camel = {"filePath": path, "oldString": old, "newString": new}
    patch = f"*** Begin Patch\n*** Update File: {path}\n@@\n-{old}\n+{new}\n*** End Patch"
    calls = {
        "fake": [("Edit", snake)],
        "claude": [("Read", {"file_path": path}), ("Edit", snake)],
        "codex": [("exec_command", {"cmd": f"apply_patch {shlex.quote(patch)}"})],
        "gemini": [("replace", {**snake, "instruction": "change it"})],
        "opencode": [("read", {"filePath": path}), ("edit", camel)],
        "qwen": [("read_file", {"file_path": path}), ("edit", snake)],
        "copilot": [("edit", {"path": path, "old_str": old, "new_str": new})],
        "vibe": [("read_file", {"path": path}), ("edit", {"file_path": path, "old_string": old, "new_string": new})],
    }[backend]
    return "\n".join(f"@@call {tool} {json.dumps(arguments)}" for tool, arguments in calls)


def limit(backend: str, now: float, ends: float) -> str:
    """Have the service refuse because a limit is reached, which ends then (epoch s); for Claude that of a subscription."""
    backend, wait = backend.removesuffix("-acp"), int(ends - now)
    if backend == "claude":
        unified = f"status=rejected reset={ends:.0f} representative-claim=five_hour".split()
        headers = " ".join(f"anthropic-ratelimit-unified-{one}" for one in unified)
        return f"@@fail 429 times=1 {headers} x-should-retry=false limit reached"
    return {
        "codex": f"@@fail 429 resets_at={int(ends)} the limit is reached",
        "gemini": f"@@fail 429 Please retry in {wait}s",
        "opencode": f"@@fail 429 retry-after={wait} the limit is reached",
    }[backend]
