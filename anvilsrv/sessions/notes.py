"""What a list says of a session beside its state: words, the most urgent first (``notes`` in ``sessions``).

The words are told once, here, to every front-end; how each is shown is theirs. To add a note is to add a row.
"""

from collections.abc import Callable, Mapping
from typing import Any

# word, and whether it is to be said of a session, by its object in ``sessions``
NOTES: tuple[tuple[str, Callable[[Mapping[str, Any]], bool]], ...] = (
    ("ask", lambda shown: bool(shown["ask"])),
    ("nosandbox", lambda shown: shown["sandbox_tier"] == "none"),
    (
        "weak",
        lambda shown: (
            shown["sandbox_tier"] == "weak" or (bool(shown["sandbox_gaps"]) and shown["sandbox_tier"] != "none")
        ),
    ),
    ("held", lambda shown: bool(shown["held"])),
    ("error", lambda shown: bool(shown["error"])),
    ("background", lambda shown: shown["background"] > 0),
    ("mail", lambda shown: shown["unread"] > 0),
    ("queued", lambda shown: shown["queued"] > 0),
)


def notes(shown: Mapping[str, Any]) -> list[str]:
    """Return the words for the session with that object in ``sessions``."""
    return [word for word, said in NOTES if said(shown)]


def needs(state: str, asks: bool, held: bool, mailed: bool, news: bool) -> str:
    """Return what the session needs its user for, the most urgent; empty: nothing. ``mailed``: mail of it waits in the
    user's inbox; ``news``: the user has not looked at its last answer.
    """
    found = (
        ("ask", asks),
        ("error", state == "error"),
        ("held", held),
        ("mail", mailed),
        ("done", news and state not in ("running", "starting")),
    )
    return next((word for word, true in found if true), "")
