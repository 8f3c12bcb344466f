"""The text of a log as a person reads it: without what moves a cursor, and with times as they are said here."""

from __future__ import annotations

import re

from acme.lib.times import when

_REWRITTEN = re.compile("(?m)^(\\t*)[^\\n]*\u240d(?=[^\\n\u240d])")  # what a progress line said before its last state
_CONTROL = re.compile(
    "\u241b\\[[0-9;?]*[A-Za-z]|[\u240d\u2407]"
)  # colours, CR and BEL, as the daemon makes them visible
_HEAD = re.compile(r"(?m)^(USER|ASSISTANT|NOTE) (\d{4}-\S+)$")


def progressed(text: str) -> str:
    """Return the text of a log without what moves a cursor; of a line that was written over, its last state."""
    return _CONTROL.sub("", _REWRITTEN.sub(r"\1", text))


def timed(text: str) -> str:
    """Return whole lines of a log, with times in short form."""
    return _HEAD.sub(lambda found: f"{found[1]} {when(found[2])}", text)


class Logged:
    """A log that comes in pieces: what is added is what can be shown of them."""

    def __init__(self) -> None:
        self._held = ""  # a line that has begun and may be a head, or is written over
        self._within = False  # what was given last ends within a line

    def add(self, piece: str) -> str:
        text = self._held + piece
        first, end, rest = text.partition("\n") if self._within else ("", "", text)
        if self._within and not end:
            return progressed(piece)
        whole, line_end, last = rest.rpartition("\n")
        self._within = last.startswith("\t") and not re.search("[\u240d\u241b]", last)
        self._held = "" if self._within else last
        shown = timed(whole) + line_end + (last if self._within else "")
        return progressed(first + end + shown)
