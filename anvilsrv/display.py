"""Text of others made safe: what agents, senders of mail and files say, before it reaches a terminal, a log or another agent.

A terminal acts on ESC and the other control characters, C1 (U+0080 to U+009F) included; an end of a bracketed paste in a prompt would
submit the rest of it as keys.
"""

import re

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # C0 but tab and newline, DEL, C1
_STYLE = re.compile(r"\x1b\[([\d;:]*)m")  # SGR, ECMA-48 8.3.117
_STYLED_END = re.compile(r"\r((?:\x1b\[[\d;:]*m)+)\n")
_SEQUENCE = 40  # characters of one that are looked for, and of what is kept of several
CHANGES = 1000  # of colours in one text that are looked at; what follows them has none
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


def styled(text: str) -> str:
    """Return ``text`` printable, with the sequences that set its colours as they are: for ``parted``."""
    if "\x1b" not in text:
        return printable(text)
    pieces = _STYLE.split(_STYLED_END.sub(r"\1\n", text))
    return "".join(f"\x1b[{piece}m" if at % 2 else printable(piece) for at, piece in enumerate(pieces))


def parted(text: str) -> tuple[str, list[tuple[int, str]]]:
    """Return a text that is ``styled``, as ``shown``; and where its colours change: after how many characters of it, and to what (the
    parameters of SGR: ``1;31``, empty for none). They last until the next change, also that of a text after it."""
    if "\x1b" not in text:
        return text, []
    pieces, changes, at, end = list[str](), list[tuple[int, str]](), 0, 0
    for number, found in enumerate(_STYLE.finditer(text), 1):
        pieces.append(printable(text[end : found.start()]))
        at, end, change = at + len(pieces[-1]), found.end(), found[1]
        if changes and changes[-1][0] == at:  # both count
            change = f"{changes.pop()[1] or '0'};{change or '0'}"
        if number == CHANGES:
            changes.append((at, ""))
            break
        changes.append((at, change[-_SEQUENCE:].lstrip(";:")))
    pieces.append(printable(plain(text[end:])))
    return "".join(pieces), changes


def whole_up_to(text: str, most: int) -> int:
    """Return where to cut a text that is ``styled`` so that at most so many characters are left, and no sequence is in two."""
    begun = text.rfind("\x1b", max(0, most - _SEQUENCE), most)
    cuts = begun > 0 and len(text) > most and (found := _STYLE.match(text, begun)) is not None and found.end() > most
    return begun if cuts else most


def quoted(text: str) -> str:
    """Return the text of a message, ``shown``, in which no line looks like the head of another message: such a line
    begins with ``> ``.
    """
    return _HEADER.sub("\n> ", "\n" + shown(text))[1:]  # a line end is found sooner than a beginning


def plain(text: str) -> str:
    """Return a line of a captured screen, or what is ``styled``, without its colours."""
    return _STYLE.sub("", text) if "\x1b" in text else text
