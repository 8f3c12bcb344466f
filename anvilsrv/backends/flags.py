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
    """One: the words that choose ``{VALUE}``, and what that may be (empty: anything)."""

    words: tuple[str, ...]
    choices: tuple[str, ...] = ()


def chosen(known: Mapping[str, Flag], values: Mapping[str, str]) -> tuple[str, ...]:
    """The words for what was chosen."""
    return tuple(
        word.replace(VALUE, values[name]) for name, flag in known.items() if values.get(name) for word in flag.words
    )
