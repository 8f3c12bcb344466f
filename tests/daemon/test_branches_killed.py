"""A branch is made, and discarded, by a daemon that is killed before each of its steps in turn: it is there, or it is not."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import ROOT, Daemon, wait_until
from tests.daemon.test_branches import command, commit
from tests.daemon.test_git import git, made_repository
from tests.session import Session

STEPS = 30  # more than there are
KILLED = (str(ROOT / "tests/daemon/killed.py"),)


def killed(daemon: Daemon, number: int, what: Callable[[], object]) -> bool:
    """Do that with a daemon that kills itself before its n-th step; whether it did. Another runs afterwards."""
    ordinary = daemon.program
    daemon.program, daemon.home.env["ANVIL_KILLED"] = KILLED, str(number)
    daemon.start()
    try:
        what()
    except AnvilError as error:
        assert daemon.process is not None
        wait_until(lambda: daemon.process is not None and daemon.process.poll() is not None, f"{number}: {error}")
    was = daemon.process is not None and daemon.process.poll() is not None
    if not was:
        daemon.kill()
    daemon.program = ordinary
    daemon.start()
    return was


def discard(daemon: Daemon, session: str) -> None:
    """And wait until that is over, or the daemon."""
    command(Session(daemon, session), "discard anyway")
    journal = daemon.home.state / "branches" / f"gone-{session}"
    wait_until(
        lambda: not journal.exists() or (daemon.process and daemon.process.poll() is not None), "it does not end"
    )


def sessions(daemon: Daemon) -> list[str]:
    return [row["id"] for row in json.loads(daemon.client().read("sessions"))]


def settled(daemon: Daemon, repository: Path) -> bool:
    """Return whether nothing that had begun is left undone. Either all of it is there, or nothing."""
    journals = [path.name for path in (daemon.home.state / "branches").glob("*")]
    tree, there = repository.with_name("repository.b"), sessions(daemon)
    listed = "repository.b\n" in git(repository, "worktree", "list", "--porcelain")
    branch = git(repository, "for-each-ref", "--format=%(refname)", "refs/heads/b") != ""
    inner = git(repository / "sub", "worktree", "list").count("\n") == 2
    return not journals and bool(there) == tree.is_dir() == listed == inner and (branch or not there)


@pytest.fixture
def repository(stopped_daemon: Daemon) -> Path:
    """Of the user's, beside the home, with a submodule."""
    library, at = (made_repository(stopped_daemon.home.top / name) for name in ("library", "repository"))
    git(at, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "sub")
    git(at, "commit", "-qm", "sub")
    return at


@pytest.mark.slow(60)
def test_a_branch_that_was_being_made_is_there_with_its_session_or_not_at_all(
    stopped_daemon: Daemon, repository: Path
) -> None:
    daemon, counts = stopped_daemon, [0, 0]
    for number in range(1, STEPS):
        was = killed(daemon, number, lambda: daemon.client().write("ctl", f"new shell {repository} branch=b".encode()))
        wait_until(lambda: settled(daemon, repository), f"half of it, killed before step {number}")
        there = sessions(daemon)
        counts[bool(there)] += 1
        assert not list(repository.glob(".git/**/*.lock"))
        if not there:
            assert git(repository, "for-each-ref", "refs/heads/b") == ""
        for one in there:
            agent = Session(daemon, one)
            agent.wait("idle")
            assert agent.ask("git branch --show-current; git submodule status | cut -c 1") == "b\n \n"
            command(agent, "discard")
            wait_until(lambda: not repository.with_name("repository.b").exists(), "the work tree")
            git(repository, "branch", "-D", "b")
        daemon.kill()
        if not was:
            break
    assert not was and counts[0] > 3 and counts[1]


@pytest.mark.slow(60)
def test_a_branch_that_was_being_discarded_is_there_or_gone_and_its_work_is_kept(
    stopped_daemon: Daemon, repository: Path
) -> None:
    daemon = stopped_daemon
    counts = [0, 0]
    for number in range(1, STEPS):
        daemon.start()
        if not sessions(daemon):
            if number > 1:
                git(repository, "branch", "-D", "b")
            Session.new(daemon, "shell", "branch=b", cwd=repository).ask(commit(f"a{number}"))
        (one,) = sessions(daemon)
        daemon.kill()
        was = killed(daemon, number, partial(discard, daemon, one))
        wait_until(lambda: settled(daemon, repository), f"half of it, killed before step {number}")
        there = bool(sessions(daemon))
        counts[there] += 1
        refs = git(repository, "for-each-ref", "--format=%(refname)", "refs/anvillm/gone")
        assert there or f"gone/{one}." in refs
        daemon.kill()
        if not was:
            break
    assert not was and counts[0] > 1 and counts[1] > 1
