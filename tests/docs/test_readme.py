"""README and the pages of docs/ are run from top to bottom, each in a fresh home, as a new user with a clone would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Home, some
from tests.docs.examples import NEVER, SHELLS, Block, markdown, pattern, shell_path

README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINES = 350  # of README: the rest is reference, and belongs into docs/ and man/
PROGRAMS = Path(sys.prefix) / "bin"
WAIT = 60.0  # s for one command


class Reader:
    """A user who does what a page says."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.checkout = home.work / "anvillm"
        self.replaced = {
            "/tmp/ns.$USER.": f"{home.top}/ns.",
            "/home/me/anvillm": str(self.checkout),
            "/home/me": str(home.home),
            "/tmp/ns.me.:0": str(home.namespace),
        }
        self._clone()
        self.env = home.env | {"PATH": shell_path(home.top, PROGRAMS)}

    def _clone(self) -> None:
        """Make a working tree whose environment is there already, so that nothing is fetched."""
        self.checkout.mkdir()
        for one in ROOT.iterdir():
            if one.name not in (".venv", ".git", "pyproject.toml"):
                (self.checkout / one.name).symlink_to(one)
        (self.checkout / ".venv").mkdir()
        for one in Path(sys.prefix).iterdir():
            if one.name not in ("installed", "tested"):
                (self.checkout / ".venv" / one.name).symlink_to(one)
        shutil.copy(ROOT / "pyproject.toml", self.checkout / "pyproject.toml")
        os.utime(self.checkout / "pyproject.toml", (0, 0))
        (self.checkout / ".venv/installed").touch()

    def here(self, text: str) -> str:
        """Return the text with the places of this machine."""
        for shown, real in self.replaced.items():
            text = text.replace(shown, real)
        return text

    def argv(self, words: list[str]) -> list[str]:
        """Return what runs a command where the reader is."""
        return ["env", "-C", str(self.checkout), *words]

    def run(self, script: str, block: Block) -> "subprocess.CompletedProcess[str]":
        words = ["sh", "-ec", self.here(script)]
        if "timeout" in block.options:
            words = ["timeout", "-s", "INT", block.options["timeout"], *words]
        try:
            return subprocess.run(
                self.argv(words), env=self.env, text=True, timeout=WAIT,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{block.where}: {script!r} does not end: {error.output!r}") from None

    def do(self, block: Block) -> None:
        if "file" in block.options:
            path = Path(block.options["file"].replace("~", str(self.home.home)))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.runs and block.language == "sh":
            done = self.run(block.text, block)
            assert done.returncode == 0, f"{block.where}: {done.stdout}"
        elif block.runs:
            for command, shown in block.commands():
                printed = re.sub(r"\x1b\[\d*m", "", self.run(command, block).stdout)
                printed = re.sub(r"^anvil9p: ", "9p: ", printed, flags=re.MULTILINE)
                wanted = pattern(self.here(shown)) if shown.strip() else ""
                assert re.fullmatch(wanted, printed.rstrip() + "\n" if printed.strip() else ""), (
                    f"{block.where}: $ {command}\nprints\n{printed}\nand not\n{shown}"
                )

    def close(self) -> None:
        self.run("anvilsrv stop || :", Block("end", "sh", [], ""))
        tmux = self.home.namespace / "anvillm.tmux"
        subprocess.run(["tmux", "-S", str(tmux), "kill-server"], capture_output=True, check=False)


@pytest.mark.slow(12)
def test_everything_that_readme_shows_happens(home: Home) -> None:
    reader = Reader(home)
    try:
        for block in some(markdown(README)):
            reader.do(block)
    finally:
        reader.close()


@pytest.mark.slow(6)
@pytest.mark.parametrize(
    "page", [one for one in PAGES if any(block.runs for block in markdown(one))], ids=lambda page: page.stem
)
def test_everything_that_a_page_shows_happens_where_a_daemon_runs(page: Path, home: Home) -> None:
    reader = Reader(home)
    try:
        reader.do(Block(page.name, "sh", ["run"], "anvilsrv start"))
        for block in markdown(page):
            reader.do(block)
    finally:
        reader.close()


def test_readme_is_short() -> None:
    assert README.read_text().count("\n") < LINES


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_every_command_in_a_page_is_run_or_says_what_it_needs(page: Path) -> None:
    for block in [block for block in markdown(page) if block.language in SHELLS]:
        assert "run" in block.words or block.options.get("needs") in NEVER, block.where
        if block.language == "console":
            assert list(block.commands()), block.where


def test_the_two_commands_come_first() -> None:
    commands = [c for block in markdown(README) if block.language == "console" for c, _ in block.commands()]
    assert commands[0] == "./quickstart"
    assert "./check" in README.read_text().partition("## Installation")[0]


@pytest.mark.skipif(not shutil.which("emacs"), reason="no emacs")
def test_the_lines_for_emacs_load_the_package(home: Home) -> None:
    (block,) = [block for block in markdown(README) if block.language == "elisp"]
    done = home.run("emacs", "-Q", "--batch", "-L", str(ROOT / "emacs"), "--eval", f"(progn {block.text}\n)")
    assert done.returncode == 0, done.stderr


def test_json_and_yaml_in_pages_can_be_read() -> None:
    import json

    import yaml

    blocks = [block for page in (README, *PAGES) for block in markdown(page)]
    for block in some(block for block in blocks if block.language == "json"):
        json.loads(block.text)
    for block in some(block for block in blocks if block.language == "yaml"):
        assert isinstance(yaml.safe_load(block.text), dict), block.where
