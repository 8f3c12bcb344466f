"""The values of arguments as clients send them, read by a JSON schema: "5" for a number is 5, and null is left out.

Unknown arguments, and values that cannot be read so, are refused with what is wanted. Nothing here knows the MCP SDK.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anvilsrv.errors import Invalid
from anvilsrv.strict_json import loads

Schema = Mapping[str, Any]
SHOWN = 60  # characters of a value in an error
LARGEST = 2**63
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}(?:\.0+)?", re.ASCII)


def heeded(schema: Schema, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that the schema has, each as its type. Raises Invalid."""
    known: Mapping[str, Schema] = schema.get("properties", {})
    required: Sequence[str] = schema.get("required", ())
    found = {}
    for name, value in arguments.items():
        if name not in known:
            raise Invalid(f"unknown argument '{str(name)[:SHOWN]}' (known: {', '.join(known) or 'none'})")
        if not _left_out(value, known[name], name in required):
            found[name] = _read(name, value, known[name])
    missing = [name for name in required if name not in found]
    if missing:
        raise Invalid(f"missing argument: {', '.join(missing)} (known: {', '.join(known)})")
    return found


def read_object(name: str, value: Any) -> dict[str, Any]:
    """Return an object, which may be written as text; null and an empty list are an empty one. Raises Invalid."""
    if value is None or value == []:
        return {}
    found: dict[str, Any] = _read(name, value, {"type": "object"})
    return found


def _left_out(value: Any, schema: Schema, required: bool) -> bool:
    """Return whether nothing is meant: null, and for what is not text also a text that says no more."""
    if isinstance(value, str) and not required and _plain(schema).get("type") != "string":
        return value.strip() in ("", "null")
    return value is None


def _plain(schema: Schema) -> Schema:
    """Return the schema without its choice of null."""
    return next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)


def _read(name: str, value: Any, schema: Schema) -> Any:
    schema = _plain(schema)
    if _halves(value):
        raise Invalid(f"{name}: unpaired surrogate")
    if "type" not in schema:
        return value
    read = _READERS[schema["type"]]
    try:
        found = read(value)
        if not _allowed(found, schema):
            raise ValueError
    except (ValueError, RecursionError, Invalid):
        raise Invalid(f"{name}: must be {_wanted(schema)}, not {_shown(value)}") from None
    if isinstance(found, list):
        return [_read(f"{name}[{n}]", one, schema.get("items", {})) for n, one in enumerate(found)]
    return found


def _allowed(value: Any, schema: Schema) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    return not isinstance(value, int | float) or (schema.get("minimum", value) <= value <= schema.get("maximum", value))


def _wanted(schema: Schema) -> str:
    """Return what the schema asks for, in words."""
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if "minimum" in schema and "maximum" in schema:
        return f"{_NAMES[schema['type']]} from {schema['minimum']} to {schema['maximum']}"
    return _NAMES[schema["type"]]


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = "that"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _text(value: Any) -> str:
    """Return a text; a number is meant as its digits: some clients make one of all that looks so."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value.strip().partition(".")[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= LARGEST:
        raise ValueError
    return value


def _number(value: Any) -> float:
    if isinstance(value, str):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= LARGEST or math.isnan(value):
        raise ValueError
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower())
    if not isinstance(value, bool):
        raise ValueError
    return value


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = loads(value)
    if not isinstance(value, list):
        raise ValueError
    return value


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        value = loads(value)
    if not isinstance(value, dict):
        raise ValueError
    return value


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "string": _text, "integer": _integer, "number": _number, "boolean": _boolean, "array": _list, "object": _object,
}  # fmt: skip
_NAMES = {
    "string": "text", "integer": "an integer", "number": "a number", "boolean": "true or false",
    "array": 'a list, such as ["a", "b"]', "object": 'an object, such as {"a": "b"}',
}  # fmt: skip


def _halves(value: Any) -> bool:
    """Return whether some text in it cannot be written as UTF-8."""
    if isinstance(value, str):
        return any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, Mapping):
        return any(_halves(one) for pair in value.items() for one in pair)
    return isinstance(value, list) and any(map(_halves, value))
