"""What an agent may ask of the user's Emacs through MCP: each tool as a method that asks the session's file ``editor``.

A tool is listed when a role or a task of the session grants it (``emacs: [xref, ...]``), and the daemon refuses it otherwise. What
Emacs may answer is in ``emacs/anvillm-editor.el``. Like ``mcptools`` this knows nothing of the MCP SDK.
"""

from __future__ import annotations

from typing import Any, ClassVar

from anvilsrv.errors import AnvilError, Invalid, Unavailable
from anvilsrv.inside.mcptools import WAIT_MAX, Tools
from anvilsrv.p9 import wire
from anvilsrv.p9.client import TimedOut
from anvilsrv.strict_json import dumps, loads_object
from anvilsrv.words import USER

PATIENCE = 30.0  # s, for an answer that needs no person


class Emacs:
    """The tools. None changes a file: what the user makes of a proposed edit is given back, for the agent to write."""

    TOOLS: ClassVar[dict[str, str]] = {
        "emacs_definitions": "xref",
        "emacs_references": "xref",
        "emacs_symbols": "imenu",
        "emacs_diagnostics": "diagnostics",
        "emacs_buffers": "buffers",
        "emacs_selection": "selection",
        "emacs_eldoc": "eldoc",
        "emacs_project": "project",
        "open_diff": "open_diff",
    }
    """Every tool, and the word that grants it."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def hidden(self) -> list[str]:
        """Return the tools that are not granted to the session that asks; all of them for the user, and without a
        daemon.
        """
        try:
            with self._tools.attached() as (client, me):
                said = b"" if me == USER else client.read(f"{me}/sandbox")
        except AnvilError:
            said = b""
        lines = [line.split("\t") for line in said.decode(errors="replace").splitlines()]
        granted = {line[1] for line in lines if line[0] == "emacs" and len(line) > 1}
        return [name for name, grant in self.TOOLS.items() if grant not in granted]

    def emacs_definitions(self, file: str, identifier: str = "", line: int = 0, column: int = 0) -> dict[str, Any]:
        """Return where something is defined, as the user's Emacs knows it (xref; with a language server where one
        runs).

        `file` is a file that is open in Emacs, from which it is looked for. Give an `identifier`, or the `line` (from 1) and
        `column` (from 0) where it stands.
        """
        return self._ask("definitions", PATIENCE, file=file, identifier=identifier, line=line, column=column)

    def emacs_references(self, file: str, identifier: str = "", line: int = 0, column: int = 0) -> dict[str, Any]:
        """Return where something is used, as the user's Emacs knows it; the arguments are those of emacs_definitions.

        Where Emacs has no language server for the file, only the files that are open in it are searched, and `searched` says so.
        """
        return self._ask("references", PATIENCE, file=file, identifier=identifier, line=line, column=column)

    def emacs_symbols(self, file: str) -> dict[str, Any]:
        """Return the symbols (functions, classes, headings) of a file that is open in the user's Emacs, with their
        lines.
        """
        return self._ask("symbols", PATIENCE, file=file)

    def emacs_diagnostics(self, file: str = "") -> dict[str, Any]:
        """Return errors and warnings that the user's Emacs shows (flymake, flycheck) in a file, or in all that are open
        in it.
        """
        return self._ask("diagnostics", PATIENCE, file=file)

    def emacs_buffers(self) -> dict[str, Any]:
        """Return the files that are open in the user's Emacs, the one used last first, and which of them are modified
        and not saved.
        """
        return self._ask("buffers", PATIENCE)

    def emacs_selection(self) -> dict[str, Any]:
        """Return the file that the user looks at in Emacs, where point is, and the text of the region where one is
        active.
        """
        return self._ask("selection", PATIENCE)

    def emacs_eldoc(self, file: str, line: int, column: int = 0) -> dict[str, Any]:
        """Return what the user's Emacs knows of what is at a place: its signature, its type, its documentation in
        short.
        """
        return self._ask("eldoc", PATIENCE, file=file, line=line, column=column)

    def emacs_project(self) -> dict[str, Any]:
        """Return the root of the project of your directory, and which of its files are open in the user's Emacs."""
        return self._ask("project", PATIENCE)

    def open_diff(self, file: str, content: str, wait: float = 600) -> dict[str, Any]:
        """Propose a new content for a file: the user compares it with what is there (ediff), edits it, and accepts it or not.

        Waits up to `wait` seconds. `accepted` says whether, and `content` is then what the user made of it. Nothing is written:
        write that content yourself.
        """
        return self._ask("open_diff", min(max(wait, 1.0), WAIT_MAX), file=file, content=content)

    def _ask(self, tool: str, wait: float, **arguments: Any) -> dict[str, Any]:
        with self._tools.attached() as (client, me):
            if me == USER:
                raise Invalid("you are connected as the user: there is no editor to ask")
            given = {name: value for name, value in arguments.items() if value not in ("", 0) or name == "content"}
            with client.open(f"{me}/editor", wire.ORDWR) as file:
                file.write(dumps({"tool": tool, "arguments": given}).encode())
                file.offset = 0
                try:
                    found = loads_object(file.read_all(wait) or b"{}")
                except TimedOut:
                    raise Unavailable(f"no answer from the user's editor within {wait:g} s") from None
        if "error" in found:
            raise Unavailable(str(found["error"]))
        result = found.get("result")
        return result if isinstance(result, dict) else {"result": result}
