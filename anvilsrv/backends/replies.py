"""What a hook program says to its agent. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.strict_json import dumps


@dataclass(frozen=True)
class Reply:
    """What ``anvillm-hook`` prints and exits with."""

    stdout: str
    exit: int = 0


def reply(made: Any) -> Reply:
    """Return the reply that a file describes: an object with ``stdout`` and ``exit``, or what is printed."""
    if isinstance(made, Mapping) and made and set(made) <= {"stdout", "exit"}:
        return Reply(_printed(made.get("stdout", "")), int(made.get("exit", 0)))
    return Reply(_printed(made))


def _printed(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value) + "\n"
