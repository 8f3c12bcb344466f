"""What the user has set up and no layer grants, with the line that grants it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from anvilsrv.backends.lacks import BYTES, MOST, Lack, lines, mentions, programs, servers
from anvilsrv.backends.registry import Backends
from sandbox import layers
from sandbox.configuration import Configuration, united
from tests.backends.files import place

CFG = Path(__file__).parents[2] / "cfg" / "backends"
HOME = "/home/u"


def granted(*tops: str) -> "type[str]":
    return lambda path: "rx" if any(path == top or path.startswith(top + "/") for top in tops) else ""  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("see @~/notes.md and @/srv/x.md.", ["~/notes.md", "/srv/x.md"]),
        ("@../up.md\n- @~/a/b.md", ["../up.md", "~/a/b.md"]),
        ("`@~/code.md` and\n```\n@~/block.md\n```\n", []),
        ("mail me@~/x or @param or @docs/x.md", []),
    ],
)
def test_files_that_instructions_take_in_are_found(tmp_path: Path, text: str, paths: list[str]) -> None:
    file = tmp_path / "CLAUDE.md"
    file.write_text(text)
    assert [one.what for one in mentions(tmp_path, "CLAUDE.md", HOME, granted("/nothing"))] == [
        f"@{path} in {file}" for path in paths
    ]


def test_what_is_granted_is_not_named_and_the_line_is_one_of_a_layer(tmp_path: Path) -> None:
    file = tmp_path / "CLAUDE.md"
    file.write_text("@~/notes.md @~/in/x.md")
    [lack] = mentions(tmp_path, "CLAUDE.md", HOME, granted(f"{HOME}/in"))
    assert lack.line == 'filesystem: {ro: ["{HOME}/notes.md"]}'
    layers.parse("role x", {"filesystem": {"ro": [json.loads(lack.line.split("[")[1].split("]")[0])]}})


def test_the_server_that_install_adds_is_not_missing_since_every_session_has_it() -> None:
    entries = {
        "anvillm": {"command": "/home/u/bin/anvilmcp"},
        "mine": {"command": "/bin/mine"},
        "odd": 1,
        "far": {"url": "x"},
    }
    assert [one.what.split()[2] for one in servers(entries, Configuration(), "f")] == ["mine", "odd", "far"]


def test_what_an_agent_puts_there_instead_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_text("x" * BYTES + " @~/late.md")
    (tmp_path / "dir").mkdir()
    (tmp_path / "other").write_text("@~/secret.md")
    (tmp_path / "link").symlink_to("other")
    for name in ("fifo", "large", "missing", "dir", "link"):
        assert list(mentions(tmp_path, name, HOME, granted())) == []
    text = lines(Lack(f"a\nb\t{n}", "line") for n in range(1000))
    assert len(text.splitlines()) == MOST
    assert all(line.count("\t") == 2 for line in text.splitlines())


def test_programs_of_hooks_are_named_by_their_paths() -> None:
    found = programs(
        iter(["~/bin/guard --x", "$HOME/ok/y", '"/srv/z" 1', "echo hi", ""]), HOME, granted(f"{HOME}/ok"), "s"
    )
    assert [(one.what, one.line) for one in found] == [
        ("hook ~/bin/guard of s", 'filesystem: {rox: ["{HOME}/bin/guard"]}'), ("hook /srv/z of s", 'filesystem: {rox: ["/srv/z"]}'),
    ]  # fmt: skip


SERVERS = {"mine": {"command": "c"}, "other": {"command": "c"}}
FILES = {
    "claude": (".claude.json", json.dumps({"mcpServers": {"mine": {}}, "projects": {"/w": {"mcpServers": {"other": {}}}}})),
    "codex": (".codex/config.toml", '[mcp_servers.mine]\ncommand = "c"\n[mcp_servers.other]\ncommand = "c"\n'),
    "gemini": (".gemini/settings.json", json.dumps({"mcpServers": SERVERS})),
    "opencode": (".config/opencode/opencode.json", json.dumps({"mcp": SERVERS})),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FILES))
def test_servers_that_no_layer_names_are_named(tmp_path: Path, name: str) -> None:
    path, text = FILES[name]
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    seen = united([layers.parse("role x", {"configuration": {"mcp": ["mine"]}})])
    told = Backends(CFG).get(name).lacks(place(home=str(tmp_path), cwd="/w", configuration=seen), granted("/"))
    [line] = told.splitlines()
    assert line.startswith("missing\tMCP server other of ")
    assert line.endswith('\tconfiguration: {mcp: ["other"]}')


def test_a_setting_that_overrules_the_permissions_is_told(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    chosen = {"permissions": {"disableBypassPermissionsMode": "disable"}}
    (tmp_path / ".claude/settings.json").write_text(json.dumps(chosen))
    seen = united([layers.parse("role x", {"configuration": {"settings": True}})])
    backend = Backends(CFG).get("claude")
    at = place(home=str(tmp_path), cwd="/w", configuration=seen)
    assert "disableBypassPermissionsMode" in backend.lacks(at, granted("/"))
    assert backend.lacks(replace(at, permissions="ask"), granted("/")) == ""
