"""What the backend's file says of an agent, as the front gets it: a file of JSON, written for one start. Pure but for reading it."""

import os
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anvilsrv.strict_json import loads_object


@dataclass(frozen=True)
class Settings:
    """``command`` and ``env`` of the agent; its working directory; the conversation to go on with; ``choices``: options that are set at
    each start, those in ``needed`` or not at all; ``meta`` of initialize; ``mcp``: the words of our server, none: it gets none;
    ``slash``: a text that begins with ``/`` and is not a command gets ``> `` before it; ``allows``: what it asks is allowed at once;
    ``told``: the file in which what happens is told; ``chosen``: options that the user chose, beside ``choices``;
    ``execute``: the request for a command of the agent, where that is not a prompt; ``attach``: where files for prompts lie;
    ``start``: seconds for each step of a start; ``login``: what to do to log in, where that is known; ``alone``: images go without
    other files."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    session: str
    choices: tuple[tuple[str, str], ...]
    needed: frozenset[str]
    meta: Mapping[str, Any]
    mcp: tuple[str, ...]
    slash: bool
    allows: bool
    told: str = ""
    execute: str = ""
    chosen: Mapping[str, str] = field(default_factory=dict)
    attach: str = ""
    start: float = 60.0
    login: str = ""
    alone: bool = False

    def servers(self) -> tuple[Mapping[str, Any], ...]:
        """Return the servers of ``session/new``. What ours must know is given to it: some agents start servers without
        our variables.
        """
        if not self.mcp:
            return ()
        names = ("NAMESPACE", "ANVILLM_SESSION", "PATH", "HOME")
        env = [{"name": name, "value": os.environ[name]} for name in names if name in os.environ]
        return ({"name": "anvillm", "command": self.mcp[0], "args": list(self.mcp[1:]), "env": env},)

    def guarded(self, text: str, context: str, commands: Container[str]) -> str:
        """Return a prompt as the agent gets it: one of its commands as it stands, any other after the context."""
        first = text.split(maxsplit=1)[0] if text.strip() else ""
        if first.startswith("/") and first[1:] in commands:
            return text
        if context.strip():
            return f"{context.rstrip()}\n\n{text}"
        return f"> {text}" if self.slash and first.startswith("/") else text


def read(path: str, session: str) -> Settings:
    """Read the file; ``session`` is the conversation. The mode is the one for what the agent may do unasked. One in
    which it is to ask is needed, and not the user's to choose; one in which it need not is replaced by our own yes if
    the agent has none.
    """
    found = loads_object(Path(path).read_bytes())
    asks = found["permissions"] == "ask"
    mode = found["modes"]["ask" if asks else "bypass"]
    pinned = {mode[0]: mode[1]} if mode else {}
    chosen = {str(name): str(value) for name, value in loads_object(found["chosen"].encode()).items()}
    choices = {**found["choices"], **pinned, **chosen, **(pinned if asks else {})}
    return Settings(
        tuple(found["command"]), found["env"], found["cwd"], session, tuple(choices.items()),
        frozenset(mode[:1] if asks else ()), found["meta"], tuple(found["mcp"]), found["slash"], not asks and not mode,
        found["told"], found["execute"], chosen, found["attach"], found.get("start", 60.0),
        found.get("login", ""), found.get("alone", False),
    )  # fmt: skip
