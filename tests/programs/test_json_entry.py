"""Installers put our entry into files of other programs: everything else in them stays, and ours can be taken out again."""

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anvilsrv.programs import json_entry as merge
from tests.conftest import ROOT, Home

SERVER = {"command": "anvilmcp", "args": []}
LEAVES = st.none() | st.integers() | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda one: st.lists(one, max_size=2) | st.dictionaries(st.sampled_from("abc"), one), max_leaves=6
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_what_is_there_stays_and_arrays_keep_their_items(tmp_path: Path) -> None:
    path = written(tmp_path / "f.json", {"z": 1, "hooks": {"Stop": [{"command": "mine"}]}, "mcpServers": {"other": {}}})
    assert merge.put(path, ["hooks", "Stop"], [{"command": "ours"}])
    assert merge.put(path, ["mcpServers", "anvillm"], SERVER)
    found = json.loads(path.read_text())
    assert found["hooks"]["Stop"] == [{"command": "mine"}, {"command": "ours"}]
    assert (found["z"], list(found["mcpServers"])) == (1, ["other", "anvillm"])


def test_the_second_time_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "f.json"
    assert merge.put(path, ["hooks", "Stop"], [{"command": "ours"}])
    before = path.stat().st_mtime_ns
    assert not merge.put(path, ["hooks", "Stop"], [{"command": "ours"}])
    assert path.stat().st_mtime_ns == before


def test_the_first_state_is_kept_beside_the_file_with_its_mode(tmp_path: Path) -> None:
    path = written(tmp_path / "f.json", {"first": True})
    path.chmod(0o640)
    merge.put(path, ["a"], 1)
    merge.put(path, ["b"], 2)
    assert json.loads((tmp_path / "f.json.anvillm-backup").read_text()) == {"first": True}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("content", ["{oops", '{"a": 1} // comment', "[1]", '"text"', "\xff"])
def test_a_file_that_cannot_be_parsed_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(merge.Refused, match=r"f\.json"):
        merge.put(path, ["a"], 1)
    assert path.read_bytes() == content.encode("latin-1")
    assert [one.name for one in tmp_path.iterdir()] == ["f.json"]


def test_an_entry_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "f.json", {"mcpServers": []})
    with pytest.raises(merge.Refused, match="mcpServers"):
        merge.put(path, ["mcpServers", "anvillm"], SERVER)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = written(tmp_path / "dotfiles.json", {})
    (tmp_path / "f.json").symlink_to(real)
    merge.put(tmp_path / "f.json", ["a"], 1)
    assert (tmp_path / "f.json").is_symlink()
    assert json.loads(real.read_text()) == {"a": 1}


@settings(deadline=None)  # a busy machine
@given(OBJECTS, OBJECTS)
def test_what_was_put_in_and_taken_out_leaves_every_value_that_was_there(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    try:
        both = merge.merged(old, {"ours": new}, "f")
    except merge.Refused:
        return
    assert (merge.without(both, {"ours": None}) or {}) == old


def run(home: Home, *argv: str) -> "subprocess.CompletedProcess[str]":
    return home.run("sh", *argv)


@pytest.mark.parametrize(
    ("script", "file"),
    [("kiro-cli/install-mcp.sh", ".kiro/settings/mcp.json"), ("claude/install-mcp.sh", ".claude.json")],
)
def test_installers_of_the_mcp_server_merge_and_undo(home: Home, script: str, file: str) -> None:
    path = home.home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    before = {"mcpServers": {"other": {"command": "x", "args": ["1"]}}, "kept": [1, 2]}
    written(path, before)
    for _ in range(2):
        done = run(home, str(ROOT / script))
        assert done.returncode == 0, done.stderr
    assert set(json.loads(path.read_text())["mcpServers"]) == {"other", "anvillm"}
    assert run(home, str(ROOT / script), "--undo").returncode == 0
    assert json.loads(path.read_text()) == before
    path.write_text("{broken")
    refused = run(home, str(ROOT / script))
    assert (refused.returncode, "not JSON" in refused.stderr, path.read_text()) == (1, True, "{broken")


def test_the_hooks_of_kiro_are_installed_in_both_forms_and_undone(home: Home) -> None:
    hooks, agents = home.home / ".kiro/hooks", home.home / ".kiro/agents"
    hooks.mkdir(parents=True)
    written(hooks / "mine.json", {"version": "v1", "hooks": []})
    assert run(home, str(ROOT / "kiro-cli/install-hooks.sh")).returncode == 0
    names = [hook["trigger"] for hook in json.loads((hooks / "anvillm.json").read_text())["hooks"]]
    assert names == ["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop"]
    assert set(json.loads((agents / "anvillm.json").read_text())["hooks"]) == {
        "agentSpawn",
        "userPromptSubmit",
        "postToolUse",
        "stop",
    }
    assert run(home, str(ROOT / "kiro-cli/install-hooks.sh"), "--undo").returncode == 0
    assert [one.name for one in (*hooks.iterdir(), *agents.iterdir())] == ["mine.json"]


@pytest.mark.parametrize("old", [
    b'{\r\n    "a": 1\r\n}\r\n', b'{\n\t"a": 1\n}', b'\xef\xbb\xbf{\r\n  "a": 1\r\n}', b'{\n  "a": 1\n}\n',
])  # fmt: skip
def test_a_file_keeps_its_line_ends_indentation_and_mark(tmp_path: Path, old: bytes) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(old)
    assert merge.put(path, ["b"], {"text": "one\r\ntwo"})
    new = path.read_bytes()
    assert new.count(b"\r\n") == (new.count(b"\n") if b"\r\n" in old else 0)
    assert new.endswith(b"\n") == old.endswith(b"\n")
    assert merge.drop(path, ["b"])
    assert path.read_bytes() == old
