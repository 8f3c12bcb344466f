"""What Gemini CLI does otherwise than its YAML can say: a private home, and permissions asked by our own hook."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anvilsrv.activity.diffs import between
from anvilsrv.backends.backend import Launch, Place, Report
from anvilsrv.backends.lacks import Lack, Rights, mentions, servers
from anvilsrv.backends.private import Private

NAMES = ("GEMINI.md", "commands", "extensions", "skills")
SETTINGS = "gemini/.gemini/settings.json"
EDITS = ("write_file", "replace")
ASKS = "run_shell_command|write_file|replace|web_fetch|save_memory|mcp_.*"


class Gemini(Private):
    """See ``gemini.yaml``."""

    links = {f"gemini/.gemini/{name}": f"{{HOME}}/.gemini/{name}" for name in NAMES}

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch with our settings over the user's. With ``ask`` every tool that changes something waits for
        our hook.
        """
        made = super().launch(place, resume)
        ours = json.loads(str(made.data[SETTINGS]))
        if place.permissions == "ask":
            hook = self.backend.values(place)["HOOK"]
            # 2: not done; a hook that says nothing is a yes
            command = f"{hook if isinstance(hook, str) else shlex.join(hook)} --wait=2 BeforeTool"
            row = {"type": "command", "name": "anvillm", "command": command, "timeout": 864000000}
            ours["hooks"]["BeforeTool"].append({"matcher": ASKS, "hooks": [row]})
        return replace(made, data={**made.data, SETTINGS: settings(place, ours)})

    def lacks(self, place: Place, rights: Rights) -> Iterator[Lack]:
        """Yield MCP servers, and files that GEMINI.md includes."""
        settings = own(f"{place.home}/.gemini/settings.json")
        yield from servers(settings.get("mcpServers"), place.configuration, "~/.gemini/settings.json")
        for top in (Path(place.home, ".gemini"), Path(place.cwd)):
            yield from mentions(top, "GEMINI.md", place.home, rights)

    def available(self) -> str:
        """Return ``ok`` with a key or a login."""
        keys = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI")
        return self.logged_in(keys, "set GEMINI_API_KEY")

    def report(self, hook: str, payload: Mapping[str, Any]) -> Report | None:
        """Return the report; a question about an edit has its diff."""
        found = super().report(hook, payload)
        given = payload.get("tool_input")
        if found is not None and found.kind == "ask" and isinstance(given, Mapping):
            new = given.get("new_string", given.get("content"))
            if payload.get("tool_name") in EDITS and isinstance(new, str):
                found.fields["diff"] = between(str(given.get("old_string") or ""), new, whole="content" in given)
                found.fields["question"] = f"{payload['tool_name']}: {given.get('file_path', '')}"
        return found

    def transcript_reports(self, line: Mapping[str, Any]) -> list[Report]:
        """Return the reports of a message, which is written again when its tools are done: its id says which are one."""
        found = super().transcript_reports(line)
        for report in found:
            if report.kind == "usage":
                report.fields["usage_id"] = str(line.get("id"))
        return found


class GeminiAcp(Gemini):
    """See ``gemini-acp.yaml``: it tells everything in the protocol, and asks in it."""

    def launch(self, place: Place, resume: bool) -> Launch:
        """Return the launch with our settings over the user's."""
        made = Private.launch(self, place, resume)
        return replace(made, data={**made.data, SETTINGS: settings(place, json.loads(str(made.data[SETTINGS])))})


def settings(place: Place, ours: dict[str, Any]) -> str:
    """Return our settings over what may be seen of the user's. A missing choice of the login is a dialog."""
    if place.env.get("GEMINI_API_KEY"):
        ours["security"]["auth"] = {"selectedType": "gemini-api-key"}
    theirs = place.configuration.visible(own(f"{place.home}/.gemini/settings.json"), "mcpServers")
    return json.dumps(over(theirs, ours), indent=2) + "\n"


def own(path: str) -> dict[str, Any]:
    """Return the user's settings; empty if they cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def over(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``ours`` over ``theirs``: objects are united, lists joined (hooks of both run); of two other values ours
    counts.
    """
    made = dict(theirs)
    for name, value in ours.items():
        there = made.get(name)
        if isinstance(value, Mapping):
            made[name] = over(there if isinstance(there, Mapping) else {}, value)
        else:
            made[name] = [*there, *value] if isinstance(value, list) and isinstance(there, list) else value
    return made
