"""Text of agents on a terminal: nothing in it may act on the terminal, and it must fit."""

import os
import re
import time

# C0 but newline and tab, DEL, C1; then marks that reorder the text around them (Unicode Technical Report 36)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """``text`` with each control character made visible: ESC becomes U+241B, what has no picture U+FFFD.

    CRLF is a line end; tabs are kept.
    """
    return _CONTROL.sub(_picture, text.replace("\r\n", "\n"))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 32 else "\u2421" if code == 127 else "\ufffd"


def one_line(text: str) -> str:
    """The same on one line."""
    return printable(" ".join(text.split()))


def short_path(path: str, width: int) -> str:
    """A path with ``~`` for the home directory, cut at its beginning to ``width`` characters."""
    home = os.path.expanduser("~")
    if path == home or path.startswith(home.rstrip("/") + "/"):
        path = "~" + path[len(home.rstrip("/")) :]
    path = one_line(path)
    return path if len(path) <= width else "…" + path[len(path) - width + 1 :]


def clip(text: str, width: int) -> str:
    """``text`` on one line, cut at its end to ``width`` characters."""
    text = one_line(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def clock(seconds: float) -> str:
    """A time of today as ``14:03``, an older one as ``2026-11-20``."""
    then = time.localtime(seconds)
    same = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M" if same else "%Y-%m-%d", then)
