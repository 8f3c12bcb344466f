"""Manual pages: every program, option, file and example, compared with the programs themselves."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from anvilsrv import __version__
from anvilsrv.activity.fields import Word
from anvilsrv.activity.schema import KINDS
from anvilsrv.tree import table
from tests.conftest import ROOT, Daemon, Home, some
from tests.docs.examples import NEVER, flat, manual, shell_path
from tests.session import Session

MAN = ROOT / "man"
PAGES = sorted(path for path in MAN.iterdir() if not path.read_text().startswith(".so"))  # those lead to another
TREE = MAN / "anvilsrv.4"
PROGRAMS = Path(sys.prefix) / "bin"
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
COMMANDS = {"anvilsrv": 1, "anvil-sandbox": 1}  # those with commands that have a --help of their own
SILENT = ("anvillm-hook",)  # says nothing but what a hook has to say


def page(program: str) -> Path:
    """Return the page, also where that only leads to another."""
    found = MAN / f"{program}.1"
    leads = re.match(r"\.so man1/(\S+)", found.read_text())
    return MAN / leads[1] if leads else found


def programs() -> list[str]:
    """Return everything that a user can type."""
    acme = [path.name for path in (ROOT / "acme").iterdir() if path.is_file() and "." not in path.name]
    return sorted([*SCRIPTS, *acme, *(path.name for path in (ROOT / "bin").iterdir())])


@pytest.mark.parametrize("program", programs())
def test_every_program_has_a_page_that_names_it(program: str) -> None:
    assert (MAN / f"{program}.1").exists()
    name = page(program).read_text().partition("SYNOPSIS")[0]
    assert re.search(rf"^(\.Nm )?([\w-]+, )*{re.escape(program)}\b", name.replace("\\-", "-"), re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_apropos_anvillm_finds_the_page(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(".so ") or "anvillm" in text.lower().partition(".sh description")[0].partition(".sh name")[2]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_are_well_formed(path: Path) -> None:
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc")
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path.name], capture_output=True, text=True, cwd=MAN)
    assert not done.stdout + done.stderr


def help_of(home: Home, *argv: str) -> str:
    done = home.run(str(PROGRAMS / argv[0]), *argv[1:], "--help")
    return done.stdout + done.stderr  # usage of anvil9p goes where that of 9p goes


@pytest.mark.parametrize("program", sorted(set(SCRIPTS) - set(SILENT)))
def test_every_option_and_command_of_help_is_in_the_page(program: str, home: Home) -> None:
    words = flat(page(program))
    text = help_of(home, program)
    assert "usage" in text.lower()
    if program in COMMANDS:
        listed = text.partition("ommands:\n")[2]
        commands = re.findall(r"^ {2,4}([a-z]+) ", listed, re.MULTILINE)
        assert commands
        for command in commands:
            assert re.search(rf"\b{command}\b", words), command
            text += help_of(home, program, command)
    for option in set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", text)) - {"-h", "--help", "--version"}:
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", words) or bundled(option, words), f"{program} {option}"


def bundled(option: str, words: str) -> bool:
    """Return whether it is one letter of a bundle, as -n in ``ls -dlnt``."""
    letter = re.fullmatch(r"-(\w+)", option)
    return bool(letter) and all(re.search(rf"(?<![\w-])-\w*{one}\w*", words) for one in letter[1])


# -- the tree ------------------------------------------------------------------------------------------------------------


def section(title: str) -> str:
    """Return a subsection of anvilsrv(4)."""
    return re.split(r"^\.S[sh] ", TREE.read_text().partition(f".Ss {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def files(title: str) -> set[str]:
    """Return the files that a subsection of anvilsrv(4) lists."""
    return {name.rstrip("/") for name in re.findall(r"^\.It Pa (\S+)", section(title), re.MULTILINE)}


TABLES = {"root": table.ROOT, "session": table.SESSION, "user": table.MAILBOX, "beads": table.BEADS, "bead": table.BEAD,
          "turns": table.TURNS, "turn": table.TURN}  # fmt: skip


def test_the_page_of_the_tree_lists_every_file_and_no_other() -> None:
    tree = {where: set(rows.names) for where, rows in TABLES.items()}
    assert files("The root") == tree["root"]
    assert files("A session") == tree["session"]
    listed = files("Beads")
    assert {name.removeprefix("beads/") for name in listed} - {"<bead-id>"} == tree["beads"]
    of_a_bead = section("Beads").partition("<bead-id>/\n")[2].partition("\n")[0]
    assert set(re.findall(r"[a-z]+", of_a_bead.removeprefix(".Pa"))) == tree["bead"]
    turns = section("A session").partition(".It Pa turns/\n")[2].partition(".It")[0]
    assert set(re.findall(r"^\.Pa (list)$", turns, re.MULTILINE)) == tree["turns"]
    assert set(re.findall(r"^\.Pa <n>/(\w+)", turns, re.MULTILINE)) == tree["turn"]
    user = section("The root").partition(".It Pa user/\n")[2].partition(".It")[0]
    assert set(re.findall(r"^\.Pa (\w+)", user, re.MULTILINE)) == tree["user"]


def test_the_page_of_the_tree_has_every_kind_of_activity_with_its_fields_and_words() -> None:
    listed = dict(re.findall(r"^\.It Li (\w+)\n((?:(?!\.It|\.El).*\n)*)", section("Activity"), re.MULTILINE))
    assert {name: set(re.findall(r"^\.Li (\w+)", text, re.MULTILINE)) for name, text in listed.items()} == {
        name: set(kind.fields) for name, kind in KINDS.items()
    }
    told = re.findall(r"^\.Li (\w+)\nof\n\.Li (\w+)\nis one of\n\.Li (.*) \.$", section("Activity"), re.MULTILINE)
    assert {(kind, name): tuple(words.split()) for name, kind, words in told} == {
        (kind, name): field.words
        for kind, row in KINDS.items()
        for name, field in row.fields.items()
        if isinstance(field, Word)
    }


def test_the_page_of_the_tree_names_what_stands_for_many_files() -> None:
    shown = {"events.<seq>": ".Pa events . Ns Ar seq", "<id>": ".Pa <id>/", "<bead-id>": ".It Pa beads/<bead-id>/",
             "<n>": ".Pa <n>/prompt", "activity.<seq>": ".Pa activity . Ns Ar seq"}  # fmt: skip
    assert {row.name for rows in TABLES.values() for row in rows.rows if row.many} == set(shown)
    for macros in shown.values():
        assert macros in TREE.read_text()


def test_the_picture_of_the_tree_in_readme_has_every_file() -> None:
    picture = (ROOT / "README.md").read_text().partition("\nagent/\n")[2].partition("```")[0]
    for rows in TABLES.values():
        for name in rows.names:
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", picture), name


# -- examples ------------------------------------------------------------------------------------------------------------


def test_every_example_in_a_page_says_whether_it_is_run() -> None:
    for block in some(block for path in PAGES for block in manual(path)):
        assert {"run", "data"} & set(block.words) or block.options.get("needs") in NEVER, (block.where, block.text)


@pytest.mark.slow(6)
def test_the_examples_of_the_pages_run(daemon: Daemon) -> None:
    """Names in them stand for a session, a bead and files that are there."""
    home, client = daemon.home, daemon.client()
    work = home.work / "files"
    (work / "src").mkdir(parents=True)
    (work / "src/main.c").touch()
    (work / "fetch.py").touch()
    (work / "package.json").write_text('{"scripts": {"test": "true"}}')
    (home.home / "data").mkdir()
    session = Session.new(daemon, cwd=work).id
    bead = client.write_read("beads/ctl", b"new 'a bead'\n").decode().strip()
    env = home.env | {"PATH": shell_path(home.top, PROGRAMS)}
    for block in some(block for path in PAGES for block in manual(path) if block.runs):
        text = block.text.replace("a3f2b9d1", session).replace("bd-a1b", bead)
        text = text.replace("new claude /project", f"new shell {work}").replace("~/data", str(home.home / "data"))
        limit = ["timeout", "-s", "INT", block.options["timeout"]] if "timeout" in block.options else []
        done = home.run(*limit, "sh", "-ec", text, env=env, cwd=work, stdin=subprocess.DEVNULL)
        assert done.returncode in ((0, 124) if limit else (0,)), f"{block.where}: {text}\n{done.stdout}{done.stderr}"


# -- what is around it ---------------------------------------------------------------------------------------------------


def documents() -> list[Path]:
    """Return the pages that people read in a browser."""
    places = ("*.md", "docs/**/*.md", "services/*/*.md", "kiro-cli/*.md", "claude/*.md")
    return sorted(path for place in places for path in ROOT.glob(place))


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|mailto:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_every_page_and_picture_is_small_and_used() -> None:
    readme = (ROOT / "README.md").read_text()
    for picture in some((ROOT / "docs").glob("*.[ps][nv]g")):
        assert picture.stat().st_size < 150_000, picture
        assert f"docs/{picture.name}" in readme, picture


def test_the_changelog_begins_with_the_current_version() -> None:
    found = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found and found[1].strip("[]") == __version__


def test_see_also_names_pages_that_exist() -> None:
    ours = {path.name for path in PAGES}
    reference = r"\b(anvil[\w-]*|Assist|Alog|9p-read-inbox|beads) ?\(?([147])\)?"
    found = some((path.name, *one) for path in PAGES for one in re.findall(reference, plain_refs(path)))
    assert [one for one in found if f"{one[1]}.{one[2]}" not in ours] == []


def plain_refs(path: Path) -> str:
    """Return the references of a page to others."""
    return "\n".join(re.findall(r"^\.(?:Xr|IR) (.*)$", path.read_text().replace("\\-", "-"), re.MULTILINE))
