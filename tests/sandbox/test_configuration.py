"""What of the user's own configuration is let in: by name, and without secrets."""

from typing import Any

import pytest
from sandbox_world import World

from sandbox import layers
from sandbox.configuration import Configuration, secret, united
from sandbox.errors import PolicyError
from sandbox.text import describe

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ"


def of(**said: Any) -> Configuration:
    return united([layers.parse("global", {"configuration": said})])


def test_nothing_is_seen_that_no_layer_names() -> None:
    settings = {"model": "m1", "mcpServers": {"github": {"command": "x"}}}
    assert Configuration().visible(settings, "mcpServers") == {}
    assert of(settings=False).visible(settings, "mcpServers") == {}
    assert of(settings=True).visible(settings, "mcpServers") == {"model": "m1"}


def test_a_server_is_seen_by_its_name_alone_with_all_it_needs() -> None:
    github = {"command": "x", "env": {"GITHUB_TOKEN": TOKEN}}
    settings = {"mcpServers": {"github": github, "other": {"url": "https://other"}, "broken": 7}, "model": "m1"}
    assert of(mcp=["github", "broken", "none"]).visible(settings, "mcpServers") == {"mcpServers": {"github": github}}


def test_secrets_are_left_out_by_their_names_and_by_their_values() -> None:
    settings = {
        "model": "m1",
        "env": {"GITHUB_TOKEN": "abc", "MAX_TOKENS": "7", "BASE_URL": "https://me:pass@host/", "LANG": "C", "X": TOKEN},
        "apiKeyHelper": "cat ~/key", "provider": {"a": {"options": {"apiKey": "x", "baseURL": "http://h"}, "env_key": "NAME"}},
        "http_headers": {"Authorization": "Basic abc"}, "security": {"auth": {"selectedType": "oauth"}},
        "refs": {"apiKey": "{env:KEY}", "token": "$TOKEN", "api-key": "{file:/k}"},
        "hooks": [{"hooks": [{"type": "command", "command": f"curl -d {TOKEN} x"}, {"type": "command", "command": "true"}]}],
        "args": ["--flag", TOKEN], "bearer_token_env_var": "NAME", "credentials": {"any": "thing"}, "cookies": ["a"],
    }  # fmt: skip
    assert of(settings=True).visible(settings, "mcp") == {
        "model": "m1", "env": {"MAX_TOKENS": "7", "LANG": "C"},
        "provider": {"a": {"options": {"baseURL": "http://h"}, "env_key": "NAME"}}, "http_headers": {},
        "security": {"auth": {"selectedType": "oauth"}},
        "refs": {"apiKey": "{env:KEY}", "token": "$TOKEN", "api-key": "{file:/k}"},
        "hooks": [{"hooks": [{"type": "command", "command": "true"}]}],
        "args": ["--flag"], "bearer_token_env_var": "NAME",
    }  # fmt: skip
    one = of(settings=True, secrets=["provider.a.options.apiKey"]).visible(settings, "mcp")
    assert one["provider"]["a"]["options"]["apiKey"] == "x" and "GITHUB_TOKEN" not in one["env"]


@pytest.mark.parametrize("text", [
    "sk-ant-REDACTED", TOKEN, "AKIAABCDEFGHIJKLMNOP", "Authorization: Bearer abcdefgh12", "postgres://u:p@h/d",
    "-----BEGIN PRIVATE KEY-----", "eyJhbGciOiJIUzI1NiJ9.e30.x", "API_KEY=abcdef01", "glpat-abcdefghijklmnop",
])  # fmt: skip
def test_a_value_that_looks_like_a_secret_is_one_whatever_its_name(text: str) -> None:
    assert secret("x", text)


@pytest.mark.parametrize(
    "text", ["m1", "https://host:80/x", "$API_KEY", "npm run lint", "TOKEN=$TOKEN cmd", "task-manager"]
)
def test_ordinary_values_are_none(text: str) -> None:
    assert not secret("x", text)


def test_each_part_is_a_line_of_the_policy_with_who_said_so(world: World) -> None:
    layer = {"configuration": {"settings": True, "mcp": ["github"], "secrets": ["a.b"]}}
    lines = [line.split("\t")[:2] for line in describe(world.policy(layer), "full").splitlines()]
    assert [name for word, name in lines if word == "configuration"] == ["settings", "mcp github", "secret a.b"]


@pytest.mark.parametrize(
    "said", [{"mcp": ["*"]}, {"mcp": "github"}, {"settings": "yes"}, {"all": True}, {"mcp": ["a\nb"]}]
)
def test_what_is_no_name_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match="configuration"):
        of(**said)
