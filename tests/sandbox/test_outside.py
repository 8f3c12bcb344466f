"""What is started outside of the sandbox is nobody's but the user's and the system's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anvilsrv.front import program
from sandbox import outside
from sandbox.written import Written
from tests.conftest import Home


@pytest.fixture
def user(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Whose PATH has, before all others, a directory where an agent worked, one of everybody's, and two relative ones."""
    for name in ("bin", "everybody", "relative", "project/bin"):
        (home.top / name).mkdir(parents=True)
    (home.top / "everybody").chmod(0o1777)
    monkeypatch.chdir(home.top / "relative")
    entries = [
        home.top / "project/bin",
        home.top / "everybody",
        ".",
        "../relative",
        home.top / "bin",
        "/usr/bin",
        "/bin",
    ]
    for name, value in {**home.env, "PATH": ":".join(map(str, entries))}.items():
        monkeypatch.setenv(name, value)
    Written.of(os.environ).add([str(home.top / "project")])
    return home


def put(path: Path, text: str = "#!/bin/sh\necho planted\n") -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_program_is_found_only_where_no_agent_and_not_everybody_can_write(user: Home) -> None:
    for name in ("project/bin", "everybody", "relative"):
        put(user.top / name / "tool")
    assert outside.which("tool") is None
    assert outside.search() == [str(user.top / "bin"), "/usr/bin", "/bin"]
    mine = put(user.top / "bin/tool")
    assert outside.which("tool") == str(mine)
    mine.unlink()
    mine.symlink_to(user.top / "project/bin/tool")
    assert outside.which("tool") is None, "a link to what an agent may have changed"
    assert outside.environment()["PATH"] == f"{user.top}/bin:/usr/bin:/bin"


def test_if_it_is_unknown_where_agents_wrote_only_the_systems_programs_are_started(user: Home) -> None:
    path = Written.of(os.environ).path
    path.unlink()
    path.mkdir()
    put(user.top / "bin/tool")
    assert (outside.which("tool"), outside.which("sh") is not None) == (None, True)


def test_the_daemons_program_is_neither_planted_nor_imported_from_the_current_directory(user: Home) -> None:
    """As the terminal's key for the daemon runs it."""
    for name in ("project/bin", "everybody", "relative"):
        put(user.top / name / "anvilsrv.sh")
        put(user.top / name / "anvilsrv")
    (user.top / "relative/anvilsrv").unlink()
    package = user.top / "relative/anvilsrv"
    (package / "programs").mkdir(parents=True)
    for path in (package / "__init__.py", package / "programs/__init__.py", package / "programs/cli.py"):
        path.write_text("print('planted')\n")
    assert program.anvilsrv("status")[1].startswith("anvilsrv is not running in")
    done = subprocess.run(outside.python("anvilsrv.programs.cli", "--version"), capture_output=True, text=True)
    assert done.stdout.startswith("anvilsrv ")
    plain = subprocess.run([sys.executable, "-m", "anvilsrv.programs.cli"], capture_output=True, text=True)
    assert plain.stdout == "planted\n" * 3, "the trap works"
