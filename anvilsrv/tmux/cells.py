"""Lines of a screen as its cells show them, whatever version of tmux captured them."""

import re
import unicodedata

STOP = 8  # columns
SEQUENCE = re.compile(r"(\x1b\[[0-9;:]*m|\x1b\].*?(?:\x1b\\|\x07)|\t)")  # colours, links, tabs


def spaced(line: str) -> str:
    """Return tabs as the spaces that are seen: tmux keeps them from 3.6 on, and before it did not."""
    if "\t" not in line:
        return line
    out, column = [], 0
    for at, piece in enumerate(SEQUENCE.split(line)):
        if piece == "\t":
            piece = " " * (STOP - column % STOP)
            column += len(piece)
        elif at % 2 == 0:
            column += sum(map(width, piece))
        out.append(piece)
    return "".join(out)


def width(char: str) -> int:
    """Return how many cells a character takes in most terminals."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
