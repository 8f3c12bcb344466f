"""The commands that skills and workflows name are found by an agent, whatever is in the user's PATH."""

import re
import tomllib

from anvilsrv.agents.commands import COMMANDS
from tests.conftest import ROOT, Daemon, some
from tests.session import Session

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
FOR_PEOPLE = {"anvilsrv", "anvillm", "anvilweb", "anvil-sandbox", "anvillm-notify"}  # no agent has these


def test_they_are_the_programs_that_run_inside() -> None:
    inside = {name: where for name, where in SCRIPTS.items() if where.startswith("anvilsrv.inside.")}
    assert {name: f"anvilsrv.inside.{module}:main" for name, module in COMMANDS.items()} == inside


def test_what_skills_name_is_among_them() -> None:
    for path in some((ROOT / "skills").glob("*/SKILL.md")):
        named = set(re.findall(rf"(?<![\w/-])({'|'.join(map(re.escape, SCRIPTS))})(?![\w./-])", path.read_text()))
        assert named <= set(COMMANDS) | FOR_PEOPLE, path


def test_an_agent_finds_and_runs_them_though_the_user_s_path_has_none(stopped_daemon: Daemon) -> None:
    stopped_daemon.home.env["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    agent = Session.new(stopped_daemon.start(), "shell", "alias=me")
    for name in COMMANDS:
        assert agent.ask(f"{name} --version").startswith(f"{name} "), name
    assert agent.id in agent.ask("anvil9p read agent/list")
    assert "beads" in agent.ask("anvillm-skills list")
    assert "Beads" in agent.ask("anvillm-skills load beads")
    assert agent.ask("9p-read-inbox") == "no messages\nexit 1\n"


def test_an_agent_finds_them_in_a_namespace_with_a_colon_as_the_default_is(stopped_daemon: Daemon) -> None:
    home = stopped_daemon.home
    home.namespace = home.top / "ns.me.:0"
    home.namespace.mkdir(mode=0o700)
    home.env |= {"NAMESPACE": str(home.namespace), "PATH": "/usr/local/bin:/usr/bin:/bin"}
    agent = Session.new(stopped_daemon.start(), "shell", "alias=me")
    for name in COMMANDS:
        assert agent.ask(f"{name} --version").startswith(f"{name} "), name


def test_what_the_user_has_installed_comes_first(stopped_daemon: Daemon) -> None:
    home = stopped_daemon.home
    (home.work / "bin").mkdir()
    (home.work / "bin/anvil9p").write_text("#!/bin/sh\necho mine\n")
    (home.work / "bin/anvil9p").chmod(0o755)
    home.env["PATH"] = f"{home.work}/bin:/usr/bin:/bin"
    agent = Session.new(stopped_daemon.start(), "shell")
    assert agent.ask("anvil9p") == "mine\n"
    assert not agent.ask("echo x >$(dirname $(command -v anvillm-skills))/anvil9p 2>&1").startswith("x")
