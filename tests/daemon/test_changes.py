"""What turns change in work trees: kept when they begin and end, shown as diffs."""

from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import Daemon, wait_until
from tests.daemon.test_git import IDENTITY, git
from tests.session import Session


def test_each_turn_has_the_diff_of_what_changed_in_it(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.ask("sed -i s/two/2/ file; echo new > new; mkdir build; echo x > build/x")
    first = agent.read("turns/1/diff")
    assert "\n-two\n+2\n" in first and "b/new\n" in first and "build" not in first
    (repository / "file").write_text("mine\n")  # the user's, between two turns
    agent.ask("rm new")
    assert agent.read("turns/last/diff").count("diff --git") == 1
    assert [row.split("\t")[5:7] for row in agent.read("turns/list").splitlines()] == [["2", "1"], ["0", "1"]]
    whole = agent.read("git/diff")
    assert "+mine" in whole and "new" not in whole
    assert agent.read("git/status") == " M file\n"
    assert agent.read("git/branch") == "main\n"
    assert agent.read("git/base").strip() == git(repository, "rev-parse", "HEAD").strip()


def test_what_an_agent_commits_is_in_the_diff_of_its_turn_and_since_the_base(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    base = agent.read("git/base")
    agent.ask(f"echo c > c && git add c && {IDENTITY} git commit -qm c")
    assert "b/c\n" in agent.read("turns/1/diff")
    wait_until(lambda: git(repository, "log", "-1", "--format=%s") == "c\n", "the commit on the branch")
    assert "b/c\n" in agent.read("git/diff") and agent.read("git/base") == base
    assert git(repository, "for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main\n"


def test_what_is_left_out_of_a_checkpoint_is_named(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.ask(
        "truncate -s 21M big; git init -q nested; touch nested/a; mkfifo pipe; echo s > small; touch no; chmod 0 no"
    )
    found = agent.read("turns/1/diff")
    assert "# left out: big: 21 MB\n" in found and "# left out: nested/: a repository of its own\n" in found
    assert "b/small" in found and "b/big" not in found and "nested/a" not in found


def test_a_turn_that_runs_shows_what_it_changed_by_now(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.write("in", "echo new > new; read line < fifo || sleep 60")
    wait_until((repository / "new").exists, "the file")
    assert "b/new\n" in agent.read("turns/1/diff")
    agent.write("ctl", "interrupt")
    agent.wait("idle")
    assert "b/new\n" in agent.read("turns/1/diff")


def test_the_diff_of_a_turn_outlives_the_daemon(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.ask("echo a > a")
    found = agent.read("turns/1/diff")
    agent.write("in", "echo b > b; sleep 1; echo c > c")
    wait_until((repository / "b").exists, "the file")
    daemon.kill()
    daemon.start()
    agent = agent.again()
    agent.wait("idle")
    assert agent.read("turns/1/diff") == found
    assert agent.read("turns/2/diff").count("new file") == 2


def test_a_layer_can_leave_checkpoints_out(daemon: Daemon, repository: Path) -> None:
    (daemon.home.config / "tasks").mkdir(parents=True)
    (daemon.home.config / "tasks/no.yaml").write_text("git: {checkpoints: off}\n")
    agent = Session.new(daemon, "shell", "tasks=no", cwd=repository)
    assert agent.ask("echo a > a; echo ok") == "ok\n"
    with pytest.raises(AnvilError, match="checkpoints: off"):
        agent.read("turns/1/diff")


def test_where_there_is_no_repository_there_is_no_diff(daemon: Daemon) -> None:
    agent = Session.new(daemon)
    assert agent.ask("echo ok") == "ok\n"
    with pytest.raises(AnvilError, match="works in no git repository"):
        agent.read("git/diff")
