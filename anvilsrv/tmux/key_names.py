"""The names of keys that a person may write, and what tmux calls them.

Only what is in the table, a printable ASCII character, or one of these with ``C-`` or ``M-`` before it reaches tmux, where a word
could be taken for an option or, unknown, be typed as text.
"""

import re

from anvilsrv.errors import Invalid

MOST = 32  # keys at a time
NAMES = {
    "Enter": "Enter", "Escape": "Escape", "Tab": "Tab", "BTab": "BTab", "Space": "Space", "BSpace": "BSpace",
    "Up": "Up", "Down": "Down", "Left": "Left", "Right": "Right", "Home": "Home", "End": "End",
    "PageUp": "PPage", "PageDown": "NPage", "Insert": "IC", "Delete": "DC",
    **{f"F{n}": f"F{n}" for n in range(1, 13)},
}  # fmt: skip
_ONE = re.compile(r"(?:[CM]-[a-z]|[!-~])")


def named(words: list[str]) -> list[str]:
    """Return what tmux calls these keys. Raises Invalid for none, for too many and for one that is not known."""
    if not 0 < len(words) <= MOST:
        raise Invalid(f"invalid keys: give 1 to {MOST} names, as in 'keys Down Enter'")
    unknown = next((word for word in words if word not in NAMES and not _ONE.fullmatch(word)), None)
    if unknown is not None:
        raise Invalid(
            f"invalid key '{unknown[:40]}' (known: {' '.join(NAMES)}, a printable ASCII character, C-a to C-z, M-a to M-z)"
        )
    return [NAMES.get(word, word) for word in words]
