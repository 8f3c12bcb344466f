"""What the user has set up for an agent and no layer grants: each with the line that would grant it.

Nothing is looked up for a project's files but those files themselves: whether a path exists that is not granted is not the agent's to
know, and it can read ``sandbox``.

Threads: any; nothing is kept.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError
from anvilsrv.linux import beneath
from anvilsrv.strict_json import dumps
from sandbox.configuration import Configuration

BYTES = 1 << 18  # of a file in which mentions are looked for
MOST = 50  # lines
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_MENTION = re.compile(r"(?:^|(?<=\s))@((?:~/|/|\.\./)[^\s`\"'<>|*?]{1,1000})")

Rights = Callable[[str], str]  # the letters that hold for a path


class Lack(NamedTuple):
    """``what`` is missing, and the line of a layer that grants it (or a sentence, where none can)."""

    what: str
    line: str

    def text(self) -> str:
        """Return it as a line of the file ``sandbox``."""
        return f"missing\t{one_line(self.what)[:300]}\t{one_line(self.line)[:600]}\n"


def servers(entries: object, shown: Configuration, where: str) -> Iterator[Lack]:
    """Yield MCP servers of a user's configuration that are not granted. Ours is not among them: every session has it."""
    for name, entry in entries.items() if isinstance(entries, Mapping) else ():
        if name not in shown.mcp and not _ours(entry):
            yield Lack(f"MCP server {name} of {where}", f"configuration: {{mcp: [{dumps(name)}]}}")


def _ours(entry: object) -> bool:
    """Return whether an entry starts ``anvilmcp``, as the one that ./install adds does."""
    command = entry.get("command") if isinstance(entry, Mapping) else None
    return isinstance(command, str) and os.path.basename(command) == "anvilmcp"


def mentions(top: Path, name: str, home: str, rights: Rights) -> Iterator[Lack]:
    """Yield files that the text of instructions ``name`` below ``top``, reached without links, includes
    (``@~/notes.md``) and that cannot be read inside.
    """
    place = (top / name).parent
    for path in _MENTION.findall(_CODE.sub("", _read(top, name))):
        path = path.rstrip(".,;:!)")
        full = os.path.normpath(os.path.join(place, home + path[1:] if path.startswith("~/") else path))
        if "r" not in rights(full):
            yield Lack(f"@{path} in {top / name}", f"filesystem: {{ro: [{dumps(_short(full, home))}]}}")


def programs(commands: Iterator[str], home: str, rights: Rights, where: str) -> Iterator[Lack]:
    """Yield programs of the user's that hooks run by their path, and that cannot be executed inside."""
    for command in commands:
        word = command.split()[0].strip("\"'") if command.split() else ""
        full = home + word[1:] if word.startswith("~/") else re.sub(r"^\$\{?HOME\}?", home, word)
        if full.startswith("/") and "x" not in rights(os.path.normpath(full)):
            yield Lack(f"hook {word} of {where}", f"filesystem: {{rox: [{dumps(_short(full, home))}]}}")


def lines(found: Iterator[Lack]) -> str:
    """Return the lines of the file ``sandbox``, each once."""
    return "".join(one.text() for one in list(dict.fromkeys(found))[:MOST])


def _short(path: str, home: str) -> str:
    return "{HOME}" + path[len(home) :] if path.startswith(home + "/") else path


def _read(top: Path, name: str) -> str:
    """Return the beginning of a plain file; empty for anything else, which may belong to an agent."""
    try:
        with open(beneath.read(top, name), "rb") as opened:
            return opened.read(BYTES).decode("utf-8", "replace")
    except (AnvilError, OSError):
        return ""
