"""The published schema of the protocol: what of the messages that an agent got does not keep to it."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema

from tests.conftest import ROOT

PLACES = (ROOT / "node_modules", Path(os.environ.get("ANVILLM_TEST_AGENTS", "/nonexistent")).parent)
FILE = "@agentclientprotocol/sdk/schema/v1/schema.json"
TYPES = {
    "initialize": "InitializeRequest", "session/new": "NewSessionRequest", "session/load": "LoadSessionRequest",
    "session/resume": "ResumeSessionRequest", "session/prompt": "PromptRequest", "session/cancel": "CancelNotification",
    "session/set_mode": "SetSessionModeRequest", "session/set_config_option": "SetSessionConfigOptionRequest",
}  # fmt: skip
OLDER = {"session/set_model"}  # in no schema any more, and the only way for some agents


def schema() -> dict[str, Any] | None:
    """Return the schema; None where it is not installed."""
    path = next((place / FILE for place in PLACES if (place / FILE).exists()), None)
    found: dict[str, Any] | None = None if path is None else json.loads(path.read_text())
    return found


def deviations(messages: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with requests and notices, and with answers to a permission."""
    whole = schema()
    if whole is None:
        return []
    wrong = []
    for one in messages:
        method = one.get("method", "")
        kind = TYPES.get(method) or ("RequestPermissionResponse" if "outcome" in one.get("result", {}) else None)
        value = one.get("params") if method else one.get("result")
        if one.get("jsonrpc") != "2.0" or (
            method and kind is None and method not in OLDER and not method.startswith("_")
        ):
            wrong.append(f"{method}: not of the protocol")
        elif kind is not None:
            check = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": whole["$defs"]})
            wrong += [f"{method or kind}: {error.message[:200]}" for error in check.iter_errors(value)]
    return wrong
