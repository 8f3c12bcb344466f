"""Names in braces: in commands, files and the environment."""

from pathlib import Path

import pytest
import yaml

from tests.backends.files import MINIMAL, load, place


def test_templates_are_expanded_in_commands_files_and_environment(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    backend = load(
        top,
        MINIMAL
        + r"""
  resume: [prog, --resume, "{CONVERSATION}", "{PERMISSIONS}", "x{CWD}y"]
  conversation: uuid
  permissions: {bypass: [--yes, --all], ask: []}
  env: {TOKEN: "{ENV:TOKEN}", NONE: "{ENV:NOT_THERE}", WHERE: "{DATA}/c"}
  files:
    "settings.json": {hooks: {Stop: [{command: "{HOOK} Stop", n: 1}]}, args: ["a", "{MCP_ARGS}"], "{ID}": true}
    plain.txt: "id {ID} {not this} ${{HOME}}\n"
  data:
    conf/a.json: {x: "{CWD}"}
    link: {link: "{HOME}/.conf"}
""",
    )
    made = backend.launch(place(conversation="c-1", mcp=["m", "1", "2"], cwd="/w d"), resume=True)
    assert made.argv == ["prog", "--resume", "c-1", "--yes", "--all", "x/w dy"]
    assert made.env == {"TOKEN": "secret", "NONE": "", "WHERE": "/d/c"}
    settings = yaml.safe_load(made.files["settings.json"])
    assert settings["hooks"]["Stop"][0]["command"].endswith("anvilsrv/inside/hook.py Stop")
    assert (settings["args"], settings["ab12cd34"]) == (["a", "1", "2"], True)
    assert made.files["plain.txt"] == "id ab12cd34 {not this} ${/h}\n"
    assert made.data == {"conf/a.json": '{\n  "x": "/w d"\n}\n', "link": {"link": "/h/.conf"}}
    assert backend.launch(place(), resume=True).argv == ["prog", "ab12cd34"]
    assert "--yes" not in backend.launch(place(conversation="c", permissions="ask"), resume=True).argv
