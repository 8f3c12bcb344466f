"""Writes the two files of install-hooks.sh: python hook.py and Kiro's directory are its arguments."""

import json
import os
import shlex
import sys
from pathlib import Path

FORMS = {
    "2": {
        "agentSpawn": "SessionStart",
        "userPromptSubmit": "UserPromptSubmit",
        "postToolUse": "PostToolUse",
        "stop": "Stop",
    },
    "3": {name: name for name in ("SessionStart", "UserPromptSubmit", "PostToolUse", "Stop")},
}
PROMPT = (
    "You run in an AnviLLM session. Mail of other agents and of the user arrives as prompts. Answer a message that asks for something "
    "by finishing your turn: your last message is mailed back automatically."
)


def command(python: str, program: str, form: str, hook: str) -> str:
    """Return what a hook runs: nothing outside of AnviLLM or when the other form reports; never a failure. A session
    names its own copy of the program, which stays as it is over an upgrade.
    """
    run = f'{shlex.quote(python)} -I -S "$p" {hook}'
    own = f'p=${{ANVILLM_KIRO_HOOK:-}}; [ -n "$p" ] || p={shlex.quote(program)}'
    return f'if [ "${{ANVILLM_SESSION:+x}}${{ANVILLM_KIRO:-2}}" = x{form} ]; then {own}; {run}; fi; exit 0'


def agent(python: str, program: str) -> dict[str, object]:
    """Return the agent, with hooks of the 2.x form."""
    hooks = {
        name: [{"command": command(python, program, "2", hook), "timeout_ms": 60000}]
        for name, hook in FORMS["2"].items()
    }
    return {
        "name": "anvillm",
        "description": "an agent of AnviLLM",
        "prompt": PROMPT,
        "tools": ["*"],
        "includeMcpJson": True,
        "hooks": hooks,
    }


def hooks(python: str, program: str) -> dict[str, object]:
    """Return hooks of the 3.x form."""
    rows = [
        {"name": f"anvillm-{name}", "trigger": name, "action": {"type": "command", "command": command(python, program, "3", hook)},
         "timeout": 60, "enabled": True}
        for name, hook in FORMS["3"].items()
    ]  # fmt: skip
    return {"version": "v1", "hooks": rows}


def write(path: Path, content: object) -> None:
    """Write a file of ours at once; beside one that stands there with other words, which may be the user's."""
    text = json.dumps(content, indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
        print(f"{path}: left as it is; the new version is {path}.new")
        path = path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)
    print(path)


if __name__ == "__main__":
    python, program, kiro = sys.argv[1:]
    write(Path(kiro) / "agents" / "anvillm.json", agent(python, program))
    write(Path(kiro) / "hooks" / "anvillm.json", hooks(python, program))
