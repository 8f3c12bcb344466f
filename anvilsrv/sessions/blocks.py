"""The blocks of ``<id>/log``: a header line, a text indented by a tab, an empty line. Pure."""

import time

from anvilsrv.display import shown


def stamp(when: float) -> str:
    """Return a time (epoch s) as files show it: local, with its zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(when))


def header(word: str, when: float) -> str:
    """Return the first line of a block."""
    return f"{word} {stamp(when)}\n"


def block(word: str, when: float, text: str) -> bytes:
    """Return one block of a conversation."""
    paragraphs = map(
        indented, shown(text).rstrip("\n").split("\n\n")
    )  # few replacements in megabytes, not a step for each line
    return "".join((header(word, when), "\n\n".join(paragraphs), "\n\n")).encode("utf-8", "replace")


def indented(text: str) -> str:
    """Return lines without an empty one, each but the first indented by a tab."""
    if text.startswith("\n"):
        return "\n" + indented(text[1:])
    return "\t" + text.replace("\n", "\n\t") if text else ""
