"""Every script of the tree is looked at: shells by shellcheck, Python without an ending by ruff."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

SKIPPED = {".git", ".venv", "node_modules", "build", "dist", "tests"}


def scripts(word: bytes) -> list[Path]:
    """Return files whose first line starts ``word``; and for shells, those that say so in a directive."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        if not SKIPPED & set(path.relative_to(ROOT).parts) and path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                first = file.readline()
            if (first.startswith(b"#!") and word in first) or (
                word == b"sh" and first.startswith(b"# shellcheck shell=")
            ):
                found.append(path)
    return found


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_no_warning_for_any_script_of_a_shell() -> None:
    found = scripts(b"sh")
    names = {str(path.relative_to(ROOT)) for path in found}
    assert {
        "quickstart",
        "check",
        ".ci/run",
        "claude/installer.sh",
        "services/runit/run",
        "services/runit/log/run",
    } <= names
    argv = ["shellcheck", "-x", "-P", "SCRIPTDIR", "-S", "warning", "-s", "sh", *map(str, found)]
    assert subprocess.run(argv, capture_output=True, text=True, timeout=100).stdout == ""


def test_ruff_is_told_of_each_python_script_without_an_ending() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]
    names = [str(path.relative_to(ROOT)) for path in scripts(b"python") if not path.suffix]
    assert sorted(settings["extend-include"]) == names
