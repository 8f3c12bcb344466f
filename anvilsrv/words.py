"""The words of a ctl command: quoting as in rc(1) (``'it''s'``), and double quotes.

Blanks, tabs and line ends part words. A quote may begin inside a word (``title='two words'``). In single quotes only a
doubled quote is special; in double quotes a doubled quote, and a backslash before a quote or a backslash. A quoted
word may hold line ends: `lines` cuts a buffer into commands, `split` cuts one command into words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from anvilsrv.errors import Invalid

USER = "user"  # the human, wherever a correspondent is named
# Files of the root, those to come as well: a session cannot be called so.
ROOT = frozenset(
    {"ctl", "list", "sessions", "backends", "events", "log", "log.now", USER, "beads", "tasks",
     "roles", "search", "usage", "past", "hosts", "editor"}
)  # fmt: skip
MAIL_TYPES = (
    "PROMPT_REQUEST", "PROMPT_RESPONSE", "QUERY_REQUEST", "QUERY_RESPONSE", "REVIEW_REQUEST", "REVIEW_RESPONSE",
    "APPROVAL_REQUEST", "APPROVAL_RESPONSE", "LOG_ERROR",
)  # fmt: skip
BEAD_STATUSES = ("open", "in_progress", "blocked", "deferred", "closed", "pinned", "hooked")
BEAD_TYPES = (
    "bug", "feature", "task", "epic", "chore", "decision", "spike", "story", "milestone", "message", "molecule", "gate",
)  # fmt: skip

_BLANK = " \t\r\n"
_PLAIN = re.compile(r"[^\s'\"\x00]+")
_PARTS = re.compile(
    r"""(?P<blank>[ \t\r\n]+)
      | (?P<plain>[^ \t\r\n'"]+)
      | '(?P<single>(?:[^']++|'')*+)'
      | "(?P<double>(?:[^"\\]++|\\.|"")*+)"
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r'\\(["\\])|""')


def split(line: str) -> list[str]:
    """Return the words of one command; an empty line has none. Raises Invalid on a quote without its end and on a NUL
    byte.
    """
    if "\0" in line:
        raise Invalid("a command cannot contain a NUL byte")
    words: list[str] = []
    word: str | None = None
    at = 0
    while at < len(line):
        part = _PARTS.match(line, at)
        if part is None:
            raise Invalid(f"unterminated quote: {_excerpt(line[at:])}")
        at = part.end()
        if part["blank"] is not None:
            if word is not None:
                words.append(word)
            word = None
            continue
        word = (word or "") + _text(part)
    return words if word is None else [*words, word]


def quote(word: str) -> str:
    """Return the word as `split` reads it back: as it is where that is safe, else in single quotes."""
    return word if _PLAIN.fullmatch(word) else "'" + word.replace("'", "''") + "'"


def join(words: Iterable[str]) -> str:
    """Return one command line of these words, the inverse of `split`."""
    return " ".join(map(quote, words))


def lines(text: str) -> tuple[list[str], str]:
    """Return the complete commands in `text`, each up to a line end outside quotes; and what is left after them."""
    done: list[str] = []
    start = at = 0
    while at < len(text):
        part = _PARTS.match(text, at)
        if part is None:
            break
        end = text.rfind("\n", at, part.end()) + 1 if part["blank"] is not None else 0
        at = part.end()
        if end:
            if text[start:end].strip(_BLANK):
                done.append(text[start:end].strip(_BLANK))
            start = end
    return done, text[start:]


def _text(part: re.Match[str]) -> str:
    if part["plain"] is not None:
        return part["plain"]
    if part["single"] is not None:
        return part["single"].replace("''", "'")
    return _ESCAPE.sub(lambda m: m[1] or '"', part["double"])


def _excerpt(text: str) -> str:
    line = text.split("\n", 1)[0]
    return line if len(line) <= 40 else line[:40] + "…"
