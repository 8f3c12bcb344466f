"""The commands of ours that agents type (skills and workflows name them), at the end of PATH in each sandbox, however we are installed.

They run the session's own copy of what runs inside (``grants``).

Threads: called where a launch is prepared; nothing is kept.
"""

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Name -> module of ``inside``; each has a ``main``.
COMMANDS = {
    "anvil9p": "anvil9p",
    "9p-read-inbox": "read_inbox",
    "anvillm-skills": "skills",
    "anvillm-hook": "hook",
    "anvilmcp": "mcpserver",
}
PATH = "/usr/local/bin:/usr/bin:/bin"  # where the user has none
# Where the full tier shows them. Their own path has a colon where the namespace has one, as the default has, and PATH is split there.
INSIDE = "/run/anvillm/bin"
PROGRAM = (
    "import sys; sys.path.insert(0, {code!r}); sys.argv[0] = {name!r}; "
    "from anvilsrv.inside.{module} import main; sys.exit(main())"
)


def put(directory: Path, code: Path) -> None:
    """Write the commands; ``code`` is the directory with the copy. Raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    for name, module in COMMANDS.items():
        words = [sys.executable, "-I", "-c", PROGRAM.format(code=str(code), name=name, module=module)]
        path = directory / name
        path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        path.chmod(0o700)


def shown(directory: Path, rights: Callable[[str], str]) -> dict[str, str]:
    """Return what the full tier mounts: the commands at ``INSIDE``, unless the policy grants something there."""
    return {} if rights(INSIDE) else {INSIDE: str(directory)}


def found(spec: Mapping[str, Any], directory: Path) -> dict[str, dict[str, str]]:
    """Return the ``env`` of a specification with the commands at the end of its PATH: what the user has installed comes
    first.
    """
    place = INSIDE if any(target == INSIDE for target, *_ in spec["binds"]) else str(directory)
    if os.pathsep in place:  # those that were installed with this program are the next best
        place = str(Path(sys.prefix) / "bin")
    return {"env": {**spec["env"], "PATH": os.pathsep.join([spec["env"].get("PATH") or PATH, place])}}
