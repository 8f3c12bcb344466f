"""Prompts for the stand-in models (``model.py``) in the words of each agent's tools and service."""

import json

SHELL = {"claude": "Bash", "codex": "exec_command", "gemini": "run_shell_command", "opencode": "bash", "qwen": "run_shell_command",
         "copilot": "bash"}  # fmt: skip


def command(backend: str, line: str, ask: bool = False) -> str:
    """The agent runs a shell command; with ``ask`` one that wants a permission."""
    backend = backend.removesuffix("-acp")
    arguments = {"codex": {"cmd": line}, "gemini": {"command": line}}.get(
        backend, {"command": line, "description": "x"}
    )
    if backend == "codex" and ask:
        arguments |= {"sandbox_permissions": "require_escalated", "justification": "a test"}
    return f"@@call {SHELL[backend]} {json.dumps(arguments)}"


def limit(backend: str, now: float, ends: float) -> str:
    """The service refuses because a limit is reached, which ends then (epoch s); for Claude that of a subscription, once."""
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
