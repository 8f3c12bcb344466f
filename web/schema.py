"""The few words of JSON Schema that the interface needs, and what is wrong with a value, in a short sentence.

One schema serves both: it stands in the OpenAPI document, and every request is checked against it, by jsonschema.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.validators import extend

Schema = dict[str, Any]

SESSION: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$", "description": "id or alias of a session"}
OWNER: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{1,64}$",
    "description": "`user`, or id or alias of a session",
}
MESSAGE_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"}
SEQ: Schema = {
    "type": "string",
    "pattern": "^[0-9]{1,18}$",
    "description": "number of an object of a session's activity",
}
PROMPT: Schema = {"type": "string", "pattern": "^[1-9][0-9]{0,17}$", "description": "number of a prompt in its session"}
BEAD_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$"}


def text(limit: int, least: int = 0) -> Schema:
    """Return the schema of a string of ``least`` to ``limit`` characters."""
    return {"type": "string", "maxLength": limit} | ({"minLength": least} if least else {})


def word(*choices: str) -> Schema:
    """Return the schema of one of these."""
    return {"type": "string", "enum": list(choices)}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these keys and no others."""
    properties = required | (optional or {})
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def array(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    """Return a schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def _is_text(_: TypeChecker, value: object) -> bool:
    """Return whether it is a text: JSON can spell an unpaired surrogate, which is not a character and cannot be stored."""
    return isinstance(value, str) and not any(0xD800 <= ord(c) < 0xE000 for c in value)


def _pattern(validator: Any, pattern: str, value: object, schema: Schema) -> Iterator[ValidationError]:
    """Yield an error unless the pattern matches: ECMA 262's ``$``, which JSON Schema means, does not match before a
    last newline; Python's does.
    """
    if isinstance(value, str) and not re.search(pattern.removesuffix("$") + r"\Z", value):
        yield ValidationError("malformed")


_Validator = extend(
    Draft202012Validator,
    {"pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("string", _is_text),
)

_A = {"string": "a string", "object": "an object"}
# the keyword that a value breaks -> the sentence, from the name of the value and the error
SENTENCES: dict[str, Callable[[str, ValidationError], str]] = {
    "type": lambda name, error: (
        f"{name}: unpaired surrogate" if isinstance(error.instance, str) else f"{name}: not {_A[error.validator_value]}"
    ),
    "required": lambda name, error: next(
        f"{key}: missing" for key in error.validator_value if key not in error.instance
    ),
    "additionalProperties": lambda name, error: next(
        f"unknown key '{key[:40]}'" for key in error.instance if key not in error.schema["properties"]
    ),
    "enum": lambda name, error: f"{name}: one of {', '.join(error.validator_value)}",
    "maxLength": lambda name, error: f"{name}: more than {error.validator_value} characters",
    "minLength": lambda name, error: f"{name}: empty",
    "pattern": lambda name, error: f"{name}: malformed",
}


def wrong(value: Any, schema: Schema, name: str = "body") -> str:
    """Return what is wrong with ``value``, in a short sentence; empty if nothing is."""
    error = next(_Validator(schema).iter_errors(value), None)
    if error is None:
        return ""
    return SENTENCES[str(error.validator)](str(error.path[-1]) if error.path else name, error)
