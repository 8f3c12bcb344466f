#!/usr/bin/env python3
"""A stand-in for Kiro CLI, from its documentation: `kiro-cli chat --agent NAME [--trust-all-tools] [--resume]`.

What it keeps to: the agent file in ~/.kiro/agents with hooks of 2.x, hooks of 3.x in ~/.kiro/hooks (a 3.x runs both), their JSON on
standard input, KIRO_HOME and XDG_DATA_HOME, `login` (kiro_login.py), the trust dialog whose
default is to leave, pasted text that Enter submits only a second later, one conversation for
each directory that --resume takes up again. Its model repeats the prompt. $KIRO_STANDIN_VERSION is the version it pretends.
"""

import json
import os
import re
import select
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

import kiro_login

VERSION = os.environ.get("KIRO_STANDIN_VERSION", "2.4.0")
HOME = Path(os.environ["HOME"])
KIRO = Path(os.environ.get("KIRO_HOME") or HOME / ".kiro")
HISTORY = Path(os.environ.get("XDG_DATA_HOME") or HOME / ".local/share") / "kiro-cli" / re.sub(r"\W", "_", os.getcwd())
TRIGGERS = {"agentSpawn": "SessionStart", "userPromptSubmit": "UserPromptSubmit", "stop": "Stop"}


def hook(agent: dict[str, object], name: str, **payload: object) -> None:
    """Run the hooks of an event, in the forms that this version knows."""
    event = {"hook_event_name": name, "cwd": os.getcwd(), **payload}
    rows = agent.get("hooks")
    commands = [row["command"] for row in (rows.get(name, []) if isinstance(rows, dict) else [])]
    if VERSION.startswith("3"):
        for path in sorted((KIRO / "hooks").glob("*.json")):
            found = [
                row
                for row in json.loads(path.read_text())["hooks"]
                if row["enabled"] and row["trigger"] == TRIGGERS[name]
            ]
            commands += [row["action"]["command"] for row in found]
    for command in commands:
        subprocess.run(["sh", "-c", command], input=json.dumps(event), text=True, check=True)


def say(text: str) -> None:
    sys.stdout.write(text.replace("\n", "\r\n"))
    sys.stdout.flush()


def keys() -> str:
    """Return what was typed, as it comes."""
    return os.read(0, 65536).decode(errors="replace")


def dialog() -> None:
    """The warning of --trust-all-tools: leaving is what Enter does."""
    chosen = 0
    while True:
        lines = [("❯ " if at == chosen else "  ") + text for at, text in enumerate(("No, exit", "Yes, I accept"))]
        say("\x1b[2J\x1b[HDo you trust all tools?\n" + "\n".join(lines) + "\n")
        typed = keys()
        if typed.startswith(("\x1b[B", "\x1bOB")):
            chosen, typed = 1, typed[3:]
        if "\r" in typed:
            if chosen == 0:
                sys.exit(1)
            say("\x1b[2J\x1b[H")
            return


def line() -> str:
    """Return one prompt: Enter within a second of a paste is taken for a part of it."""
    say("\x1b[?2004h> ")
    text, pasted, inside = "", 0.0, False
    while True:
        for part in re.split(r"(\x1b\[200~|\x1b\[201~|\r|\x15|\x03|\x04)", keys()):
            if part in ("\x1b[200~", "\x1b[201~"):
                inside, pasted = part.endswith("200~"), time.monotonic()
            elif inside or part not in ("\r", "\x15", "\x03", "\x04"):
                text += part.replace("\r", "\n")
                say(part.replace("\r", "\n"))
            elif part == "\x15":
                text = ""
                say("\r\x1b[K> ")
            elif part == "\r" and text and time.monotonic() - pasted > 0.9:
                say("\n")
                return text
            elif part == "\x04":
                sys.exit(0)


def answer(prompt: str) -> str | None:
    """Return the model's answer; `wait N` takes N seconds, which Ctrl-C breaks off."""
    found = re.search(r"^wait (\d+)$", prompt)
    deadline = time.monotonic() + (int(found[1]) if found else 0)
    while time.monotonic() < deadline:
        if select.select([0], [], [], deadline - time.monotonic())[0] and "\x03" in keys():
            return None
    return f"you said: {prompt}"


def main() -> None:
    argv = sys.argv[1:]
    if argv == ["--version"]:
        print(f"kiro-cli {VERSION}")
        return
    if argv[:1] == ["acp"]:
        os.execv(sys.executable, [sys.executable, str(Path(sys.argv[0]).parent / "kiro_acp_standin.py"), *argv])
    kiro_login.run(argv)
    agent = json.loads((KIRO / "agents" / (argv[argv.index("--agent") + 1] + ".json")).read_text())
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        if "--trust-all-tools" in argv:
            dialog()
        history = HISTORY.read_text().splitlines() if "--resume" in argv and HISTORY.exists() else []
        say(f"{len(history)} prompts before\n")
        hook(agent, "agentSpawn")
        while True:
            prompt = line()
            hook(agent, "userPromptSubmit", prompt=prompt)
            history.append(json.dumps(prompt))
            HISTORY.parent.mkdir(parents=True, exist_ok=True)
            HISTORY.write_text("\n".join(history) + "\n")
            said = answer(prompt)
            if said is None:
                say("interrupted\n")
                continue
            say(said + "\n")
            hook(agent, "stop", assistant_response=said)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


if __name__ == "__main__":
    main()
