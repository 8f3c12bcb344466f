"""Rows of ``options:`` in a backend's file: what of an agent in the terminal can be chosen by words of its command. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

VALUE = "{VALUE}"


class Option(NamedTuple):
    """A name, what it is now (empty: unknown), and what it may be (empty: anything)."""

    name: str
    value: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Flag:
    """One: the words that choose ``{VALUE}``, and what that may be (empty: anything); ``command``: the agent's own for that, which it
    takes as a prompt (empty: it has none)."""

    words: tuple[str, ...]
    choices: tuple[str, ...] = ()
    command: str = ""

    def is_command(self, text: str) -> bool:
        """Return whether a prompt is this command, with a value of one word."""
        before, _, after = self.command.partition(VALUE)
        value = text[len(before) : len(text) - len(after)]
        return bool(self.command) and text == before + value + after and value.split() == [value]


def chosen(known: Mapping[str, Flag], values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words for what was chosen."""
    return tuple(
        word.replace(VALUE, values[name]) for name, flag in known.items() if values.get(name) for word in flag.words
    )
