"""The words of the command ``new``: which there are, and which go together.

Threads: any; nothing is kept.
"""

from collections.abc import Mapping
from typing import Any

from anvilsrv.display import one_line
from anvilsrv.errors import Invalid

NAMED = ("role", "alias", "branch", "base", "from", "same", "bead", "command")  # arguments that are one word
BESIDE = ("alias", "same", "command")  # those that go with ``same=``
CHOSEN = ("model", "mode")  # options of the agent that it sets
NEW = (
    "new <backend> <cwd> [role=R] [tasks=a,b] [alias=N] [branch=B [base=C] [from=working]] [bead=B] [model=M] [mode=M] [command=C]"
    ", new <backend> same=<id> [alias=N]"
)


def parse_new(words: list[str]) -> dict[str, Any]:
    """Return the arguments of ``new``. Raises Invalid."""
    if len(words) < 2:
        raise Invalid(f"invalid arguments; usage: {NEW}")
    beside = words[1].startswith("same=")
    found: dict[str, Any] = {"backend": words[0], "cwd": words[1], "tasks": [], "chosen": {}} | dict.fromkeys(NAMED, "")
    for word in words:
        if one_line(word) != word:
            raise Invalid(f"new: '{one_line(word)[:80]}' contains a control or invisible character")
    for word in words[1 if beside else 2 :]:
        key, equals, value = word.partition("=")
        if equals and value and key in CHOSEN:
            found["chosen"][key] = value
            continue
        if not equals or key not in ("tasks", *NAMED):
            raise Invalid(
                f"new: unknown argument '{word[:80]}' (expected role=, tasks=, alias=, branch=, base=, from=, bead=, same=, model=,"
                " mode= or command=; quote a path that contains spaces)"
            )
        found[key] = [t for t in value.split(",") if t] if key == "tasks" else value
    found["branch"] = found["branch"] or found["bead"]
    _check_new(found)
    return found


def _check_new(found: Mapping[str, Any]) -> None:
    """Refuse arguments that do not go together. Raises Invalid."""
    if found["same"] and (more := [name for name in (*NAMED, "tasks") if found[name] and name not in BESIDE]):
        raise Invalid(f"new: same= takes everything from another session and cannot be combined with {more[0]}=")
    if found["same"] and not found["cwd"].startswith("same="):
        raise Invalid("new: same= is where another session is: name no other place")
    if found["from"] not in ("", "working"):
        raise Invalid(f"new: invalid from='{found['from'][:80]}' (expected working)")
    for name in ("base", "from"):
        if found[name] and not found["branch"]:
            raise Invalid(f"new: {name}= needs branch=")
    if found["from"] and found["base"]:
        raise Invalid("new: from=working begins with what is checked out and cannot be combined with base=")
