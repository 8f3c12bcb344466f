"""What each agent's private configuration has of the user's: no token of hers unless a layer names it."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.backends.place import Launch
from anvilsrv.backends.registry import Backends
from sandbox import layers
from sandbox.configuration import united
from tests.backends.files import place

CFG = Path(__file__).parents[2] / "cfg" / "backends"
TOKEN = "hunter2-hunter2"
SERVERS = {name: {"command": "c", "env": {"A_TOKEN": f"{TOKEN}-{name}"}} for name in ("mine", "other")}
CODEX = f"""model = "m1"
when = 2026-01-02
[mcp_servers.mine]
command = "c"
env = {{A_TOKEN = "{TOKEN}-mine"}}
[mcp_servers.other]
command = "c"
env = {{A_TOKEN = "{TOKEN}-other"}}
[model_providers."a b"]
experimental_bearer_token = "{TOKEN}"
base_url = "http://x"
"""
LOCAL = {"mcpServers": {"local": SERVERS["other"]}}
FILES = {
    "claude": (".claude.json", json.dumps({"mcpServers": SERVERS, "oauthAccount": {"x": TOKEN}, "projects": {"/w": LOCAL}})),
    "codex": (".codex/config.toml", CODEX),
    "gemini": (".gemini/settings.json", json.dumps({"mcpServers": SERVERS, "apiKey": TOKEN, "model": {"name": "m1"}})),
    "opencode": (".config/opencode/opencode.json", json.dumps({"mcp": SERVERS, "provider": {"p": {"options": {"apiKey": TOKEN}}}})),
}  # fmt: skip


def made(home: Path, name: str, env: Mapping[str, str] = os.environ, **said: Any) -> Launch:
    path, text = FILES[name]
    (home / path).parent.mkdir(parents=True, exist_ok=True)
    (home / path).write_text(text)
    (home / ".claude").mkdir(exist_ok=True)
    (home / ".claude" / "settings.json").write_text(json.dumps({"model": "m1", "env": {"A_TOKEN": TOKEN}}))
    seen = united([layers.parse("role x", {"configuration": said})])
    return Backends(CFG).get(name).launch(place(home=str(home), configuration=seen, env=env), resume=False)


def text(launch: Launch) -> str:
    return json.dumps(
        [launch.argv, launch.env, launch.files, {k: v for k, v in launch.data.items() if isinstance(v, str)}]
    )


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_secret_of_the_users_configuration_reaches_an_agent(tmp_path: Path, name: str) -> None:
    assert TOKEN not in text(made(tmp_path, name))
    assert TOKEN not in text(made(tmp_path, name, settings=True))


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_mcp_server_that_is_named_is_there_and_no_other(tmp_path: Path, name: str) -> None:
    found = text(made(tmp_path, name, mcp=["mine"]))
    assert f"{TOKEN}-mine" in found and f"{TOKEN}-other" not in found


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_key_that_only_the_door_may_have_is_not_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    keys = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")
    for key in keys:
        monkeypatch.setenv(key, TOKEN)
    found = text(made(tmp_path, name, env=dict.fromkeys(keys, "placeholder")))
    assert TOKEN not in found
    assert ("placeholder" in found) == (name in ("claude", "codex"))


def test_servers_of_the_local_scope_are_named_likewise(tmp_path: Path) -> None:
    found = json.loads(str(made(tmp_path, "claude", mcp=["local"]).data["claude/.claude.json"]))
    assert found["mcpServers"] == {"local": SERVERS["other"]}


def test_settings_are_seen_without_what_is_secret(tmp_path: Path) -> None:
    assert json.loads(str(made(tmp_path, "claude", settings=True).data["claude/settings.json"])) == {
        "model": "m1",
        "env": {},
    }
    found = tomllib.loads(str(made(tmp_path, "codex", settings=True).data["codex/config.toml"]))
    assert (found["model"], str(found["when"])) == ("m1", "2026-01-02")
    assert found["model_providers"] == {"a b": {"base_url": "http://x"}}
    assert json.loads(str(made(tmp_path, "gemini", settings=True).data["gemini/.gemini/settings.json"]))["model"] == {
        "name": "m1"
    }


def test_the_hooks_of_gemini_stand_in_its_own_home_beside_those_of_the_user(tmp_path: Path) -> None:
    """A system settings file would have to belong to root."""
    found = made(tmp_path, "gemini", settings=True)
    settings = json.loads(str(found.data["gemini/.gemini/settings.json"]))
    [hook] = settings["hooks"]["SessionStart"][0]["hooks"]
    assert hook["name"] == "anvillm" and settings["model"] == {"name": "m1"}
    assert "GEMINI_CLI_SYSTEM_SETTINGS_PATH" not in found.env
