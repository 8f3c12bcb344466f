"""What Gemini CLI does otherwise than its YAML can say: a private home, and permissions asked by our own hook."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from anvilsrv.backends.backend import Launch, Place, Report
from anvilsrv.backends.private import Private

NAMES = ("GEMINI.md", "commands", "extensions", "skills")
ASKS = "run_shell_command|write_file|replace|web_fetch|save_memory|mcp_.*"


class Gemini(Private):
    """See ``gemini.yaml``."""

    links = {f"gemini/.gemini/{name}": f"{{HOME}}/.gemini/{name}" for name in NAMES}

    def seeds(self, place: Place) -> dict[str, Any]:
        """The user's settings, with the login chosen that there is: a missing choice is a dialog."""
        try:
            with open(f"{place.home}/.gemini/settings.json", encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            found = {}
        settings = place.configuration.visible(found if isinstance(found, dict) else {}, "mcpServers")
        if os.environ.get("GEMINI_API_KEY"):
            security = settings.get("security")
            security = security if isinstance(security, dict) else {}
            settings = {**settings, "security": {**security, "auth": {"selectedType": "gemini-api-key"}}}
        return {"gemini/.gemini/settings.json": settings}

    def launch(self, place: Place, resume: bool) -> Launch:
        """With ``ask`` every tool that changes something waits for our hook."""
        made = super().launch(place, resume)
        if place.permissions != "ask":
            return made
        settings = json.loads(made.files["settings.json"])
        hook = self.backend.values(place)["HOOK"]
        command = f"{hook if isinstance(hook, str) else shlex.join(hook)} --wait BeforeTool"
        row = {"type": "command", "name": "anvillm", "command": command, "timeout": 864000000}
        settings["hooks"]["BeforeTool"] = [{"matcher": ASKS, "hooks": [row]}]
        return replace(made, files={**made.files, "settings.json": json.dumps(settings, indent=2)})

    def available(self) -> str:
        """A key or a login."""
        keys = ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI")
        return self.logged_in(keys, "set GEMINI_API_KEY")

    def transcript_reports(self, line: Mapping[str, Any]) -> list[Report]:
        """A message is written again when its tools are done: its id says which are one."""
        found = super().transcript_reports(line)
        for report in found:
            if report.kind == "usage":
                report.fields["usage_id"] = str(line.get("id"))
        return found
