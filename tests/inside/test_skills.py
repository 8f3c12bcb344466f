"""`anvillm-skills` finds skills, says what is wrong with one, and what ships with the program is in order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from anvilsrv.errors import Invalid, NotFound
from anvilsrv.inside import skills
from anvilsrv.inside.mcpserver import TOOLS
from tests.conftest import ROOT, Home

SHIPPED = ["9p-scripting", "acme-api", "anvillm-communication", "beads", "write-skills"]
GOOD = "---\nname: {name}\ndescription: {description}\n---\n# Title\ntext\n"


def put(folder: Path, name: str, text: str = "", description: str = "What it is for.") -> Path:
    file = folder / name / "SKILL.md"
    file.parent.mkdir(parents=True)
    file.write_text(text or GOOD.format(name=name, description=description))
    return file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANVILLM_SKILLS_DIR", str(tmp_path))
    return tmp_path


def program(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    return home.run(sys.executable, "-c", "from anvilsrv.inside.skills import main; main()", *words)


def test_the_skills_that_ship_are_all_readable(home: Home) -> None:
    done = program(home, "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == SHIPPED
    assert all(len(line.split("\t")[1]) > 40 for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_skill_is_loaded_without_its_front_matter(home: Home, name: str) -> None:
    done = program(home, "load", name)
    assert done.returncode == 0
    assert done.stdout.startswith("# ")
    assert len(done.stdout.splitlines()) < 200


@pytest.mark.parametrize("name", SHIPPED)
def test_what_the_skills_say_of_tools_and_commands_is_so(name: str) -> None:
    """Tools named in a skill exist; so do the commands of beads."""
    from anvilsrv.beads.commands import COMMANDS

    text = (ROOT / "skills" / name / "SKILL.md").read_text()
    named = set(re.findall(r"`((?:bead|beads|read|send|list|ask|set)_[a-z_]+)`", text))
    assert named <= set(TOOLS)
    assert named or name not in ("anvillm-communication", "beads")
    if name == "beads":
        for command in COMMANDS.keys() - {"init", "import", "export"}:
            assert f"`{command} " in text[text.index("| command |") :], command


def test_the_users_directory_comes_before_what_ships(home: Home) -> None:
    put(home.config / "skills", "beads", description="Mine.")
    put(home.config / "skills", "own")
    lines = dict(line.split("\t") for line in program(home, "list").stdout.splitlines())
    assert lines["beads"] == "Mine."
    assert set(lines) == {*SHIPPED, "own"}


def test_the_variable_names_directories_and_an_empty_part_the_usual_ones(home: Home, tmp_path: Path) -> None:
    put(tmp_path / "a", "one")
    put(tmp_path / "b", "one", description="Hidden.")
    put(tmp_path / "b", "two")
    home.env["ANVILLM_SKILLS_DIR"] = f"{tmp_path / 'a'}:{tmp_path / 'b'}:{tmp_path / 'none'}"
    assert program(home, "list").stdout == "one\tWhat it is for.\ntwo\tWhat it is for.\n"
    home.env["ANVILLM_SKILLS_DIR"] += ":"
    assert len(program(home, "list").stdout.splitlines()) == 2 + len(SHIPPED)


def test_front_matter_is_read_as_yaml(folder: Path) -> None:
    text = "\ufeff---\r\nname: quoted\r\ndescription: >\r\n  folded: with\r\n  a colon\r\nmore: [1]\r\n---\r\n\r\nBody\r\n---\r\n"
    put(folder, "quoted", text)
    found = skills.load("quoted")
    assert found.description == "folded: with a colon"
    assert found.text.replace("\r", "") == "Body\n---\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# no front matter\n", "no front matter"),
        ("---\nname: bad\n", "no front matter"),
        ("---\nname: bad\n---\n", "without a description"),
        ("---\nname: bad\ndescription: [1]\n---\n", "without a description"),
        ("---\nname: other\ndescription: x\n---\n", "must be the name of its directory"),
        ("---\nname: bad\ndescription: a: b: c\n---\n", "mapping values"),
        ("---\n- a\n---\n", "without a description"),
    ],
)
def test_a_broken_skill_is_named_and_the_others_are_listed(folder: Path, home: Home, text: str, why: str) -> None:
    file = put(folder, "bad", text)
    put(folder, "good")
    with pytest.raises(Invalid, match=f"^{file}: .*{why}"):
        skills.load("bad")
    home.env["ANVILLM_SKILLS_DIR"] = str(folder)
    done = program(home, "list")
    assert done.stdout == "good\tWhat it is for.\n"
    assert str(file) in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["nothing", "../beads", "", "/etc"])
def test_an_unknown_skill_is_refused_with_those_that_there_are(folder: Path, name: str) -> None:
    put(folder, "good")
    with pytest.raises(NotFound, match=f"^no such skill '{name}': good$"):
        skills.load(name)


def test_files_beside_the_text_are_named(home: Home, folder: Path) -> None:
    put(folder, "good").with_name("template.sh").write_text("")
    home.env["ANVILLM_SKILLS_DIR"] = str(folder)
    assert program(home, "load", "good").stdout.endswith(f"\nMore in {folder / 'good'}: template.sh\n")


@pytest.mark.parametrize(
    ("words", "status"), [([], 2), (["load"], 2), (["steal"], 2), (["--help"], 0), (["load", "no"], 1)]
)
def test_the_exit_status_says_what_was_wrong(home: Home, words: list[str], status: int) -> None:
    done = program(home, *words)
    assert done.returncode == status
    assert done.stdout + done.stderr
