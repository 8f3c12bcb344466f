"""What README shows happens with an installed program too, for a user who has nothing of the clone on the PATH."""

import os
from pathlib import Path

import pytest

from tests.conftest import Home, some
from tests.docs.examples import Block, markdown
from tests.docs.test_readme import README, Reader
from tests.install.conftest import borrow
from tests.install.test_install import install
from tests.ordinary import home_of_user, run_as_user

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow(25)]  # pip on a busy machine

Wheels = tuple[Path, Path]
BEGIN = "anvilsrv start\necho \"new shell '$PWD' alias=quickstart\" | anvil9p write agent/ctl"  # what quickstart leaves


def test_everything_that_readme_shows_happens_with_the_installed_program(lived_in: Home, wheels: Wheels) -> None:
    borrow(lived_in.home / ".local/share/anvillm/env")
    install(lived_in, "--wheel", str(wheels[0]))
    path = lived_in.env["PATH"]
    reader = Reader(lived_in)
    programs = lived_in.home / "bin"
    nine = lived_in.top / "bin/9p"
    if os.readlink(nine).endswith("anvil9p"):
        nine.unlink()
        nine.symlink_to(programs / "anvil9p")
    reader.env["PATH"] = f"{nine.parent}:{path}"
    try:
        where = reader.run("command -v anvilsrv", Block("where", "sh", [], "")).stdout.strip()
        assert where == str(programs / "anvilsrv")
        reader.do(Block("begin", "sh", ["run"], BEGIN))
        for block in some(one for one in markdown(README) if "./quickstart" not in one.text):
            reader.do(block)
    finally:
        reader.close()


def test_everything_that_readme_shows_happens_for_an_ordinary_user_too() -> None:
    with home_of_user() as home:
        run_as_user(
            home, f"{__file__}::{test_everything_that_readme_shows_happens_with_the_installed_program.__name__}"
        )
