"""What an agent commits: on the user's branch when the turn ends, and told."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Daemon, wait_until
from tests.session import Session

IDENTITY = "GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b"


def git(at: Path, *words: str) -> str:
    env = {**os.environ, **dict(word.split("=") for word in IDENTITY.split())}
    return subprocess.run(["git", *words], cwd=at, env=env, check=True, capture_output=True, text=True).stdout


def made_repository(at: Path) -> Path:
    """Make a repository with a commit that changes nothing."""
    at.mkdir()
    git(at, "init", "-q", "-b", "main")
    git(at, "commit", "-q", "--allow-empty", "-m", "one")
    return at


@pytest.fixture
def repository(daemon: Daemon) -> Path:
    """Of the user's, beside the home."""
    return made_repository(daemon.home.top / "repository")


def test_commits_of_a_turn_come_to_the_users_branch_and_are_told(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.ask(f"echo two > two && git add two && {IDENTITY} git commit -qm two")
    wait_until(lambda: git(repository, "log", "--format=%s") == "two\none\n", "the commit on the branch")
    wait_until(
        lambda: f"commits\t{repository}\tcommits are on your branch main now" in agent.read("sandbox"),
        "the line in sandbox",
    )
    assert git(repository, "status", "--short") == ""
    assert any("on your branch main now" in line for line in agent.row["left"])
    agent.write("ctl", "kill")
    wait_until(lambda: git(repository, "for-each-ref", "refs/anvillm") == "", "the refs to go")
    assert git(repository, "log", "-1", "--format=%s") == "two\n"


def test_what_was_committed_is_there_after_a_kill_in_the_turn(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.write("in", f"echo two > two && git add two && {IDENTITY} git commit -qm two && touch done && sleep 60")
    wait_until((repository / "done").exists, "the commit")
    agent.write("ctl", "kill")
    wait_until(lambda: git(repository, "log", "--format=%s") == "two\none\n", "the commit on the branch")


@pytest.mark.slow(8)
def test_commits_of_a_killed_session_that_could_not_be_brought_are_brought_later(
    stopped_daemon: Daemon,
) -> None:
    """As where the disk was full; here another ref is in the way."""
    daemon = stopped_daemon.start()
    repository = made_repository(daemon.home.top / "repository")
    agent = Session.new(daemon, cwd=repository)
    git(repository, "update-ref", f"refs/anvillm/{agent.id}/other", "HEAD")
    agent.ask(f"echo two > two && git add two && {IDENTITY} git commit -qm two")
    agent.write("ctl", "kill")
    place = daemon.home.state / "sessions" / agent.id
    wait_until((place / "kept").exists, "it is kept")
    assert git(repository, "log", "--format=%s") == "one\n"
    git(repository, "update-ref", "-d", f"refs/anvillm/{agent.id}/other")
    daemon.kill()
    daemon.start()
    wait_until(lambda: git(repository, "log", "--format=%s") == "two\none\n", "the commit on the branch")
    wait_until(lambda: not place.exists(), "the directory goes")
    assert git(repository, "for-each-ref", "refs/anvillm") == ""


def test_what_a_turn_plants_is_named(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.ask("git init -q new && mkdir deep && echo x > deep/.envrc && mkdir .vscode && touch .vscode/tasks.json")
    for path in ("new/.git", "deep/.envrc", ".vscode"):
        wait_until(lambda path=path: f"planted\t{repository}/{path}\n" in agent.read("sandbox"), path)  # type: ignore[misc]
    assert f"planted\t{repository}/.vscode" in agent.row["left"]
    with daemon.client() as client:
        lines = client.open(f"{agent.id}/log").lines()
        assert f"\tplanted: {repository}/deep/.envrc\n".encode() in lines


@pytest.mark.parametrize("configured", ["the repository", "the user"])
def test_a_change_of_the_hooks_that_the_users_git_runs_is_named(
    daemon: Daemon, repository: Path, configured: str
) -> None:
    """They lie in the work tree, where the agent must be able to write."""
    (repository / ".githooks").mkdir()
    config = daemon.home.home / ".gitconfig" if configured == "the user" else repository / ".git/config"
    git(repository, "config", "--file", str(config), "core.hooksPath", ".githooks")
    agent = Session.new(daemon, cwd=repository)
    agent.ask("touch other")
    agent.ask("echo evil > .githooks/pre-commit")
    wait_until(lambda: f"planted\t{repository}/.githooks\n" in agent.read("sandbox"), "the line in sandbox")
    assert f"{repository}/other" not in agent.read("sandbox")


def test_a_directory_without_a_repository_needs_no_git(daemon: Daemon) -> None:
    agent = Session.new(daemon)
    assert "git\t" not in agent.read("sandbox")
    assert agent.ask("echo ok") == "ok\n"
