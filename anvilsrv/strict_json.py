"""JSON as it stands in files of the tree."""

from typing import Any


def json_array(objects: Any) -> bytes:
    """Objects already in JSON as an array, one a line."""
    lines = list(objects)
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode() if lines else b"[]\n"
