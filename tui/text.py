"""Text of agents on a terminal: nothing in it may act on the terminal, and it must fit."""

import os
import time

from anvilsrv import display
from anvilsrv.display import printable as printable


def one_line(text: str) -> str:
    """Return the same on one line."""
    return " ".join(display.one_line(text).split())


def short_path(path: str, width: int) -> str:
    """Return a path with ``~`` for the home directory, cut at its beginning to ``width`` characters."""
    home = os.path.expanduser("~")
    if path == home or path.startswith(home.rstrip("/") + "/"):
        path = "~" + path[len(home.rstrip("/")) :]
    path = one_line(path)
    return path if len(path) <= width else "…" + path[len(path) - width + 1 :]


def clip(text: str, width: int) -> str:
    """Return ``text`` on one line, cut at its end to ``width`` characters."""
    text = one_line(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def clock(seconds: float) -> str:
    """Return a time of today as ``14:03``, an older one as ``2026-11-20``."""
    then = time.localtime(seconds)
    same = time.strftime("%Y-%m-%d", then) == time.strftime("%Y-%m-%d")
    return time.strftime("%H:%M" if same else "%Y-%m-%d", then)
