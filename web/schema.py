"""The few words of JSON Schema that the interface needs, and a check of values against them.

One schema serves both: it stands in the OpenAPI document, and every request is checked against it.
"""

import re
from typing import Any

Schema = dict[str, Any]

SESSION: Schema = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$", "description": "id or alias of a session"}
OWNER: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]{1,64}$",
    "description": "`user`, or id or alias of a session",
}
MESSAGE_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"}
BEAD_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$"}


def text(limit: int, least: int = 0) -> Schema:
    """A string of ``least`` to ``limit`` characters."""
    return {"type": "string", "maxLength": limit} | ({"minLength": least} if least else {})


def word(*choices: str) -> Schema:
    """One of these."""
    return {"type": "string", "enum": list(choices)}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object with these keys and no others."""
    properties = required | (optional or {})
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def array(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    """A schema of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def wrong(value: Any, schema: Schema, name: str = "body") -> str:
    """What is wrong with ``value``, in a short sentence; empty if nothing is."""
    if schema["type"] == "string":
        return _wrong_string(value, schema, name)
    if not isinstance(value, dict):
        return f"{name}: not an object"
    for key in schema["required"]:
        if key not in value:
            return f"{key}: missing"
    for key, one in value.items():
        if key not in schema["properties"]:
            return f"unknown key '{key[:40]}'"
        if why := wrong(one, schema["properties"][key], key):
            return why
    return ""


def _wrong_string(value: Any, schema: Schema, name: str) -> str:
    if not isinstance(value, str):
        return f"{name}: not a string"
    if any(0xD800 <= ord(c) < 0xE000 for c in value):
        return f"{name}: half of a surrogate pair"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name}: one of {', '.join(schema['enum'])}"
    if len(value) > schema.get("maxLength", len(value)):
        return f"{name}: more than {schema['maxLength']} characters"
    if len(value) < schema.get("minLength", 0):
        return f"{name}: empty"
    if "pattern" in schema and not re.search(schema["pattern"].removesuffix("$") + r"\Z", value):
        return f"{name}: malformed"
    return ""
