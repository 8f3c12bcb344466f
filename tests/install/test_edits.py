"""What an installation adds to files of other programs, and how it takes that away: the agents' configuration, the plumber's rules."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from installer import agents, plumbing
from installer.edits import undo
from installer.layout import Layout, Refused, run
from installer.record import Record, forget, sweep
from tests.conftest import ROOT, Home
from tests.install.conftest import listing

# As Claude Code, Kiro and a person leave them: formatted in their own way, with things that nobody else knows.
CLAUDE = '{"numStartups":7,\n  "mcpServers": {"mine": {"command": "mine"}},  "projects": {"/home/me": {"x": "ä"}}}'
KIRO = '{\n\t"mcpServers": {}\n}\n'
RULES = "# mine\neditor = acme\n\ntype is text\nplumb to mine\n\ninclude basic\ninclude fileaddr\n"


class Place:
    """An installed program in a home, as far as these parts look at it."""

    def __init__(self, home: Home) -> None:
        self.home = home.home
        self.layout = Layout(None)
        share = self.layout.env / "share"
        share.mkdir(parents=True)
        (share / "anvillm").symlink_to(ROOT)
        self.before = self.now()

    @property
    def record(self) -> Record:
        return Record(self.layout.home / "installed.json")

    def own(self, folder: str) -> Path:
        """Return a copy of a folder of the program, for a test that changes it."""
        share = self.layout.env / "share/anvillm"
        share.unlink()
        share.mkdir()
        for path in ROOT.iterdir():
            if path.name != folder:
                (share / path.name).symlink_to(path)
        return Path(shutil.copytree(ROOT / folder, share / folder))

    def now(self) -> dict[str, str]:
        found = listing(self.home)
        return {name: what for name, what in found.items() if "/share/anvillm" not in f"/{name}"}

    def install(self) -> None:
        record = self.record
        agents.add(self.layout, record)
        plumbing.add(self.layout, record)
        record.save()

    def uninstall(self) -> None:
        record = self.record
        for path in list(record.merged):
            undo(record, path, self.drop)
        for path in list(record.beside):
            forget(Path(path), record.beside)
        sweep(record)

    def drop(self, by: str, path: Path) -> None:
        plumbing.drop(self.layout, path) if by == plumbing.BY else agents.drop(self.layout, by, path)

    def put(self, name: str, text: str) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.before = self.now()
        return path


@pytest.fixture
def place(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    for name in ("CLAUDE_CONFIG_DIR", "KIRO_HOME", "KIRO_SETTINGS", "PLAN9", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    tools = tmp_path / "bin"  # none of the agents, and no plan9port
    tools.mkdir()
    for tool in ("sh", "dirname", "rm", "python3", "env"):
        (tools / tool).symlink_to(
            next(p for p in map(Path, ("/bin", "/usr/bin", "/usr/local/bin")) if (p / tool).exists()) / tool
        )
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("HOME", str(home.home))
    return Place(home)


def servers(path: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(path.read_text())["mcpServers"]
    return found


def test_where_no_agent_and_no_plumber_is_nothing_is_made(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.install()
    assert place.now() == place.before
    assert capsys.readouterr().out == ""


def test_each_agent_that_is_here_gets_an_entry_and_its_file_back_to_the_byte(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    claude = place.put(".claude.json", CLAUDE)
    kiro = place.put(".kiro/settings/mcp.json", KIRO)
    rules = place.put("lib/plumbing", RULES)
    (place.home / ".config/Claude").mkdir(parents=True)
    claude.chmod(0o600)
    place.before = place.now()

    place.install()
    desktop = place.home / ".config/Claude/claude_desktop_config.json"
    assert set(servers(claude)) == {"mine", "anvillm"}
    assert set(servers(kiro)) == set(servers(desktop)) == {"anvillm"}
    assert os.access(str(servers(claude)["anvillm"]["command"]), os.X_OK)
    assert json.loads(claude.read_text())["projects"] == {"/home/me": {"x": "ä"}}
    hooks = json.loads((place.home / ".kiro/agents/anvillm.json").read_text())["hooks"]
    assert str(ROOT / "anvilsrv/hook.py") in hooks["stop"][0]["command"]
    lines = rules.read_text().splitlines()
    assert lines[5:9] == ["", f"include {place.layout.env}/share/anvillm/acme/anvil.plumbing", "", "include basic"]
    assert [path.stat().st_mode & 0o777 for path in (claude, claude.with_name(".claude.json.anvillm-backup"))] == [
        0o600
    ] * 2
    said = capsys.readouterr().out
    for path in (claude, desktop, kiro, rules, place.home / ".kiro/hooks/anvillm.json"):
        assert f"added to {path}\n" in said or f"added to {path} (a new file)\n" in said
    assert f"as it was before: {claude}.anvillm-backup" in said and "--no-agents" in said and "--no-plumbing" in said

    once = place.now()
    place.install()
    assert place.now() == once
    assert capsys.readouterr().out == "", "said once"
    place.uninstall()
    assert place.now() == place.before
    assert claude.stat().st_mode & 0o777 == 0o600


def change_claude(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"numStartups": 8}))


def change_rules(path: Path) -> None:
    path.write_text(path.read_text() + "include more\n")


@pytest.mark.parametrize(
    ("name", "text", "change", "left"),
    [
        (".claude.json", CLAUDE, change_claude, json.loads(CLAUDE) | {"numStartups": 8}),
        ("lib/plumbing", RULES, change_rules, RULES + "include more\n"),
    ],
)
def test_from_a_file_that_was_changed_since_only_what_was_added_goes(
    place: Place, name: str, text: str, change: Callable[[Path], None], left: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place.put(name, text)
    place.install()
    change(path)
    place.uninstall()
    found = path.read_text()
    assert (json.loads(found) if name.endswith("json") else found) == left
    assert set(place.now()) == set(place.before), "no copy stays behind"
    assert f"only what was added is taken out: {path}" in capsys.readouterr().out


def test_a_hook_file_that_the_user_changed_stays(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.home / ".kiro").mkdir()
    place.install()
    path = place.home / ".kiro/agents/anvillm.json"
    path.write_text("{}")
    place.uninstall()
    assert path.read_text() == "{}"
    assert not (place.home / ".kiro/hooks").exists() and not (place.home / ".kiro/settings").exists()
    assert f"could not take our entry out of {path}" in capsys.readouterr().out


def test_at_an_upgrade_a_hook_file_that_the_user_changed_stays_and_the_new_one_is_put_beside(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    agents, hooks = (place.home / ".kiro" / one / "anvillm.json" for one in ("agents", "hooks"))
    agents.parent.parent.mkdir()
    script = place.own("kiro-cli") / "hooks.py"
    place.install()
    changed = agents.read_text().replace('"tools"', '"model": "mine", "tools"')
    agents.write_text(changed)
    place.install()
    assert not agents.with_name("anvillm.json.new").exists(), "there is no new version"
    script.write_text(script.read_text().replace("an agent of AnviLLM", "its next version").replace('"v1"', '"v2"'))
    place.install()
    beside = agents.with_name("anvillm.json.new")
    assert (agents.read_text(), '"its next version"' in beside.read_text()) == (changed, True)
    assert json.loads(hooks.read_text())["version"] == "v2"
    assert (
        capsys.readouterr().out.count(f"changed by you, left as it is: {agents}\n    the new version is {beside}") == 1
    )
    place.install()
    assert capsys.readouterr().out == "", "said once"
    place.uninstall()
    assert (agents.read_text(), beside.exists(), hooks.exists()) == (changed, False, False)


def test_the_installer_of_kiro_s_hooks_overwrites_nothing_by_itself(tmp_path: Path) -> None:
    env = {**os.environ, "KIRO_HOME": str(tmp_path)}
    run = partial(
        subprocess.run, ["sh", str(ROOT / "kiro-cli/install-hooks.sh")], env=env, check=True, capture_output=True
    )
    run()
    path = tmp_path / "agents/anvillm.json"
    made = path.read_text()
    path.write_text("{}")
    run()
    assert (path.read_text(), path.with_name("anvillm.json.new").read_text()) == ("{}", made)


def test_an_entry_of_the_user_s_own_is_left_alone(place: Place) -> None:
    own = '{"mcpServers": {"anvillm": {"command": "/opt/mine"}}}'
    place.put(".claude.json", own)
    place.put(".kiro/agents/anvillm.json", "{}")
    place.put("lib/plumbing", f"include {place.home}/my/anvil.plumbing\n")
    place.install()
    place.uninstall()
    assert {**place.now(), **place.before} == place.now()
    assert (place.home / ".claude.json").read_text() == own


def test_an_entry_that_the_user_took_out_stays_out(place: Place) -> None:
    path, rules = place.put(".claude.json", CLAUDE), place.put("lib/plumbing", RULES)
    place.install()
    path.write_text(CLAUDE)
    rules.write_text(RULES)
    place.install()
    assert (path.read_text(), rules.read_text()) == (CLAUDE, RULES)
    place.uninstall()
    assert json.loads(path.read_text()) == json.loads(CLAUDE)
    assert rules.read_text() == RULES


def test_a_file_that_is_no_json_is_left_as_it_is_and_the_others_are_done(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place.put(".claude.json", "{oops")
    kiro = place.put(".kiro/settings/mcp.json", KIRO)
    place.install()
    assert path.read_text() == "{oops" and not path.with_name(".claude.json.anvillm-backup").exists()
    assert "anvillm" in servers(kiro)
    assert "is not JSON" in capsys.readouterr().out
    place.uninstall()
    assert place.now() == place.before


def test_a_file_that_is_a_link_stays_one(place: Place) -> None:
    dotfile = place.put("dotfiles/plumbing", RULES)
    (place.home / "lib").mkdir()
    (place.home / "lib/plumbing").symlink_to(dotfile)
    place.before = place.now()
    place.install()
    assert (place.home / "lib/plumbing").is_symlink()
    assert "anvil.plumbing" in dotfile.read_text()
    place.uninstall()
    assert place.now() == place.before


def test_a_plan9port_without_rules_of_the_user_gets_ours_before_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan9 = place.put("plan9/plumb/initial.plumbing", "include basic\n").parent.parent
    monkeypatch.setenv("PLAN9", str(plan9))
    place.install()
    rules = (place.home / "lib/plumbing").read_text()
    assert rules == f"include {place.layout.env}/share/anvillm/acme/anvil.plumbing\n\ninclude initial.plumbing\n"
    place.uninstall()
    assert place.now() == place.before


def test_a_path_with_a_blank_is_quoted_for_the_plumber(place: Place) -> None:
    place.layout.home = Path("/home/jo doe/it's")
    assert plumbing.line(place.layout) == b"include '/home/jo doe/it''s/env/share/anvillm/acme/anvil.plumbing'\n"


def test_the_plumber_s_rules_keep_their_line_ends() -> None:
    rules = b"# mine\r\ninclude basic\r\n"
    made = plumbing.with_line(rules, b"include ours\n")
    assert made == b"# mine\r\ninclude ours\r\n\r\ninclude basic\r\n"


def test_without_a_network_a_sentence_is_printed_and_not_a_screen_of_pip(tmp_path: Path) -> None:
    program = tmp_path / "pip"
    program.write_text(
        "#!/bin/sh\necho Retrying after NewConnectionError: Temporary failure in name resolution >&2\nexit 1\n"
    )
    program.chmod(0o755)
    with pytest.raises(Refused) as refused:
        run(str(program), "install")
    assert str(refused.value).startswith(f"no network: {program} install cannot reach")
    assert "Retrying" not in str(refused.value)
