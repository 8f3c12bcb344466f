"""Text of others made safe: what agents, senders of mail and files say, before it reaches a terminal, a log or another agent.

A terminal acts on ESC and the other control characters, C1 (U+0080 to U+009F) included; an end of a bracketed paste in a prompt would
submit the rest of it as keys.
"""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # C0 but tab and newline, DEL, C1
_STYLE = re.compile(r"\x1b\[[\d;:]*m")


def sanitize(text: str) -> str:
    """``text`` without control characters but tab and newline; CRLF and CR become newlines."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """``text`` on one line, with a blank for each character that is not printable."""
    return "".join(char if char.isprintable() else " " for char in text)


def plain(text: str) -> str:
    """A line of a captured screen without its colours."""
    return _STYLE.sub("", text)
