"""Templates of backend files: ``{NAME}`` in strings, lists and mappings, and paths into an agent's payload.

A name in capitals stands for one string or for several words. In a list, an item that is nothing but such a name becomes
as many items; inside a string words are quoted for a shell. ``{ENV:NAME}`` is the daemon's own environment variable.
A name in small letters, as in ``{tool_input.command}``, is a path into the payload of a hook.
"""

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from anvilsrv.errors import Invalid

Value = str | Sequence[str]
CAPITALS = re.compile(r"\{([A-Z][A-Z0-9_]*)(?::([^{}]*))?\}")
PATH = re.compile(r"\{([a-z_*][A-Za-z0-9_.*-]*)\}")

REPLY = re.compile(PATH.pattern + r"|\{TEXT\}")


def expand(template: Any, values: Mapping[str, Value]) -> Any:
    """Return ``template`` with every name in capitals replaced, at any depth. Raises Invalid for a name that is
    unknown.
    """
    if isinstance(template, str):
        return CAPITALS.sub(lambda found: _inside(found, values), template)
    if isinstance(template, Mapping):
        return {expand(key, values): expand(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [word for item in template for word in _item(item, values)]
    return template


def _item(item: Any, values: Mapping[str, Value]) -> list[Any]:
    alone = CAPITALS.fullmatch(item) if isinstance(item, str) else None
    if alone and not alone[2] and not isinstance(values.get(alone[1], ""), str):
        return list(values[alone[1]])
    return [expand(item, values)]


def _inside(found: re.Match[str], values: Mapping[str, Value]) -> str:
    if found[1] == "ENV" and found[2]:
        return os.environ.get(found[2], "")
    if found[1] not in values or found[2] is not None:
        raise Invalid(f"unknown name {found[0]}")
    value = values[found[1]]
    return value if isinstance(value, str) else shlex.join(value)


def unknown_names(template: Any, known: Sequence[str]) -> list[str]:
    """Return the names in capitals that ``expand`` would not know."""
    if isinstance(template, Mapping):
        return [name for pair in template.items() for part in pair for name in unknown_names(part, known)]
    if isinstance(template, list | tuple):
        return [name for item in template for name in unknown_names(item, known)]
    if not isinstance(template, str):
        return []
    return [found[0] for found in CAPITALS.finditer(template) if not _known(found, known)]


def _known(found: re.Match[str], known: Sequence[str]) -> bool:
    return bool(found[2]) if found[1] == "ENV" else found[1] in known and found[2] is None


def dig(payload: Any, path: str) -> Any:
    """Return the value at ``a.b.0.c`` in a payload; ``*`` takes every item of a list that has the rest. None if there
    is none.
    """
    if type(payload) is dict and "." not in path:
        return payload.get(path)
    here = payload
    parts = _parts(path)
    for at, part in enumerate(parts):
        if part == "*" and isinstance(here, list):
            below = [dig(item, ".".join(parts[at + 1 :])) if at + 1 < len(parts) else item for item in here]
            return [item for item in below if item is not None] or None
        if isinstance(here, (dict, Mapping)):  # dict first: it is asked for with every line, and an ABC is slow to ask
            here = here.get(part)
        elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            return None
    return here


@lru_cache(maxsize=4096)
def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def as_text(value: Any) -> str:
    """Return a payload's value for a person: strings as they are, lists of strings as lines, the rest as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False)


def fill(template: str, payload: Any) -> str:
    """Return ``template`` with every path in small letters replaced by the payload's text there."""
    return PATH.sub(lambda found: as_text(dig(payload, found[1])), template)


def fill_all(template: Any, payload: Any, text: str) -> Any:
    """Apply ``fill`` at any depth, and ``{TEXT}``; a string that is only a path becomes the value itself."""
    if isinstance(template, str):
        alone = PATH.fullmatch(template)
        if alone:
            return dig(payload, alone[1])
        return REPLY.sub(lambda found: as_text(dig(payload, found[1])) if found[1] else text, template)
    if isinstance(template, Mapping):
        return {key: fill_all(value, payload, text) for key, value in template.items()}
    if isinstance(template, list):
        return [fill_all(item, payload, text) for item in template]
    return template
