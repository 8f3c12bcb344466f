"""Text of others made safe: what agents, senders of mail and files say, before it reaches a terminal, a log or another agent.

A terminal acts on ESC and the other control characters, C1 (U+0080 to U+009F) included; an end of a bracketed paste in a prompt would
submit the rest of it as keys.
"""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # C0 but tab and newline, DEL, C1
_STYLE = re.compile(r"\x1b\[[\d;:]*m")
# C0 but tab and newline, DEL, C1; what ends a line in some programs; what reorders the text around it (Unicode report 36), and what
# is not seen at all, but for the two that join and part letters
_SEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_JOINERS = "\u200c\u200d"
_UNSEEN = "(?:[^\\S\\n]|[\u200c\u200d\ufffd])*"  # blanks, what has no width, and what was shown in its place
_HEADER = re.compile(rf"\n(?=[^\w\n]*+(?:{_UNSEEN.join('mailfrom')}|{_UNSEEN.join('from:')}))", re.IGNORECASE)


def sanitize(text: str) -> str:
    """Return ``text`` without control characters but tab and newline; CRLF and CR become newlines."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """Return ``text`` on one line: what is not seen is made visible, as in ``printable``; other blanks become spaces."""
    return "".join(map(_in_line, printable(text))) if not text.isprintable() else text


def _in_line(char: str) -> str:
    return char if char.isprintable() or char in _JOINERS else " " if char.isspace() else "\ufffd"


def standing(state: str) -> str:
    """Return the state of a session as the end of a sentence: ``is stopped``, ``has failed``."""
    return "has failed" if state == "error" else f"is {state}"


def printable(text: str) -> str:
    """Return ``text`` with each control character made visible: ESC becomes U+241B, what has no picture U+FFFD.

    CRLF is a line end; tabs are kept.
    """
    return _SEEN.sub(_picture, text.replace("\r\n", "\n"))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 32 else "\u2421" if code == 127 else "\ufffd"


def shown(text: str) -> str:
    """Return ``text`` as a person reads it: without colours, and printable. Only a newline ends a line of it, for every
    program.
    """
    return printable(_STYLE.sub("", text))


def quoted(text: str) -> str:
    """Return the text of a message, ``shown``, in which no line looks like the head of another message: such a line
    begins with ``> ``.
    """
    return _HEADER.sub("\n> ", "\n" + shown(text))[1:]  # a line end is found sooner than a beginning


def plain(text: str) -> str:
    """Return a line of a captured screen without its colours."""
    return _STYLE.sub("", text)
