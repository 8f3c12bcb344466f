"""A turn on the pane: pieces of text made into whole lines, tools as they come and end.

Threads: called on the thread of the front.
"""

from collections.abc import Iterable
from typing import Protocol

from anvilsrv.display import printable
from anvilsrv.inside import acp_shown
from anvilsrv.inside.acp_said import Tool

LONGEST = 4000  # characters after which a line of text is printed without waiting for its end, and any other is cut
TOOLS = 1000  # whose last line is remembered
ENDED = ("completed", "failed", "cancelled")


class Paper(Protocol):
    """What is printed on (acp_pane.py)."""

    def line(self, text: str) -> None: ...
    def unfinished(self, text: str) -> None: ...


class Screen:
    """Prints on ``paper``."""

    def __init__(self, paper: Paper) -> None:
        self._paper = paper
        self._rest = ""
        self._shown: dict[str, str] = {}  # tools, as they were shown last

    def text(self, piece: str) -> None:
        """Show more of what the agent says."""
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in map(printable, lines):
            for at in range(0, len(line) or 1, LONGEST):
                self._paper.line(line[at : at + LONGEST])
        if len(self._rest) > LONGEST:
            self._flush()
        self._paper.unfinished(printable(self._rest))

    def tool(self, known: Tool, news: Tool) -> None:
        """Show a use of a tool: once when it begins, once when it ends."""
        ended = known.status in ENDED
        line = acp_shown.tool(known)
        before = self._shown.get(known.id)
        if before == line or (before is not None and not ended):
            return
        self._shown[known.id] = line
        if len(self._shown) > TOOLS:
            del self._shown[next(iter(self._shown))]
        self.lines([line])
        if ended:
            for one in known.diffs or ():
                self.lines(acp_shown.diff(one))
            self.lines(acp_shown.output(known))

    def prompt(self, text: str) -> None:
        """Show that a turn begins."""
        self.lines(acp_shown.prompt(text))

    def note(self, text: str) -> None:
        """Show a sentence of ours."""
        self.lines([acp_shown.note(text)])

    def alarm(self, text: str) -> None:
        """Show one that must be seen."""
        self.lines([acp_shown.alarm(text)])

    def end(self) -> None:
        """Show that the turn is over."""
        self._flush()
        self._shown.clear()

    def lines(self, lines: Iterable[str]) -> None:
        """Write whole lines, after the one that is not whole yet."""
        self._flush()
        for one in lines:
            self._paper.line(one if len(one) <= LONGEST else f"{one[:LONGEST]}{acp_shown.OFF} …")

    def _flush(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, ""
            self._paper.line(printable(rest))
            self._paper.unfinished("")
