"""What an agent tells of itself as it is now: its model, its mode, and how much of its context is left. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

TOLD = ("model", "mode", "context_left")
NEW = ("started", "resumed", "cleared", "forked")  # of these the value is the model, where there is one


def told(objects: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what these objects of activity tell of it; nothing of what a subagent tells."""
    found: dict[str, Any] = {}
    for made in objects:
        if made.get("parent"):
            continue
        if made["kind"] == "usage":
            found |= _usage(made)
        elif made["kind"] == "session" and made.get("value"):
            what = "model" if made.get("what") in NEW else made.get("what")
            found |= {what: made["value"]} if what in TOLD else {}
    return found


def _usage(made: Mapping[str, Any]) -> dict[str, Any]:
    model = {"model": made["model"]} if made.get("model") else {}
    used, window = made.get("context"), made.get("window")
    if used is None or not window or window < 0:
        return model
    return model | {"context_left": min(100, max(0, round(100 - 100 * used / window)))}
