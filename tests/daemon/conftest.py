"""A daemon for a module; a session with the shell backend, ready for prompts; a repository for sessions to work in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Daemon, temporary_home
from tests.daemon.test_git import git
from tests.session import Session


@pytest.fixture(scope="module")
def shared() -> Iterator[Daemon]:
    """A daemon that the tests of a module use one after another."""
    with temporary_home() as home:
        made = Daemon(home)
        try:
            yield made.start()
        finally:
            made.close()


@pytest.fixture
def agent(daemon: Daemon) -> Session:
    return Session.new(daemon)


@pytest.fixture
def repository(daemon: Daemon) -> Path:
    """Of the user's, beside the home, with a file and a rule of what is ignored."""
    at = daemon.home.top / "repository"
    at.mkdir()
    git(at, "init", "-q", "-b", "main")
    (at / "file").write_text("one\ntwo\nthree\n")
    (at / ".gitignore").write_text("build/\n")
    git(at, "add", ".")
    git(at, "commit", "-q", "-m", "one")
    return at
