"""Choices to middle-click, in a question and in a message."""

from __future__ import annotations

from collections.abc import Sequence


def drawn(choices: Sequence[str]) -> str:
    """Return choices as they are clicked: each on a line of its own, in brackets."""
    return "".join(f"{_drawn(choice)}\n" for choice in choices)


def picked(line: str, text: str, choices: Sequence[str]) -> str | None:
    """Return the choice that a click meant: the one whose line it is on, or the one that was swept."""
    return next((choice for choice in choices if line.strip() == _drawn(choice) or text == choice), None)


def _drawn(choice: str) -> str:
    return f"[{' '.join(choice.split())}]"
