"""Text of others made safe: what agents, senders of mail and files say, before it reaches a terminal, a log or another agent.

A terminal acts on ESC and the other control characters, C1 (U+0080 to U+009F) included; an end of a bracketed paste in a prompt would
submit the rest of it as keys.
"""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # C0 but tab and newline, DEL, C1
_STYLE = re.compile(r"\x1b\[[\d;:]*m")
# C0 but tab and newline, DEL, C1; what ends a line in some programs; what reorders the text around it (Unicode report 36)
_SEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_UNSEEN = "(?:[^\\S\\n]|[\u00ad\u200b-\u200f\u2060-\u2064\ufeff])*"  # blanks, and what has no width
_HEADER = re.compile(rf"\n(?=[^\w\n]*+(?:{_UNSEEN.join('mailfrom')}|{_UNSEEN.join('from:')}))", re.IGNORECASE)


def sanitize(text: str) -> str:
    """Return ``text`` without control characters but tab and newline; CRLF and CR become newlines."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """Return ``text`` on one line, with a blank for each character that is not printable."""
    return "".join(char if char.isprintable() else " " for char in text)


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
