"""What an agent asks leave for, and the answers that it offers. Pure.

An answer is chosen by the id of its option; ``allow``, ``always``, ``deny`` and ``never`` are short for the first of each kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.inside.acp_said import Tool, word

SHORT = {"allow_once": "allow", "allow_always": "always", "reject_once": "deny", "reject_always": "never"}
MOST = 50  # options
NAME = 200  # characters of an id that can be a word


@dataclass(frozen=True)
class Option:
    """An answer: the ``id`` that the agent wants, what it calls it, and the ``word`` that chooses it."""

    id: str
    name: str
    word: str
    refuses: bool = False


def options(found: Any) -> tuple[Option, ...]:
    """Return the answers that are offered, in their order."""
    rows = [one for one in found if isinstance(one, dict)][:MOST] if isinstance(found, list) else []
    made: list[Option] = []
    taken = {word(one.get("optionId")) for one in rows}
    for number, one in enumerate(rows, 1):
        ident, short = word(one.get("optionId")), SHORT.get(word(one.get("kind")), "")
        if ident and not any(known.id == ident for known in made):
            first = short and not any(known.word == short for known in made) and short not in taken - {ident}
            refuses = word(one.get("kind")).startswith("reject")
            own = ident if plain(ident) else f"choice {number}"
            made.append(Option(ident, word(one.get("name"))[:NAME] or own, short if first else own, refuses))
    return tuple(made)


def plain(ident: str) -> bool:
    """Return whether it can be a word that chooses: one that can be read and typed, and is not a number, which means a
    place in the list.
    """
    return len(ident) <= NAME and ident.isprintable() and not ident.isdecimal()


def chosen(offered: tuple[Option, ...], answer: str) -> Option | None:
    """Return the option that an answer means: its id, its word, or the first letter of its word if that differs from
    the others.
    """
    exact = next((one for one in offered if answer in (one.id, one.word)), None)
    if exact is not None or not answer:
        return exact
    near = [one for one in offered if one.word.startswith(answer)]
    return near[0] if len(near) == 1 else None


def selected(option: Option | None) -> Mapping[str, Any]:
    """Return the result that the agent gets; without an option: it was cancelled."""
    return {"outcome": {"outcome": "cancelled"} if option is None else {"outcome": "selected", "optionId": option.id}}


def question(tool: Tool) -> str:
    """Return what is asked, in a line."""
    what = tool.title or tool.kind or "something"
    places = [path if line is None else f"{path}:{line}" for path, line in (tool.places or ())[:3]]
    return " ".join(f"{what} ({', '.join(places)})".split()) if places else " ".join(what.split())
