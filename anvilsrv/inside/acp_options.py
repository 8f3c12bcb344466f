"""What can be chosen of an agent: mode, model and whatever else it has. Pure.

Agents tell it in three forms: ``configOptions``, or ``modes`` and ``models``; one and the same option may be in two of them. What is
chosen is checked here, since several agents take any nonsense without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.inside.acp_said import word

MOST = 50  # options
CHOICES = 500  # of one
NAME = 200  # characters of a name or a value


@dataclass(frozen=True)
class Option:
    """One: its name, what it is now, and what it may be (empty: anything). ``how``: the request that sets it."""

    name: str
    value: str
    choices: tuple[str, ...]
    how: str = "config"
    flag: bool = False


def read(result: Mapping[str, Any]) -> dict[str, Option]:
    """Return the options in an answer to ``session/new`` and the like; those of ``configOptions`` count before the
    older forms.
    """
    made = {one.name: one for one in _config(result.get("configOptions"))[:MOST]}
    for name, key, rows, ident in (
        ("mode", "currentModeId", "availableModes", "id"),
        ("model", "currentModelId", "availableModels", "modelId"),
    ):
        found = result.get(f"{name}s")
        if name not in made and isinstance(found, dict):
            listed = found.get(rows)
            rows_told = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
            choices = filter(None, [_short(one.get(ident)) for one in rows_told[:CHOICES]])
            made[name] = Option(name, _short(found.get(key)), tuple(choices), name)
    return made


def united(known: Mapping[str, Option], told: Mapping[str, Option]) -> dict[str, Option]:
    """Return what is known after the agent has named these; of more than there may be the last."""
    found = [*{**{name: one for name, one in known.items() if name not in told}, **told}.items()]
    return dict(found[-MOST:])


def _short(value: Any) -> str:
    """Return a name or a value that can be one; else nothing."""
    found = word(value)
    return found if len(found) <= NAME else ""


def _config(found: Any) -> list[Option]:
    made = []
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and _short(one.get("id")):
            current = one.get("currentValue")
            if isinstance(current, bool):
                made.append(Option(one["id"], "true" if current else "false", ("true", "false"), flag=True))
            else:
                made.append(Option(one["id"], _short(current), tuple(_values(one.get("options"))[:CHOICES])))
    return made


def _values(found: Any) -> list[str]:
    """Return the values of a choice; they may be in groups."""
    values: list[str] = []
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict):
            values += _values(one.get("options")) if "options" in one else [_short(one.get("value"))]
    return [one for one in values if one]


def setting(option: Option, value: str, session: str) -> tuple[str, dict[str, Any]]:
    """Return the request that sets it, and its parameters."""
    if option.how != "config":
        return f"session/set_{option.how}", {"sessionId": session, f"{option.how}Id": value}
    given: dict[str, Any] = {"sessionId": session, "configId": option.name}
    return "session/set_config_option", given | (
        {"type": "boolean", "value": value == "true"} if option.flag else {"value": value}
    )


def refusal(known: Mapping[str, Option], name: str, value: str) -> str:
    """Return why it cannot be set; empty if it can."""
    option = known.get(name)
    if option is None:
        return f"the agent has no option '{name}'" + (f", only {', '.join(known)}" if known else "")
    if option.choices and value not in option.choices:
        return f"unknown {name} '{value}' (expected {', '.join(option.choices)})"
    return ""
